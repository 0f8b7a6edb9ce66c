import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { STACKS_TESTNET } from '@stacks/network'
import { broadcastTransaction, Cl, makeContractCall, makeContractDeploy } from '@stacks/transactions'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ACCOUNTS } from './accounts.ts'

// The program itself, in its own process, as everyone else runs it: built beforehand by `npm run build`.

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url))
const SOURCE = readFileSync(new URL('../fixtures/vault.clar', import.meta.url), 'utf8')
const [deployer, maintainer] = ACCOUNTS as [(typeof ACCOUNTS)[0], (typeof ACCOUNTS)[0]]

let data: string
const children: ChildProcess[] = []

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'devnet-test-'))
})

afterEach(async () => {
  for (const child of children.splice(0)) await kill(child)
  rmSync(data, { recursive: true })
})

async function start(...args: string[]): Promise<{ child: ChildProcess; url: string }> {
  if (!existsSync(MAIN)) throw new Error('run `npm run build` first')
  const child = spawn(process.execPath, [MAIN, '--port', '0', '--data', data, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  children.push(child)
  for await (const line of createInterface({ input: child.stdout! }))
    return { child, url: JSON.parse(line).url }
  throw new Error('devnet ended before it listened')
}

async function kill(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL') {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(signal)
  await exited
}

// biome-ignore lint/suspicious/noExplicitAny: the API's JSON, compared as it is
const get = async (url: string, path: string): Promise<any> => (await fetch(url + path)).json()
const mine = (url: string) => fetch(`${url}/devnet/mine`, { method: 'POST' })

function clientOf(url: string) {
  const network = { ...STACKS_TESTNET, client: { baseUrl: url } }
  const send = async (transaction: Parameters<typeof broadcastTransaction>[0]['transaction']) => {
    const sent = await broadcastTransaction({ transaction, network })
    expect(sent).not.toHaveProperty('error')
    return sent.txid
  }
  return {
    deploy: async () =>
      send(
        await makeContractDeploy({
          contractName: 'vault',
          codeBody: SOURCE,
          senderKey: deployer.privateKey,
          fee: 100_000n,
          network,
        }),
      ),
    call: async (functionName: string, args = [] as Parameters<typeof makeContractCall>[0]['functionArgs']) =>
      send(
        await makeContractCall({
          contractAddress: deployer.address,
          contractName: 'vault',
          functionName,
          functionArgs: args,
          senderKey: maintainer.privateKey,
          postConditionMode: 'deny',
          fee: 1_000n,
          network,
        }),
      ),
  }
}

/** Everything that the API tells about what this test did. */
async function pictureOf(url: string, txids: readonly string[]) {
  const vault = `${deployer.address}.vault`
  const { burn_block_height, stacks_tip } = await get(url, '/v2/info')
  return {
    burn_block_height,
    stacks_tip,
    txs: await Promise.all(txids.map((txid) => get(url, `/extended/v1/tx/${txid}`))),
    events: await get(url, `/extended/v1/contract/${vault}/events`),
    count: await get(url, `/v2/data_var/${deployer.address}/vault/count`),
    accounts: await Promise.all(
      [deployer, maintainer].flatMap(({ address }) => [
        get(url, `/extended/v1/address/${address}/balances`),
        get(url, `/extended/v1/address/${address}/nonces`),
      ]),
    ),
  }
}

async function liveALittle(url: string): Promise<string[]> {
  const client = clientOf(url)
  const txids = [await client.deploy()]
  await mine(url)
  txids.push(await client.call('increment'))
  txids.push(await client.call('send-stx', [Cl.uint(5), Cl.principal(deployer.address)]))
  txids.push(await client.call('refuse'))
  await mine(url)
  await mine(url)
  txids.push(await client.call('increment'))
  return txids
}

describe('a chain with a data folder', () => {
  test('comes back after kill -9: state, heights, nonces, statuses, and what was pending', async () => {
    const first = await start('--burn-interval', '0')
    const txids = await liveALittle(first.url)
    const before = await pictureOf(first.url, txids)
    expect(before.txs.map(({ tx_status }) => tx_status)).toEqual([
      'success',
      'success',
      'abort_by_post_condition',
      'abort_by_response',
      'pending',
    ])
    await kill(first.child)

    const second = await start('--burn-interval', '0')
    expect(await pictureOf(second.url, txids)).toEqual(before)
    await mine(second.url)
    expect(await get(second.url, `/extended/v1/tx/${txids.at(-1)}`)).toMatchObject({
      tx_status: 'success',
      tx_result: { repr: '(ok u2)' },
    })
  }, 300_000)

  test('survives a torn last line, and refuses one that is damaged further up', async () => {
    const first = await start('--burn-interval', '0')
    const txids = await liveALittle(first.url)
    const before = await pictureOf(first.url, txids)
    await kill(first.child)
    const journal = join(data, 'journal.jsonl')
    const whole = readFileSync(journal, 'utf8')
    appendFileSync(journal, '{"type":"mine","burnBlo')

    const second = await start('--burn-interval', '0')
    expect(await pictureOf(second.url, txids)).toEqual(before)
    expect(readFileSync(journal, 'utf8')).toBe(whole)
    await kill(second.child)

    writeFileSync(journal, whole.replace('"type":"mine"', '"type":"m'))
    await expect(start('--burn-interval', '0')).rejects.toThrow('ended before it listened')
  }, 300_000)

  test('mines by itself and stops in order on SIGTERM, with nothing lost', async () => {
    const { child, url } = await start('--burn-interval', '20')
    const txid = await clientOf(url).deploy()
    await expect
      .poll(async () => (await get(url, `/extended/v1/tx/${txid}`)).tx_status, { timeout: 60_000 })
      .toBe('success')
    const { burn_block_height } = await get(url, '/v2/info')
    await expect
      .poll(async () => (await get(url, '/v2/info')).burn_block_height, { timeout: 60_000 })
      .toBeGreaterThan(burn_block_height + 3)
    await kill(child, 'SIGTERM')
    expect(child.exitCode).toBe(0)
    expect(statSync(join(data, 'journal.jsonl')).mode & 0o077).toBe(0)

    const again = await start('--burn-interval', '0')
    expect(await get(again.url, `/extended/v1/tx/${txid}`)).toMatchObject({ tx_status: 'success' })
    expect((await get(again.url, '/v2/info')).burn_block_height).toBeGreaterThan(burn_block_height + 3)
  }, 300_000)
})

test('prints its accounts, whose names are unique and whose keys belong to their addresses', () => {
  const accounts = JSON.parse(execFileSync(process.execPath, [MAIN, '--accounts'], { encoding: 'utf8' }))
  expect(accounts.map(({ address }: { address: string }) => address)).toEqual(
    ACCOUNTS.map(({ address }) => address),
  )
  expect(new Set(accounts.map(({ name }: { name: string }) => name)).size).toBe(accounts.length)
})

test('refuses an unknown option in one line, with the help after it', () => {
  expect(() =>
    execFileSync(process.execPath, [MAIN, '--pport', '1'], { encoding: 'utf8', stdio: 'pipe' }),
  ).toThrow(/Unknown option '--pport'/)
})
