import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { balanceOf } from '@understudy/chain/balance'
import { settle } from '@understudy/chain/calls'
import { createLogReader, readComplete } from '@understudy/chain/logReader'
import { type SampleChain, sampleChain } from '@understudy/chain/sample'
import { bondedMirrors, rulesAt, stateBelow } from '@understudy/chain/state'
import { attestationTemplate, parseAttestation } from '@understudy/protocol/attestation'
import { bundleOf } from '@understudy/protocol/bundle'
import { commitmentTemplate, commitTo, parseCommitment } from '@understudy/protocol/commitment'
import { epochEnd } from '@understudy/protocol/epoch'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { outcomeOf } from '@understudy/protocol/outcome'
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

// An app whose money is sBTC, from its registration to the last satoshi: a real chain with the stand-in for sBTC, a real relay, and
// every step that a person takes by the command that the person types.

/** Accounts that hold STX and sBTC from the chain's first block on; `poor` holds STX alone. */
const secretOf = (who: string) =>
  createHash('sha256').update(`understudy devnet account ${who}`).digest('hex')
const attesters = ['a1', 'a2', 'a3']
  .map((byte) => Buffer.from(byte.repeat(32), 'hex'))
  .map((secret) => ({ secret, signer: signerOf(secret) }))
  .sort((a, b) => (a.signer.pubkey < b.signer.pubkey ? -1 : 1))
const nodeKey = signerOf(Buffer.from('b1'.repeat(32), 'hex')).pubkey
const now = 1_760_000_000
const length = 48
/** µSTX of every transaction that a command sends. */
const fee = 20_000n

let folder: string
let chain: SampleChain
let relays: Relays
let env: Record<string, string>
const { start, end: endPrograms } = createPrograms()

const address = (who: string): string => chain.addressOf(`${secretOf(who)}01`)
const sbtc = (of: string) => balanceOf(chain.client, chain.contracts.pool, 'sbtc', of)
const stx = (of: string) => balanceOf(chain.client, chain.contracts.pool, 'stx', of)

async function mineTo(burnHeight: number): Promise<void> {
  const missing = burnHeight - (await chain.client.info()).burnHeight
  if (missing > 0) await chain.mine(missing)
}

/** Runs a command as somebody; a block comes for each transaction that it sends. */
async function run(who: string, ...args: string[]) {
  const out: string[] = []
  const err: string[] = []
  const mined: Promise<unknown>[] = []
  const code = await understudy(args, {
    env: { ...env, UNDERSTUDY_KEYS: join(folder, who) },
    cwd: folder,
    now: () => now * 1_000,
    say(line) {
      err.push(line)
      if (/: sent 0x/.test(line)) mined.push(chain.mine())
    },
    print: (text) => out.push(text),
  })
  await Promise.all(mined)
  return { code, out: out.join('\n'), err: err.join('\n') }
}

/** As `run`, it must succeed, and what it prints is JSON. */
async function done(who: string, ...args: string[]) {
  const { code, out, err } = await run(who, ...args, '--json')
  expect(code, err).toBe(0)
  return JSON.parse(out)
}

/** What a command moved of a wallet's two assets. */
async function moved(who: string, act: () => Promise<unknown>) {
  const of = address(who)
  const before = { stx: await stx(of), sbtc: await sbtc(of) }
  await act()
  return { stx: (await stx(of)) - before.stx, sbtc: (await sbtc(of)) - before.sbtc }
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cli-sbtc-'))
  const stacksUrl = await start('local/devnet/dist/main.js', ['--port', '0', '--burn-interval', '0'])
  const relay = { DATA_DIR: join(folder, 'relay'), PORT: '0', HOST: '127.0.0.1' }
  const relayUrl = await start('node/dist/relay/main.js', [], relay)
  chain = await sampleChain(stacksUrl, `${secretOf('deployer')}01`)
  await chain.fill([`${secretOf('poor')}01`])
  env = { STACKS_API_URL: stacksUrl, DEPLOYER: chain.deployer, RELAYS: relayUrl }
  relays = openRelays([relayUrl], { verify: await loadVerify() })
  for (const who of ['maintainer', 'funder', 'operator1', 'visitor', 'poor']) {
    mkdirSync(join(folder, who))
    writeFileSync(join(folder, who, 'stacks.key'), secretOf(who), { mode: 0o600 })
    writeFileSync(join(folder, who, 'nostr.key'), secretOf(`${who} on nostr`), { mode: 0o600 })
  }
  writeFileSync(join(folder, 'attester.key'), attesters[0]!.secret.toString('hex'), { mode: 0o600 })
}, 300_000)

afterAll(async () => {
  relays?.close()
  await endPrograms()
  rmSync(folder, { recursive: true, force: true })
})

const registration = (id: string) => [
  ...['app', 'register', '--id', id, '--asset', 'sbtc', '--budget', '0.003sbtc', '--fee', '30_000sats'],
  ...['--attesters', attesters.map(({ signer }) => signer.pubkey).join(','), '--levels', 'network'],
  ...['--min-bond', '0.0005sBTC', '--length', String(length), '--claim-period', String(length)],
]

/** Attests, commits, settles epoch 0 as the attesters do: one mirror, in one network, always up. */
async function settleEpoch0(app: string): Promise<bigint> {
  const { client, contracts, chainId } = chain
  const publish = async (event: NostrEvent | Promise<NostrEvent>) => {
    const published = await relays.publish(await event)
    if (!published.ok) throw new Error(`relay: ${JSON.stringify(published)}`)
    return event
  }
  const log = await readComplete(client, contracts, createLogReader(client, contracts), app)
  const schedule = stateBelow(log, Number.MAX_SAFE_INTEGER).apps.get(app)!.schedule
  const end = epochEnd(schedule, 0)
  await mineTo(end)
  const report = {
    ...{ mirror: 1, nodeKey, passed: 20, failed: 0, inconclusive: 0, reasons: {}, wrongBytes: false },
    ...{ principal: address('operator1'), address: '192.0.2.1', asn: 64_501, rttMicros: 9_000 },
    ...{ geohash: '', commit: 'c'.repeat(40) },
  }
  const bundles = await Promise.all(
    attesters.map(async ({ secret, signer }) => {
      const stx = chain.addressOf(`${secret.toString('hex')}01`)
      const header = { stx, latitude: 50_000_000, longitude: -8_000_000, seed: createSeeds(secret, app)(0) }
      const { root, attested } = commitTo(header, [report])
      const [{ proof }] = attested as [(typeof attested)[number]]
      const said = await publish(signer.signEvent(attestationTemplate(app, 0, report, now, proof)))
      const committed = { pool: contracts.pool, app, epoch: 0, root, count: 1 }
      const template = commitmentTemplate(committed, header, chainId, secret, now)
      const attestation = parseAttestation(said)
      const commitment = parseCommitment(await publish(signer.signEvent(template)), chainId)
      if (!attestation.ok || !commitment.ok) throw new Error('an attester is not understood')
      return { root: commitment.value.root, bundle: bundleOf(commitment.value, [attestation.value])! }
    }),
  )
  await mineTo(end + 6)
  const below = stateBelow(log, end).apps.get(app)!
  const rules = rulesAt(below, 0)!
  const outcome = outcomeOf({
    rules,
    free: below.pool.free,
    mirrors: bondedMirrors(below, 0),
    bundles: bundles.map(({ bundle }) => bundle),
  })
  const { height, hash } = await client.anchorBelow(end)
  const inputs: Inputs = {
    rulesVersion: rules.version,
    anchor: { height, hash },
    commitments: bundles.map(({ root, bundle }) => ({ key: bundle.key, root })),
    former: [],
  }
  const message = {
    ...{ pool: contracts.pool, app, epoch: 0, round: 0, inputs: inputsHash(inputs) },
    ...{ root: outcome.root, allocated: outcome.allocated, count: outcome.count },
  }
  const signatures = attesters.map(({ secret }) => signHash(settlementHash(message, chainId), secret))
  for (const [at, kind] of [kinds.proposal, kinds.coSignature].entries()) {
    const signed = { attempt: 0, inputs, message, signature: signatures[at]! }
    await publish(attesters[at]!.signer.signEvent(signedOutcomeTemplate(kind, signed, now + 60)))
  }
  await chain.send(`${secretOf('visitor')}01`, settle(contracts, message, signatures))
  await chain.mine(7)
  return outcome.mirrors[0]!.amount
}

test('an app in sBTC is registered, funded, mirrored, paid and left by commands, and moves no STX but fees', {
  timeout: 240_000,
}, async () => {
  const { contracts } = chain
  const { app, ...registered } = await done('maintainer', ...registration('playbill'), '--start', '+14')
  expect(registered).toMatchObject({ asset: 'sbtc', registered: true })
  const mine = ['--app', app]

  // 0.009 sBTC, and of STX the fee alone.
  const fund = () => done('funder', 'fund', ...mine, '--amount', '0.009sBTC')
  expect(await moved('funder', fund)).toEqual({ stx: -fee, sbtc: -900_000n })
  expect(await sbtc(contracts.pool)).toBe(900_000n)

  const node = ['--endpoint', 'https://m.example', '--node-key', nodeKey]
  const bond = async () =>
    expect(await done('operator1', 'mirror', 'register', ...mine, ...node)).toMatchObject({
      asset: 'sbtc',
      bond: '50000',
    })
  expect(await moved('operator1', bond)).toEqual({ stx: -fee, sbtc: -50_000n })
  const more = () => done('operator1', 'mirror', 'add-bond', ...mine, '--amount', '10000sats')
  expect(await moved('operator1', more)).toEqual({ stx: -fee, sbtc: -10_000n })
  expect(await sbtc(contracts.registry)).toBe(60_000n)

  const agreed = await done(
    ...(['visitor', 'attester-bond', 'agree', ...mine, '--owner', address('visitor')] as const),
    ...['--attester-key-file', 'attester.key'],
  )
  const put = ['attester-bond', 'put', ...mine, '--key', agreed.key, '--signature', agreed.signature]
  expect(await moved('visitor', () => done('visitor', ...put, '--amount', '0.0002sbtc'))).toEqual({
    stx: -fee,
    sbtc: -20_000n,
  })

  const earned = await settleEpoch0(app)
  // What is left of the budget after fees, over three places: 270,000 / 3, for the one that lives.
  expect(earned).toBe(90_000n)
  const rehearsed = await done('visitor', 'claim', ...mine, '--dry-run')
  expect(rehearsed.calls).toHaveLength(4)
  expect(rehearsed.calls[0].moves[0]).toMatch(/reward-pool sends .*0\.\d+ sBTC\./)
  const claimed = async () => {
    const { claims } = await done('visitor', 'claim', ...mine)
    expect(claims).toHaveLength(4)
  }
  const operatorBefore = await sbtc(address('operator1'))
  expect(await moved('visitor', claimed)).toEqual({ stx: -4n * fee, sbtc: 0n })
  expect((await sbtc(address('operator1'))) - operatorBefore).toBe(earned)

  // Whatever tells of money tells of it in sBTC.
  const verified = await done('visitor', 'verify', 'epoch', app, '0', '--explain', '1')
  expect(verified).toMatchObject({ ok: 'match', asset: 'sbtc', allocated: '120000' })
  expect(verified.explanation[0]).toContain('earned 0.0009 sBTC')
  for (const command of [
    ['verify', 'epoch', app, '0'],
    ['verify', 'epoch', app, '0', '--explain', '1'],
    ['mirror', 'rewards', ...mine],
    ['mirror', 'expect', ...mine, '--network', 'AS64501'],
    ['status', app],
  ]) {
    const { code, out } = await run('visitor', ...command)
    expect(code, out).toBe(0)
    expect(out).toContain('sBTC')
    expect(out).not.toMatch(/STX/)
  }

  // Out again: the bond after its wait, the rest of the deposit two epochs after it was asked for.
  await done('operator1', 'mirror', 'unbond', ...mine)
  await done('funder', 'request-exit', ...mine)
  const { start } = await done('visitor', 'status', app)
  await mineTo(start + 3 * length + 26)
  expect(await moved('operator1', () => done('operator1', 'mirror', 'withdraw', ...mine))).toEqual({
    stx: -fee,
    sbtc: 60_000n,
  })
  const leave = () => done('funder', 'exit', ...mine, '--least', '0.0078sbtc')
  expect(await moved('funder', leave)).toEqual({ stx: -fee, sbtc: 780_000n })
  expect(await sbtc(contracts.registry)).toBe(0n)
  // The attester's bond, which rules still list, is all that is left; and no STX ever came.
  expect(await sbtc(contracts.pool)).toBe(20_000n)
  expect([await stx(contracts.pool), await stx(contracts.registry)]).toEqual([0n, 0n])
})

test('what is not sBTC, or more of it than there is, is refused before anything is signed; a dry run signs nothing', {
  timeout: 120_000,
}, async () => {
  const rehearsal = await done('maintainer', ...registration('matinee'), '--dry-run')
  expect(rehearsal).toMatchObject({ dryRun: true, fee: String(fee) })
  expect(rehearsal.calls[0].moves).toEqual(['Nothing but the fee may move.'])
  const { app, registered } = await done('maintainer', ...registration('matinee'))
  expect(registered).toBe(true)

  const fund = (who: string, amount: string, ...more: string[]) =>
    run(who, 'fund', '--app', app, '--amount', amount, ...more)
  const nothing = async () => {
    for (const [amount, message] of [
      ['10stx', '--amount: 10stx is in STX, and this is about sBTC'],
      ['2500000', '--amount: 2500000 says no unit, and this is about sBTC'],
    ] as const) {
      const { code, err } = await fund('funder', amount)
      expect(code).toBe(2)
      expect(err).toContain(`error: ${message}\n  fix: write 0.001sbtc, or 100000sats`)
    }
    const dry = await fund('funder', '0.5sbtc', '--dry-run')
    expect(dry.code, dry.err).toBe(0)
    expect(dry.out).toContain(`${address('funder')} sends exactly 0.5 sBTC.`)
    expect(dry.out).toContain('network fee  0.02 STX, always in STX')
    expect(dry.out).toContain('nothing was signed or sent')
  }
  expect(await moved('funder', nothing)).toEqual({ stx: 0n, sbtc: 0n })

  const poor = async () => {
    const { code, err } = await fund('poor', '0.00000001sbtc')
    expect(code).toBe(1)
    expect(err).toContain(`${address('poor')} has 0 sBTC; this takes 0.00000001 sBTC`)
    const fees = await fund('poor', '1sat', '--tx-fee', '1sats')
    expect(fees.err).toContain('--tx-fee: 1sats is in sBTC, and this is about STX')
  }
  expect(await moved('poor', poor)).toEqual({ stx: 0n, sbtc: 0n })
})
