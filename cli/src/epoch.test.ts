import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ContractCall,
  claim,
  fund,
  registerApp,
  registerMirror,
  setEndpoint,
  settle,
} from '@understudy/chain/calls'
import { createStacksClient, type StacksClient } from '@understudy/chain/client'
import { type Contracts, contractNames, contractsOf } from '@understudy/chain/contracts'
import { createLogReader, readComplete } from '@understudy/chain/logReader'
import { bondedMirrors, rulesAt, stateBelow } from '@understudy/chain/state'
import {
  addressOf,
  confirmed,
  deployContract,
  type SignedTransaction,
  signCall,
  submit,
} from '@understudy/chain/transactions'
import { appId, coordinateOf } from '@understudy/protocol/app'
import { attestationTemplate, parseAttestation, type Report } from '@understudy/protocol/attestation'
import { bundleOf } from '@understudy/protocol/bundle'
import { commitmentTemplate, commitTo, parseCommitment } from '@understudy/protocol/commitment'
import { epochEnd } from '@understudy/protocol/epoch'
import { readBundle } from '@understudy/protocol/epochBundle'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { merkleProof, payoutLeafHash } from '@understudy/protocol/merkle'
import { type Outcome, outcomeOf } from '@understudy/protocol/outcome'
import { attesterKey } from '@understudy/protocol/rules'
import { createSeeds } from '@understudy/protocol/seed'
import {
  type Inputs,
  inputsHash,
  settlementHash,
  signedOutcomeTemplate,
} from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import { openRelays, type Relays } from '@understudy/relays/relays'
import { signerOf } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createPrograms } from './fixture.ts'
import { understudy } from './understudy.ts'

// One epoch on a real chain and a real relay, attested by three keys that sign here. With UPDATE_VECTORS set its bundle becomes the
// vector that every other test of verifying, and docs/verifying.md, go by.

const root = new URL('../../', import.meta.url)
const keyOf = (byte: string) => byte.repeat(32)
const wallets = { deployer: keyOf('d1'), maintainer: keyOf('d2'), one: keyOf('d3'), two: keyOf('d4') }
const owners = ['one', 'two', 'one', 'two'] as const
const attesters = ['a1', 'a2', 'a3']
  .map((byte) => Buffer.from(keyOf(byte), 'hex'))
  .map((secret) => ({ secret, signer: signerOf(secret) }))
  .sort((a, b) => (a.signer.pubkey < b.signer.pubkey ? -1 : 1))
const coordinate = coordinateOf('ab'.repeat(32), 'demo')
const app = appId(coordinate)
const now = 1_760_000_000

let folder: string
let client: StacksClient
let relays: Relays
let contracts: Contracts
let chainId: number
let outcome: Outcome
let env: Record<string, string>
const { start, end: endPrograms } = createPrograms()

async function post(path: string, body: unknown): Promise<void> {
  const response = await fetch(env.STACKS_API_URL + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
}

const mine = (burnBlocks: number) => post('/devnet/mine', { burnBlocks })

async function mineTo(burnHeight: number): Promise<void> {
  const missing = burnHeight - (await client.info()).burnHeight
  if (missing > 0) await mine(missing)
}

async function land(transaction: SignedTransaction): Promise<void> {
  const sent = await submit(client, transaction)
  if (!sent.ok) throw new Error(`${sent.reason} ${sent.message}`)
  await mine(1)
  const { transaction: landed } = await confirmed(client, transaction.txid, { intervalMs: 20 })
  if (landed?.status !== 'success') throw new Error(`${landed?.status}: ${JSON.stringify(landed?.result)}`)
}

async function send(who: keyof typeof wallets, call: ContractCall): Promise<void> {
  const privateKey = wallets[who]
  const nonce = await client.nonce(addressOf(privateKey, chainId))
  await land(await signCall(call, { privateKey, nonce, fee: 50_000n, chainId }))
}

async function publish(event: NostrEvent | Promise<NostrEvent>): Promise<NostrEvent> {
  const published = await relays.publish(await event)
  if (!published.ok) throw new Error(`relay: ${JSON.stringify(published)}`)
  return event
}

const nodeKeys = ['b1', 'b2', 'b3', 'b4'].map((byte) => signerOf(Buffer.from(keyOf(byte), 'hex')).pubkey)

/** What an attester found: 1 well, 2 down for a while, 3 with wrong bytes, 4 never announced by its node. */
function reportOf(mirror: number, attester: number): Report {
  const failed = mirror === 2 ? 3 + attester : mirror === 3 ? 20 : 0
  return {
    mirror,
    nodeKey: nodeKeys[mirror - 1]!,
    passed: 20 - failed,
    failed,
    inconclusive: attester,
    reasons: mirror === 2 ? { timeout: failed } : mirror === 3 ? { 'wrong-bytes': failed } : {},
    wrongBytes: mirror === 3,
    principal: mirror === 4 ? '' : addressOf(wallets[owners[mirror - 1]!], chainId),
    address: `192.0.2.${mirror}`,
    asn: 64_500 + mirror,
    rttMicros: 9_000 + 1_000 * mirror + 100 * attester,
    geohash: '',
    commit: 'c'.repeat(40),
  }
}

/** Runs a command line as a stranger would. */
async function run(args: readonly string[], more: Record<string, string> = env) {
  const out: string[] = []
  const code = await understudy(args, {
    env: more,
    cwd: folder,
    now: () => now * 1_000,
    say: (line) => void out.push(line),
    print: (text) => void out.push(text),
  })
  return { code, out: out.join('\n') }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cli-epoch-'))
  const stacksUrl = await start('local/devnet/dist/main.js', ['--port', '0', '--burn-interval', '0'])
  const relay = { DATA_DIR: join(folder, 'relay'), PORT: '0', HOST: '127.0.0.1' }
  const relayUrl = await start('node/dist/relay/main.js', [], relay)
  client = createStacksClient({ url: stacksUrl })
  chainId = (await client.info()).chainId
  const deployer = addressOf(wallets.deployer, chainId)
  env = { STACKS_API_URL: stacksUrl, DEPLOYER: deployer, RELAYS: relayUrl }
  relays = openRelays([relayUrl], { verify: await loadVerify() })
  contracts = contractsOf(deployer)
  for (const key of Object.values(wallets))
    await post(`/extended/v1/faucets/stx?address=${addressOf(key, chainId)}`, {})
  await mine(1)
  for (const [nonce, name] of contractNames.entries()) {
    const source = readFileSync(new URL(`contracts/${name}.clar`, root), 'utf8')
    const signing = { privateKey: wallets.deployer, nonce: BigInt(nonce), fee: 100_000n, chainId }
    await land(await deployContract(name, source, signing))
  }

  const schedule = { start: (await client.info()).burnHeight + 12, length: 60, notice: 3, cap: 100_000_000n }
  const terms = {
    ...{ budget: 50_000_000n, places: 3, levels: ['network'] as const, floor: 500_000, faults: 1 },
    ...{ keys: attesters.map(({ signer }) => attesterKey(signer.pubkey)), fee: 3_000_001n },
    ...{ domainBond: 15_000_000n, minBond: 10_000_000n, grace: 5, window: 30, challenge: 6 },
    ...{ claimPeriod: 600, releaseKey: '11'.repeat(32), minSeq: 0 },
  }
  await send('maintainer', registerApp(contracts, { coordinate, schedule, terms }))
  for (const [at, owner] of owners.entries()) {
    const mirror = { app, nodeKey: nodeKeys[at]!, endpoint: `https://m${at + 1}.example`, bond: 12_000_000n }
    await send(owner, registerMirror(contracts, addressOf(wallets[owner], chainId), mirror))
  }
  const deposit = { app, amount: 160_000_000n, rulesVersion: 1, minShares: 0n }
  await send('maintainer', fund(contracts, addressOf(wallets.maintainer, chainId), deposit))
  const end = epochEnd(schedule, 0)
  await mineTo(end)

  const bundles = await Promise.all(
    attesters.map(async ({ secret, signer }, at) => {
      const header = {
        stx: addressOf(keyOf(`e${at + 1}`), chainId),
        latitude: 50_000_000 + at,
        longitude: -8_000_000,
        seed: createSeeds(secret, app)(0),
      }
      const { root, attested } = commitTo(
        header,
        [1, 2, 3, 4].map((mirror) => reportOf(mirror, at)),
      )
      const said = await Promise.all(
        attested.map(({ report, proof }) =>
          publish(signer.signEvent(attestationTemplate(app, 0, report, now, proof))),
        ),
      )
      const attestations = said.flatMap((event) => {
        const read = parseAttestation(event)
        return read.ok ? [read.value] : []
      })
      const committed = {
        pool: contracts.pool,
        app,
        epoch: 0,
        root,
        count: 4,
      }
      const template = commitmentTemplate(committed, header, chainId, secret, now)
      const read = parseCommitment(await publish(signer.signEvent(template)), chainId)
      if (!read.ok) throw new Error(read.reason)
      // What one says beyond its commitment counts for nothing, even where it is dated back and borrows a proof.
      if (at === 2) {
        const proof = attested[0]!.proof
        await publish(signer.signEvent(attestationTemplate(app, 0, reportOf(1, 0), now + 1)))
        await publish(signer.signEvent(attestationTemplate(app, 0, reportOf(1, 0), now - 60, proof)))
        await publish(
          signer.signEvent(attestationTemplate(app, 0, { ...reportOf(1, 0), mirror: 9 }, now - 60)),
        )
      }
      return { root: read.value.root, bundle: bundleOf(read.value, attestations)! }
    }),
  )

  await mineTo(end + 6)
  const log = await readComplete(client, contracts, createLogReader(client, contracts), app)
  const below = stateBelow(log, end).apps.get(app)!
  const rules = rulesAt(below, 0)!
  outcome = outcomeOf({
    rules,
    free: below.pool.free,
    mirrors: bondedMirrors(below, 0),
    bundles: bundles.map(({ bundle }) => bundle),
  })
  const { height, hash } = await client.anchorBelow(end)
  const inputs: Inputs = {
    rulesVersion: rules.version,
    anchor: { height, hash },
    commitments: bundles.map(({ root: of, bundle }) => ({ key: bundle.key, root: of })),
    former: [],
  }
  const { root: tree, allocated, count } = outcome
  const message = {
    ...{ pool: contracts.pool, app, epoch: 0, round: 0, inputs: inputsHash(inputs) },
    ...{ root: tree, allocated, count },
  }
  const signatures = attesters.map(({ secret }) => signHash(settlementHash(message, chainId), secret))
  for (const at of [0, 2]) {
    const kind = at === 0 ? kinds.proposal : kinds.coSignature
    const signed = { attempt: 0, inputs, message, signature: signatures[at]! }
    await publish(attesters[at]!.signer.signEvent(signedOutcomeTemplate(kind, signed, now + 60)))
  }
  await send('one', settle(contracts, message, [signatures[0]!, null, signatures[2]!]))
  await mine(7)
  const hashes = outcome.leaves.map(payoutLeafHash)
  for (const leaf of outcome.leaves.slice(0, 2))
    await send('two', claim(contracts, { app, epoch: 0, leaf, proof: merkleProof(hashes, leaf.index) }))
}, 300_000)

afterAll(async () => {
  relays?.close()
  await endPrograms()
  rmSync(folder, { recursive: true, force: true })
})

test('an epoch is verified from a relay and a Stacks API, and from a bundle of it alone', async () => {
  const live = await run(['verify', 'epoch', app, '0', '--json'])
  expect(live.out).toContain('"ok": "match"')
  expect(live.code).toBe(0)
  expect(JSON.parse(live.out)).toMatchObject({
    ...{ root: outcome.root, allocated: String(outcome.allocated), claims: 2, attestations: 12 },
    txid: expect.stringMatching(/^0x[0-9a-f]{64}$/),
  })

  const written = await run(['bundle', 'epoch', app, '0', '--out', 'epoch.json', '--json'])
  expect(written.code).toBe(0)
  const offline = await run(['verify', 'epoch', app, '0', '--bundle', 'epoch.json', '--json'], {})
  expect(offline.code).toBe(0)
  const { txid: _, ...same } = JSON.parse(live.out)
  expect(JSON.parse(offline.out)).toEqual(same)
  const compared = [
    'verify',
    'epoch',
    app,
    '0',
    '--bundle',
    'epoch.json',
    '--stacks-url',
    env.STACKS_API_URL!,
  ]
  expect((await run(compared)).code).toBe(0)
  if (process.env.UPDATE_VECTORS)
    writeFileSync(
      new URL('packages/protocol/vectors/epoch.bundle', root),
      readFileSync(join(folder, 'epoch.json')),
    )
})

test('a bundle is the same bytes whoever writes it, and as long as nothing happens on chain', async () => {
  const digests = await Promise.all(
    ['a.json', 'b.json'].map(async (out) => {
      await run(['bundle', 'epoch', app, '0', '--out', out])
      return createHash('sha256')
        .update(readFileSync(join(folder, out)))
        .digest('hex')
    }),
  )
  expect(digests[0]).toBe(digests[1])
  await run(['bundle', 'epoch', app, '0', '--out', 'before.json'])
  await send('one', setEndpoint(contracts, { app, mirror: 1, endpoint: 'https://elsewhere.example' }))
  await run(['bundle', 'epoch', app, '0', '--out', 'after.json'])
  const [before, after] = ['before.json', 'after.json'].map((file) => {
    const read = readBundle(readFileSync(join(folder, file)))
    if (!read.ok) throw new Error(read.reason)
    return read.value.heads.registry.seq
  })
  expect(after).toBe(before! + 1)
  // The older one is a part of the chain's log still.
  const compared = [
    'verify',
    'epoch',
    app,
    '0',
    '--bundle',
    'before.json',
    '--stacks-url',
    env.STACKS_API_URL!,
  ]
  expect((await run(compared)).code).toBe(0)
})

test('rewards tells each mirror what the epoch paid it, or why nothing, and which transaction paid', async () => {
  const { code, out } = await run(['mirror', 'rewards', '--app', app, '--json'])
  expect(code).toBe(0)
  const { epochs } = JSON.parse(out) as { epochs: { epoch: number; state: string; mirrors: unknown[] }[] }
  expect(epochs).toMatchObject([{ epoch: 0, state: 'payable' }])
  const paid = new Map(outcome.leaves.map((leaf) => [leaf.mirror, leaf]))
  expect(epochs[0]!.mirrors).toEqual(
    outcome.mirrors.map(({ mirror, reported }) => ({
      mirror,
      owner: addressOf(wallets[owners[mirror - 1]!], chainId),
      amount: String(paid.get(mirror)?.amount ?? 0n),
      reason: paid.has(mirror) ? null : expect.any(String),
      availability: reported,
      txid: outcome.leaves.indexOf(paid.get(mirror)!) >= 0 ? expect.stringMatching(/^0x/) : null,
    })),
  )
  const words = (await run(['mirror', 'rewards', '--app', app])).out
  expect(words).toMatch(/mirror 1: [\d.]+ STX, availability 100\.0 %, paid by 0x[0-9a-f]{64}/)
  expect(words).toMatch(/mirror 3: nothing, .*wrong bytes/)
  expect(words).toMatch(/mirror 4: nothing, .*bound/)

  const owner = addressOf(wallets.two, chainId)
  const own = await run(['mirror', 'rewards', '--app', app, '--owner', owner, '--json'])
  expect(JSON.parse(own.out).mirrors).toEqual([2, 4])
  expect(await run(['mirror', 'rewards', '--app', app, '--mirror', '9'])).toMatchObject({ code: 1 })
})

test('expect reckons what one more mirror gets: in a network of its own, beside another, and with too little bond', async () => {
  const expected = async (...args: string[]) =>
    JSON.parse((await run(['mirror', 'expect', '--app', app, '--json', ...args])).out)
  const empty = await expected('--network', 'AS64999')
  expect(empty).toMatchObject({ network: 64_999, bond: '10000000', neighbours: 0 })
  // Two live mirrors, three places: a third network takes a whole place.
  expect(empty.here).toBe(empty.alone)
  expect(BigInt(empty.alone)).toBe((50_000_000n - 3_000_001n) / 3n)
  // Mirror 1's bond leaves 3 of 15 STX that count in its network.
  const beside = await expected('--network', 'AS64501')
  expect(beside.neighbours).toBe(1)
  expect(BigInt(beside.here)).toBe((BigInt(empty.alone) * 3n) / 15n)
  expect(await run(['mirror', 'expect', '--app', app, '--bond', '1stx'])).toMatchObject({ code: 1 })
  expect((await run(['mirror', 'expect', '--app', app])).out).toContain('no promise')
})

test('status shows rules, pool, mirrors, and what each epoch paid', async () => {
  const { code, out } = await run(['status', app, '--json'])
  expect(code).toBe(0)
  const told = JSON.parse(out)
  expect(told).toMatchObject({
    ...{ app, coordinate, epoch: 1, release: null, rulesVersion: 1 },
    pool: {
      deposited: '160000000',
      paid: String(outcome.leaves.slice(0, 2).reduce((sum, { amount }) => sum + amount, 0n)),
    },
    settlements: [{ epoch: 0, allocated: String(outcome.allocated), claimed: 2, payable: true }],
    epochs: [{ epoch: 0, state: 'payable', mirrors: expect.any(Array) }],
  })
  expect(told.mirrors.map((one: { mirror: number }) => one.mirror)).toEqual([1, 2, 3, 4])
  expect(told.mirrors[0]).toMatchObject({ bond: '12000000', counts: true, bound: false, commit: null })
  const words = (await run(['status', app])).out
  expect(words).toContain('at most 50 STX an epoch to 3 places')
  expect(words).toMatch(/mirror 3: nothing/)
})

test('without the events, or before a settlement, the answer is exit code 2', async () => {
  const empty = await run(['verify', 'epoch', app, '1', '--json'])
  expect(empty.code).toBe(2)
  expect(JSON.parse(empty.out.split('\nerror:')[0]!)).toMatchObject({
    ok: 'not-enough',
    missing: ['a settlement of epoch 1'],
  })
  const nowhere = await start('node/dist/relay/main.js', [], {
    ...{ DATA_DIR: join(folder, 'other'), PORT: '0', HOST: '127.0.0.1' },
  })
  const blind = await run(['verify', 'epoch', app, '0'], { ...env, RELAYS: nowhere })
  expect(blind.code).toBe(2)
  expect(blind.out).toContain('0 of 2 are held')
})
