import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type ContractCall, registerApp, settle } from '@understudy/chain/calls'
import { createStacksClient, type StacksClient } from '@understudy/chain/client'
import { type Contracts, contractNames, contractsOf } from '@understudy/chain/contracts'
import { createLogReader } from '@understudy/chain/logReader'
import { type ChainApp, projectChain } from '@understudy/chain/state'
import { addressOf, confirmed, deployContract, signCall, submit } from '@understudy/chain/transactions'
import { appId, coordinateOf } from '@understudy/protocol/app'
import { merkleRoot, payoutLeafHash } from '@understudy/protocol/merkle'
import { attesterKey } from '@understudy/protocol/rules'
import { settlementHash } from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import { getPublicKey } from 'nostr-tools/pure'
import { hexToBytes } from 'nostr-tools/utils'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { understudy } from './understudy.ts'

const root = new URL('../../', import.meta.url)
const people = ['deployer', 'maintainer', 'operator', 'funder', 'other', 'heir'] as const
type Person = (typeof people)[number]
const secretOf = (who: Person): string => (people.indexOf(who) + 16).toString(16).repeat(32)
const attesters = ['a1', 'a2', 'a3']
  .map((byte) => ({
    secret: hexToBytes(byte.repeat(32)),
    key: attesterKey(getPublicKey(hexToBytes(byte.repeat(32)))),
  }))
  .sort((a, b) => (a.key < b.key ? -1 : 1))
const stx = 1_000_000n
const length = 48

let folder: string
let devnet: ChildProcess
let url: string
let client: StacksClient
let chainId: number
let contracts: Contracts
let apps = 0

const address = (who: Person): string => addressOf(secretOf(who), chainId)

async function post(path: string, body: unknown): Promise<void> {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
}

async function mineTo(burnHeight: number): Promise<void> {
  const missing = burnHeight - (await client.info()).burnHeight
  if (missing > 0) await post('/devnet/mine', { burnBlocks: missing })
}

async function send(who: Person, call: ContractCall): Promise<void> {
  const nonce = await client.nonce(address(who))
  const signed = await signCall(call, { privateKey: secretOf(who), nonce, fee: 50_000n, chainId })
  expect(await submit(client, signed)).toMatchObject({ ok: true })
  await post('/devnet/mine', { burnBlocks: 1 })
  const outcome = await confirmed(client, signed.txid, { intervalMs: 20 })
  expect(outcome.transaction?.status).toBe('success')
}

/** Runs a command as somebody; blocks come while it waits for one. */
async function run(who: Person, ...args: string[]) {
  const out: string[] = []
  const err: string[] = []
  let sent = () => {}
  const waiting = new Promise<void>((resolve) => {
    sent = resolve
  })
  const running = understudy([...args, '--json'], {
    env: {
      UNDERSTUDY_KEYS: join(folder, who),
      STACKS_API_URL: url,
      DEPLOYER: address('deployer'),
      RELAYS: 'ws://127.0.0.1:9',
    },
    cwd: folder,
    now: Date.now,
    say: (line) => {
      err.push(line)
      if (/: sent 0x/.test(line)) sent()
    },
    print: (text) => out.push(text),
  })
  await Promise.race([waiting.then(() => post('/devnet/mine', { burnBlocks: 1 })), running])
  const code = await running
  return { code, err: err.join('\n'), data: out.length > 0 ? JSON.parse(out.join('\n')) : undefined }
}

/** As `run`, and it must succeed. */
async function done(who: Person, ...args: string[]) {
  const { code, err, data } = await run(who, ...args)
  expect(code, err).toBe(0)
  return data
}

async function refused(who: Person, code: string, ...args: string[]): Promise<void> {
  const { data, err } = await run(who, ...args)
  expect(data?.error?.code, err).toBe(code)
}

async function register(lead = 4): Promise<{ id: string; start: number }> {
  const coordinate = coordinateOf('ab'.repeat(32), `app-${apps++}`)
  const start = (await client.info()).burnHeight + lead
  const terms = {
    budget: 50n * stx,
    keys: attesters.map(({ key }) => key),
    places: 3,
    levels: ['network'] as const,
    floor: 500_000,
    domainBond: 100n * stx,
    fee: 0n,
    grace: 5,
    minBond: 10n * stx,
    faults: 1,
    window: 24,
    challenge: 6,
    claimPeriod: length,
    releaseKey: '11'.repeat(32),
    minSeq: 0,
  }
  const schedule = { start, length, notice: 3, cap: 100n * stx }
  await send('maintainer', registerApp(contracts, { coordinate, schedule, terms }))
  return { id: appId(coordinate), start }
}

async function appNow(id: string): Promise<ChainApp> {
  return projectChain(await createLogReader(client, contracts).read()).apps.get(id)!
}

/** Settles an epoch with one payment to the operator, signed by all attesters. */
async function settleEpoch(id: string, epoch: number, amount: bigint): Promise<void> {
  const leaf = { index: 0, mirror: 1, recipient: address('operator'), amount }
  const root = merkleRoot([payoutLeafHash(leaf)])
  const outcome = { app: id, epoch, round: 0, inputs: 'cd'.repeat(32), root, allocated: amount, count: 1 }
  const hash = settlementHash({ ...outcome, pool: contracts.pool }, chainId)
  await send(
    'other',
    settle(
      contracts,
      outcome,
      attesters.map(({ secret }) => signHash(hash, secret)),
    ),
  )
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'money-'))
  const main = fileURLToPath(new URL('local/devnet/dist/main.js', root))
  devnet = spawn(process.execPath, [main, '--port', '0', '--burn-interval', '0'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  for await (const line of createInterface({ input: devnet.stdout! })) {
    url = (JSON.parse(line) as { url: string }).url
    break
  }
  if (!url) throw new Error('devnet did not start: run npm run build')
  client = createStacksClient({ url })
  chainId = (await client.info()).chainId
  contracts = contractsOf(address('deployer'))
  for (const who of people) {
    mkdirSync(join(folder, who))
    writeFileSync(join(folder, who, 'stacks.key'), secretOf(who), { mode: 0o600 })
    await post(`/extended/v1/faucets/stx?address=${address(who)}`, {})
  }
  await post('/devnet/mine', { burnBlocks: 1 })
  for (const [nonce, name] of contractNames.entries()) {
    const source = readFileSync(new URL(`contracts/${name}.clar`, root), 'utf8')
    const signing = { privateKey: secretOf('deployer'), nonce: BigInt(nonce), fee: 50_000n, chainId }
    const signed = await deployContract(name, source, signing)
    expect(await submit(client, signed)).toMatchObject({ ok: true })
    await post('/devnet/mine', { burnBlocks: 1 })
  }
}, 300_000)

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  if (!devnet || devnet.exitCode !== null) return
  const exit = once(devnet, 'exit')
  devnet.kill()
  await exit
})

describe('a mirror’s bond', { timeout: 300_000 }, () => {
  test('is laid down, added to, taken back after its wait, and not before', async () => {
    const { id } = await register()
    const mine = ['--app', id]
    await refused(
      'operator',
      'bond-too-low',
      'mirror',
      'register',
      ...mine,
      '--endpoint',
      'https://m.example',
      '--node-key',
      '22'.repeat(32),
      '--bond',
      '1stx',
    )
    const { mirror } = await done(
      'operator',
      'mirror',
      'register',
      ...mine,
      '--endpoint',
      'https://m.example',
      '--node-key',
      '22'.repeat(32),
    )
    expect(mirror).toBe(1)
    expect(await done('operator', 'mirror', 'add-bond', ...mine, '--amount', '5stx')).toMatchObject({
      bond: '15000000',
    })
    await refused('other', 'no-mirror', 'mirror', 'unbond', ...mine)
    await refused('other', 'not-yours', 'mirror', 'unbond', ...mine, '--mirror', '1')
    await refused('operator', 'bonded', 'mirror', 'withdraw', ...mine)
    const { ready } = await done('operator', 'mirror', 'unbond', ...mine)
    await refused('operator', 'unbonding', 'mirror', 'unbond', ...mine)
    await refused('operator', 'unbonding', 'mirror', 'add-bond', ...mine, '--amount', '1stx')
    await refused('operator', 'not-ready', 'mirror', 'withdraw', ...mine)
    await mineTo(ready + 1)
    const before = (await client.account(address('operator'))).balance
    expect(await done('operator', 'mirror', 'withdraw', ...mine)).toMatchObject({ bond: '15000000' })
    expect((await client.account(address('operator'))).balance).toBe(before + 15n * stx - 20_000n)
    await refused('operator', 'no-mirror', 'mirror', 'withdraw', ...mine)
  })

  test('stays while a lost node key is replaced, and leaves when the mirror is retired', async () => {
    const { id } = await register()
    const mine = ['--app', id]
    await done(
      'operator',
      'mirror',
      'register',
      ...mine,
      '--endpoint',
      'https://m.example',
      '--node-key',
      '22'.repeat(32),
    )
    await refused('operator', 'same-key', 'mirror', 'replace-key', ...mine, '--node-key', '22'.repeat(32))
    await done('operator', 'mirror', 'replace-key', ...mine, '--node-key', '33'.repeat(32))
    expect((await appNow(id)).mirrors.get(1)?.nodeKey).toBe('33'.repeat(32))
    await done('operator', 'mirror', 'retire', ...mine)
    await refused('operator', 'retired', 'mirror', 'retire', ...mine)
    await refused('operator', 'retired', 'mirror', 'replace-key', ...mine, '--node-key', '44'.repeat(32))
    expect((await appNow(id)).mirrors.get(1)).toMatchObject({ retired: true })
  })
})

describe('a funder', { timeout: 300_000 }, () => {
  test('whose deposit waits sees it counted by activate, or takes it back; and leaves two epochs after asking', async () => {
    const { id, start } = await register()
    const mine = ['--app', id]
    expect(await done('funder', 'fund', ...mine, '--amount', '90stx')).toMatchObject({ waits: false })
    // Epoch 0 has ended and is not final: what comes now waits.
    await mineTo(start + length + 2)
    expect(await done('funder', 'fund', ...mine, '--amount', '10stx')).toMatchObject({ waits: true })
    expect(await done('other', 'fund', ...mine, '--amount', '7stx')).toMatchObject({ waits: true })
    expect(await done('other', 'activate', ...mine)).toMatchObject({ quiet: false, activated: [] })
    expect(await done('other', 'take-back', ...mine)).toMatchObject({ amount: '7000000' })
    await refused('other', 'nothing-parked', 'take-back', ...mine)
    // Its window passes: everything is final.
    await mineTo(start + length + 26)
    const { activated } = await done('other', 'activate', ...mine)
    expect(activated).toEqual([{ funder: address('funder'), amount: '10000000' }])
    expect((await appNow(id)).pool).toMatchObject({ free: 100n * stx, parked: 0n, shares: 100n * stx })

    await refused('other', 'too-many-shares', 'request-exit', ...mine)
    await refused('funder', 'not-requested', 'exit', ...mine)
    await done('funder', 'request-exit', ...mine)
    await done('funder', 'request-exit', ...mine, '--cancel')
    await refused('funder', 'not-requested', 'exit', ...mine)
    const { ready } = await done('funder', 'request-exit', ...mine, '--shares', String(40n * stx))
    expect(ready).toBe(3)
    await refused('funder', 'not-ready', 'exit', ...mine)
    await mineTo(start + 3 * length + 1)
    await refused('funder', 'not-quiet', 'exit', ...mine)
    await mineTo(start + 3 * length + 26)
    const before = (await client.account(address('funder'))).balance
    expect(await done('funder', 'exit', ...mine)).toMatchObject({ amount: String(40n * stx) })
    expect((await client.account(address('funder'))).balance).toBe(before + 40n * stx - 20_000n)
  })

  test('gets unclaimed money back into the pool when the claim period is over', async () => {
    const { id, start } = await register()
    const mine = ['--app', id]
    await done('funder', 'fund', ...mine, '--amount', '90stx')
    await mineTo(start + length + 1)
    await settleEpoch(id, 0, 30n * stx)
    const { settlements } = await appNow(id)
    const { burn } = settlements.get(0)!
    await refused('other', 'not-settled', 'sweep', ...mine, '--epoch', '1')
    await refused('other', 'claimable', 'sweep', ...mine, '--epoch', '0')
    await mineTo(burn + 6 + length + 1)
    expect(await done('other', 'sweep', ...mine, '--epoch', '0')).toMatchObject({ amount: String(30n * stx) })
    await refused('other', 'swept', 'sweep', ...mine, '--epoch', '0')
    expect((await appNow(id)).pool).toMatchObject({ free: 90n * stx, common: 30n * stx, owed: 0n })
  })
})

describe('a maintainer', { timeout: 300_000 }, () => {
  test('announces rules after their notice, replaces the release key, and winds the app down', async () => {
    const { id } = await register(200)
    const mine = ['--app', id]
    await refused('other', 'not-yours', 'app', 'rules', 'change', ...mine, '--budget', '40stx')
    await refused(
      'maintainer',
      'too-early',
      'app',
      'rules',
      'change',
      ...mine,
      '--budget',
      '40stx',
      '--from',
      '1',
    )
    const changed = await done(
      'maintainer',
      'app',
      'rules',
      'change',
      ...mine,
      '--budget',
      '40stx',
      '--places',
      '5',
    )
    const { rules } = await appNow(id)
    expect(rules).toHaveLength(2)
    // What was not given is as before.
    const other = { version: 2, from: changed.from, until: null, budget: 40n * stx, places: 5 }
    expect(rules[1]).toEqual({ ...rules[0], ...other })
    await refused('maintainer', 'pending', 'app', 'rules', 'change', ...mine, '--budget', '30stx')

    await done('maintainer', 'app', 'release-key', ...mine, '--key', '77'.repeat(32), '--min-seq', '3')
    expect((await appNow(id)).releaseKeys.at(-1)).toMatchObject({ releaseKey: '77'.repeat(32), minSeq: 3 })
  })

  test('ends the rules once, and hands the app over to one who accepts', async () => {
    const { id, start } = await register()
    const mine = ['--app', id]
    await mineTo(start + 1)
    const { until } = await done('maintainer', 'app', 'rules', 'end', ...mine)
    expect((await appNow(id)).rules.at(-1)?.until).toBe(until)
    await refused('maintainer', 'ended', 'app', 'rules', 'end', ...mine)
    await refused('heir', 'not-offered', 'app', 'accept', ...mine)
    await done('maintainer', 'app', 'offer', ...mine, '--to', address('other'))
    await done('maintainer', 'app', 'offer', ...mine)
    await refused('other', 'not-offered', 'app', 'accept', ...mine)
    await done('maintainer', 'app', 'offer', ...mine, '--to', address('heir'))
    expect(await done('heir', 'app', 'accept', ...mine)).toMatchObject({ before: address('maintainer') })
    await refused('maintainer', 'not-yours', 'app', 'offer', ...mine)
  })

  test('vetoes a first settlement before it is payable', async () => {
    const { id, start } = await register()
    const mine = ['--app', id]
    await done('funder', 'fund', ...mine, '--amount', '90stx')
    await mineTo(start + length + 1)
    await refused('maintainer', 'not-settled', 'app', 'veto', ...mine, '--epoch', '0')
    await settleEpoch(id, 0, 30n * stx)
    await refused('other', 'not-yours', 'app', 'veto', ...mine, '--epoch', '0')
    await done('maintainer', 'app', 'veto', ...mine, '--epoch', '0')
    const { pool, rounds } = await appNow(id)
    expect(pool.free).toBe(90n * stx)
    expect(rounds.get(0)).toBe(1)
  })
})

test('an attester’s bond is put by the wallet that it agreed to, and leaves when no rules list it and its last epoch is final', {
  timeout: 120_000,
}, async () => {
  const { id, start } = await register()
  const mine = ['--app', id]
  writeFileSync(join(folder, 'listed.key'), 'a1'.repeat(32), { mode: 0o600 })
  writeFileSync(join(folder, 'unlisted.key'), 'b7'.repeat(32), { mode: 0o600 })
  const agree = (file: string) =>
    done(
      'other',
      'attester-bond',
      'agree',
      ...mine,
      '--owner',
      address('funder'),
      '--attester-key-file',
      file,
    )
  const listed = await agree('listed.key')
  const put = ['attester-bond', 'put', ...mine, '--amount', '3stx']
  await refused('other', 'not-agreed', ...put, '--key', listed.key, '--signature', listed.signature)
  expect(await done('funder', ...put, '--key', listed.key, '--signature', listed.signature)).toMatchObject({
    bond: '3000000',
  })
  await refused('funder', 'listed', 'attester-bond', 'withdraw', ...mine, '--key', listed.key)
  const unlisted = await agree('unlisted.key')
  await done('funder', ...put, '--key', unlisted.key, '--signature', unlisted.signature)
  await refused('other', 'not-yours', 'attester-bond', 'withdraw', ...mine, '--key', unlisted.key)
  expect(await done('funder', 'attester-bond', 'withdraw', ...mine, '--key', unlisted.key)).toMatchObject({
    amount: '3000000',
  })
  await refused('funder', 'not-bonded', 'attester-bond', 'withdraw', ...mine, '--key', unlisted.key)
  expect((await appNow(id)).attesters.size).toBe(1)

  const withdraw = ['attester-bond', 'withdraw', ...mine, '--key', listed.key]
  const { until } = await done('maintainer', 'app', 'rules', 'end', ...mine)
  const end = start + until * length
  await mineTo(end)
  await refused('funder', 'not-ready', ...withdraw)
  await mineTo(end + 24 + 6)
  expect(await done('funder', ...withdraw)).toMatchObject({ amount: '3000000' })
})
