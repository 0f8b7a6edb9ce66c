import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Cl, privateKeyToPublic } from '@stacks/transactions'
import { appId, coordinateOf } from '@understudy/protocol/app'
import { merkleProof, merkleRoot, payoutLeafHash } from '@understudy/protocol/merkle'
import { attesterKey } from '@understudy/protocol/rules'
import { settlementHash } from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ContractCall, claim, fund, registerApp, registerMirror, settle } from './calls.ts'
import type { StacksClient } from './client.ts'
import type { Contracts } from './contracts.ts'
import { createLogReader, readComplete } from './logReader.ts'
import { type SampleChain, sampleChain } from './sample.ts'
import { projectChain, stateBelow } from './state.ts'
import { addressOf, signCall, submit } from './transactions.ts'

const root = new URL('../../../', import.meta.url)
/** More than 1 µSTX for every byte of the largest contract. */
const fee = 50_000n
const keyOf = (byte: string): string => byte.repeat(32)
const keys = { deployer: keyOf('d1'), maintainer: keyOf('d2'), operator: keyOf('d3'), stranger: keyOf('d4') }

let devnet: ChildProcess
let url: string | undefined
let client: StacksClient
let chainId: number
let chain: SampleChain
let contracts: Contracts

const address = (who: keyof typeof keys): string => addressOf(keys[who], chainId)
const mine = (burnBlocks: number) => chain.mine(burnBlocks)

async function mineTo(burnHeight: number): Promise<void> {
  const missing = burnHeight - (await client.info()).burnHeight
  if (missing > 0) await mine(missing)
}

async function send(who: keyof typeof keys, call: ContractCall): Promise<string> {
  const nonce = await client.nonce(address(who))
  const transaction = await chain.land(await signCall(call, { privateKey: keys[who], nonce, fee, chainId }))
  return transaction?.status ?? 'unknown'
}

/** A devnet that mines when told, the contracts deployed on it by signed transactions. */
beforeAll(async () => {
  const main = fileURLToPath(new URL('local/devnet/dist/main.js', root))
  devnet = spawn(process.execPath, [main, '--port', '0', '--burn-interval', '0'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  for await (const line of createInterface({ input: devnet.stdout! })) {
    url = (JSON.parse(line) as { url: string }).url
    break
  }
  if (!url) throw new Error('devnet did not start; is it built?')
  chain = await sampleChain(url, keys.deployer)
  ;({ client, chainId, contracts } = chain)
  await chain.fill(Object.values(keys))
})

afterAll(async () => {
  if (devnet.exitCode !== null) return
  const exit = once(devnet, 'exit')
  devnet.kill()
  await exit
})

describe('the contracts over HTTP', () => {
  it('take an app from registration to payment, and their log tells the same', async () => {
    const attesters = ['a1', 'a2', 'a3']
      .map((byte) => {
        const secret = Buffer.from(keyOf(byte), 'hex')
        return { secret, key: attesterKey(String(privateKeyToPublic(`${keyOf(byte)}01`)).slice(2)) }
      })
      .sort((a, b) => (a.key < b.key ? -1 : 1))
    const coordinate = coordinateOf('ab'.repeat(32), 'demo')
    const app = appId(coordinate)
    const start = (await client.info()).burnHeight + 6
    const schedule = { start, length: 60, notice: 3, cap: 100_000_000n }
    const terms = {
      budget: 50_000_000n,
      keys: attesters.map(({ key }) => key),
      places: 3,
      levels: ['network'] as const,
      floor: 500_000,
      domainBond: 10_000_000n,
      fee: 0n,
      grace: 5,
      minBond: 10_000_000n,
      faults: 1,
      window: 30,
      challenge: 6,
      claimPeriod: 600,
      releaseKey: '11'.repeat(32),
      minSeq: 0,
    }
    const operator = address('operator')
    const mirror = { app, nodeKey: '22'.repeat(32), endpoint: 'https://mirror.example', bond: 10_000_000n }
    const deposit = { app, amount: 60_000_000n, rulesVersion: 1, minShares: 60_000_000n }

    expect(await send('maintainer', registerApp(contracts, { coordinate, schedule, terms }))).toBe('success')
    expect(await send('operator', registerMirror(contracts, operator, mirror))).toBe('success')
    expect(await send('maintainer', fund(contracts, address('maintainer'), deposit))).toBe('success')

    const leaf = { index: 0, mirror: 1, recipient: operator, amount: 40_000_000n }
    const hashes = [payoutLeafHash(leaf)]
    const message = {
      pool: contracts.pool,
      app,
      epoch: 0,
      round: 0,
      inputs: '33'.repeat(32),
      root: merkleRoot(hashes),
      allocated: leaf.amount,
      count: 1,
    }
    const hash = settlementHash(message, chainId)
    const signatures = attesters.map(({ secret }, i) => (i === 1 ? null : signHash(hash, secret)))
    const payout = claim(contracts, { app, epoch: 0, leaf, proof: merkleProof(hashes, 0) })
    const end = start + 60

    expect(await send('stranger', settle(contracts, message, signatures))).toBe('abort_by_response')
    await mineTo(end)
    expect(await send('stranger', settle(contracts, message, signatures))).toBe('success')
    expect(await send('stranger', payout)).toBe('abort_by_response')
    await mineTo(end + 12)
    const before = (await client.account(operator)).balance
    expect(await send('stranger', payout)).toBe('success')
    expect((await client.account(operator)).balance - before).toBe(leaf.amount)
    expect(await send('stranger', payout)).toBe('abort_by_response')

    const events = await readComplete(client, contracts, createLogReader(client, contracts), app)
    expect(events.map((event) => event.topic)).toEqual([
      'app-registered',
      'mirror-registered',
      'funded',
      'settled',
      'claimed',
    ])
    const state = projectChain(events).apps.get(app)!
    expect(state.pool).toMatchObject({
      deposited: 60_000_000n,
      free: 20_000_000n,
      owed: 0n,
      paid: 40_000_000n,
      shares: 60_000_000n,
    })
    expect(state.settlements.get(0)).toMatchObject({ signers: [true, false, true], paid: leaf.amount })
    const held = await client.mapEntry(contracts.pool, 'shares', shareKey(app, address('maintainer')))
    expect(held).toEqual(Cl.some(Cl.uint(60_000_000)))
    expect((await client.account(contracts.pool)).balance).toBe(20_000_000n)

    const anchor = await client.anchorBelow(end)
    expect(anchor.burnHeight).toBe(end - 1)
    expect(anchor.hash).toMatch(/^[0-9a-f]{64}$/)
    expect(stateBelow(events, end).apps.get(app)!.pool.free).toBe(60_000_000n)
  })

  it('move nothing that a post-condition does not name', async () => {
    const maintainer = address('maintainer')
    const app = appId(coordinateOf('ab'.repeat(32), 'demo'))
    const deposit = fund(contracts, maintainer, { app, amount: 5n, rulesVersion: 1, minShares: 5n })
    const [condition] = deposit.postConditions
    if (condition?.type !== 'stx-postcondition') throw new Error('a condition on STX is expected')
    const pool = (await client.account(contracts.pool)).balance
    const less = { ...deposit, postConditions: [{ ...condition, amount: 4n }] }
    expect(await send('maintainer', less)).toBe('abort_by_post_condition')
    expect(await send('maintainer', { ...deposit, postConditions: [] })).toBe('abort_by_post_condition')
    expect((await client.account(contracts.pool)).balance).toBe(pool)
  })

  it('take a transaction once, however often it is submitted', async () => {
    const maintainer = address('maintainer')
    const app = appId(coordinateOf('ab'.repeat(32), 'demo'))
    const deposit = fund(contracts, maintainer, { app, amount: 7n, rulesVersion: 1, minShares: 7n })
    const nonce = await client.nonce(maintainer)
    const transaction = await signCall(deposit, { privateKey: keys.maintainer, nonce, fee, chainId })
    const pool = (await client.account(contracts.pool)).balance
    expect(await submit(client, transaction)).toEqual({ ok: true, txid: transaction.txid })
    expect(await submit(client, transaction)).toEqual({ ok: true, txid: transaction.txid })
    await mine(1)
    expect(await submit(client, transaction)).toEqual({ ok: true, txid: transaction.txid })
    await mine(1)
    expect((await client.account(contracts.pool)).balance - pool).toBe(7n)
    const other = { ...deposit, functionArgs: [...deposit.functionArgs.slice(0, 3), Cl.uint(0)] }
    const late = await signCall(other, { privateKey: keys.maintainer, nonce, fee, chainId })
    expect(await submit(client, late)).toMatchObject({ ok: false, reason: 'BadNonce' })
  })
})

function shareKey(app: string, funder: string) {
  return Cl.tuple({ app: Cl.bufferFromHex(app), generation: Cl.uint(0), funder: Cl.principal(funder) })
}
