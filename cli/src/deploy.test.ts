import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createStacksClient, type StacksClient } from '@understudy/chain/client'
import { contractNames } from '@understudy/chain/contracts'
import { addressOf, deployContract, submit } from '@understudy/chain/transactions'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const program = (path: string) => fileURLToPath(new URL(path, new URL('../../', import.meta.url)))
const chainId = 0x80000000
const keyOf = (byte: string) => byte.repeat(32)
const deployerOf = (key: string) => addressOf(key, chainId)

let folder: string
let devnet: ChildProcess
let url: string
let client: StacksClient

async function post(path: string, body: unknown): Promise<void> {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
}
const mine = () => post('/devnet/mine', { burnBlocks: 1 })

/** A chain that mines when told. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'deploy-'))
  devnet = spawn(
    process.execPath,
    [program('local/devnet/dist/main.js'), '--port', '0', '--burn-interval', '0'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  for await (const line of createInterface({ input: devnet.stdout! })) {
    url = (JSON.parse(line) as { url: string }).url
    break
  }
  client = createStacksClient({ url })
})
afterAll(async () => {
  if (devnet.exitCode === null) {
    devnet.kill('SIGTERM')
    await once(devnet, 'exit')
  }
  rmSync(folder, { recursive: true, force: true })
})

async function fill(key: string): Promise<void> {
  await post(`/extended/v1/faucets/stx?address=${deployerOf(key)}`, {})
  await mine()
}

/** Runs the program; `watch` sees every line that it says. */
async function deploy(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  watch: (line: string, child: ChildProcess) => void = () => {},
) {
  const child = spawn(process.execPath, [program('cli/dist/deploy.js'), ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'], STACKS_API_URL: url, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said: string[] = []
  const printed: string[] = []
  const ended = once(child, 'close')
  createInterface({ input: child.stderr! }).on('line', (line) => {
    said.push(line)
    watch(line, child)
  })
  createInterface({ input: child.stdout! }).on('line', (line) => printed.push(line))
  const [code] = await ended
  return { code, said: said.join('\n'), printed: printed.join('\n') }
}

const here = ['--network', 'devnet']
const states = async (key: string) => {
  const { printed } = await deploy([...here, '--deployer', deployerOf(key), '--json'])
  return (JSON.parse(printed) as { contracts: { state: string }[] }).contracts.map(({ state }) => state)
}

describe('deploy:contracts', { timeout: 300_000 }, () => {
  it('without --confirm says what it would do, and sends nothing', async () => {
    const key = keyOf('a1')
    await fill(key)
    const { code, printed } = await deploy(here, { DEPLOYER_KEY: key })
    expect(code).toBe(0)
    for (const word of [...contractNames, deployerOf(key), 'missing', 'sha256', 'nothing was sent'])
      expect(printed).toContain(word)
    expect(await client.nonce(deployerOf(key))).toBe(0n)
    expect(readdirSync(folder)).not.toContain('.understudy')
  })

  it('needs no key to say it', async () => {
    const { code, printed } = await deploy([...here, '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(printed)).toMatchObject({ network: 'devnet', dryRun: true })
  })

  it.each([
    ['another network than the one confirmed', ['--confirm', 'mainnet'], 2, '--confirm mainnet is not'],
    ['a deployment without a key', ['--confirm', 'devnet'], 2, 'no key to deploy with'],
    ['an address that is none', ['--deployer', 'me'], 2, 'me is not a Stacks address'],
    ['a fee above the limit', ['--confirm', 'devnet', '--max-fee', '10'], 1, 'is more than --max-fee'],
    ['a key that may be read by others', ['--key-file', 'open.key'], 1, 'can be read by others'],
  ])('refuses %s', async (_, args, exit, message) => {
    writeFileSync(join(folder, 'open.key'), keyOf('a1'), { mode: 0o644 })
    const withKey: Record<string, string> = args.includes('--max-fee') ? { DEPLOYER_KEY: keyOf('a1') } : {}
    const { code, said } = await deploy([...here, ...args], withKey)
    expect(said).toContain(message)
    expect(code).toBe(exit)
  })

  it('refuses a chain that is not the network that was named, and an address without money', async () => {
    for (const network of ['testnet', 'mainnet']) {
      const { code, said } = await deploy(['--network', network])
      expect(said).toContain(`is not ${network}`)
      expect(code).toBe(1)
    }
    const poor = await deploy([...here, '--confirm', 'devnet'], { DEPLOYER_KEY: keyOf('a2') })
    expect(poor.said).toContain('has 0 STX')
  })

  it('deploys all three, goes on where it was killed, and sends nothing twice', async () => {
    const key = keyOf('a3')
    await fill(key)
    const keyFile = join(folder, 'deployer.key')
    writeFileSync(keyFile, `${key}\n`, { mode: 0o600 })
    const args = [...here, '--confirm', 'devnet', '--key-file', keyFile]
    const kill = (pattern: RegExp) => (line: string, child: ChildProcess) => {
      if (pattern.test(line)) child.kill('SIGKILL')
    }
    // Killed while the first waits for a block.
    const first = await deploy(args, {}, kill(/^attester-quorum: sent/))
    expect(first.code).not.toBe(0)
    await mine()
    expect(await states(key)).toEqual(['deployed', 'missing', 'missing'])
    // Killed again while the second does; the first is found deployed.
    const second = await deploy(args, {}, kill(/^mirror-registry: sent/))
    expect(second.said).toContain('attester-quorum: deployed already')
    expect(await states(key)).toEqual(['deployed', 'missing', 'missing'])
    // What it sent waits still: the same transaction goes on.
    const third = await deploy(args, {}, (line) => {
      if (/: sent/.test(line)) void mine()
    })
    expect(third.said).toContain('mirror-registry: goes on with 0x')
    expect(third).toMatchObject({ code: 0 })
    expect(third.printed).toContain(`DEPLOYER=${deployerOf(key)}`)
    expect(await states(key)).toEqual(['deployed', 'deployed', 'deployed'])
    expect(await client.nonce(deployerOf(key))).toBe(3n)
    const fourth = await deploy(args)
    expect(fourth).toMatchObject({ code: 0 })
    expect(fourth.printed).toContain('all three are deployed')
    const everything = [first, second, third, fourth].flatMap(({ said, printed }) => [said, printed]).join()
    expect(everything).not.toContain(key)
    const outbox = readFileSync(join(folder, `.understudy/deploy-devnet-${deployerOf(key)}.jsonl`), 'utf8')
    expect(outbox.trim().split('\n')).toHaveLength(3)
    expect(outbox).not.toContain(key)
  })

  it('refuses where something else has the name, and where unknown transactions wait', async () => {
    const key = keyOf('a4')
    await fill(key)
    const signing = { privateKey: key, fee: 10_000n, chainId }
    const other = await deployContract('mirror-registry', '(define-read-only (one) u1)', {
      ...signing,
      nonce: 0n,
    })
    await submit(client, other)
    const args = [...here, '--confirm', 'devnet']
    const waiting = await deploy(args, { DEPLOYER_KEY: key })
    expect(waiting.said).toContain('wait for a block')
    expect(waiting.code).toBe(1)
    await mine()
    const taken = await deploy(args, { DEPLOYER_KEY: key })
    expect(taken.said).toContain('mirror-registry is deployed already, from other source')
    expect(taken.code).toBe(1)
    expect(await client.nonce(deployerOf(key))).toBe(1n)
  })
})
