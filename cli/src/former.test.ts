import { addressOf } from '@understudy/chain/transactions'
import { attestationTemplate } from '@understudy/protocol/attestation'
import { commitmentTemplate, commitTo } from '@understudy/protocol/commitment'
import { epochEnd } from '@understudy/protocol/epoch'
import type { EventTemplate, NostrEvent, Verify } from '@understudy/protocol/event'
import { explainMirror } from '@understudy/protocol/explain'
import { kinds } from '@understudy/protocol/kinds'
import { type Bundle, outcomeOf } from '@understudy/protocol/outcome'
import { attesterKey, pubkeyOf, type Rules } from '@understudy/protocol/rules'
import {
  type FormerCommitment,
  type Inputs,
  inputsHash,
  settlementHash,
  signedOutcomeTemplate,
} from '@understudy/protocol/settlement'
import { evenSecret, signHash } from '@understudy/protocol/sip018'
import {
  type ChainFacts,
  decisiveEvents,
  formerOf,
  type Verdict,
  verifyEpoch,
} from '@understudy/protocol/verify'
import { signerOf } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { beforeAll, expect, test } from 'vitest'

// Three attesters, one of them away in epoch 9: what it said in epoch 7 tells where the mirror stands.
const chainId = 2_147_483_648
const at = 1_800_000_000
const app = 'ab'.repeat(32)
const epoch = 9
const secrets = ['a1', 'a2', 'a3'].map((byte) => evenSecret(Buffer.from(byte.repeat(32), 'hex')))
const signers = secrets.map((secret) => signerOf(secret))
const keys = signers.map(({ pubkey }) => attesterKey(pubkey)).sort()
const absent = keys[2]!
const owner = addressOf('44'.repeat(32), chainId)
const pool = `${owner}.reward-pool`
const mirror = { mirror: 1, nodeKey: '11'.repeat(32), owner, bond: 100n, since: 900 }
const schedule = { start: 1_000, length: 144, notice: 3, cap: 10n ** 12n }
const rules: Rules = {
  ...{ version: 1, from: 0, until: null, budget: 1_000_000n, keys, places: 1, floor: 500_000, fee: 0n },
  ...{ levels: ['continent', 'country'], domainBond: 100n, grace: 6, minBond: 1n, faults: 0 },
  ...{ window: 72, challenge: 18, claimPeriod: 1_000, releaseKey: '22'.repeat(32), minSeq: 1 },
}
/** The absent one stands in Frankfurt as the mirror does, the others in Paris and Warsaw. */
const spots = [
  { latitude: 48_850_000, longitude: 2_350_000, rttMicros: 12_000 },
  { latitude: 52_230_000, longitude: 21_010_000, rttMicros: 18_000 },
  { latitude: 50_110_000, longitude: 8_680_000, rttMicros: 400 },
]

const signerFor = (key: string) => signers.find(({ pubkey }) => pubkey === pubkeyOf(key))!
const signed = async (key: string, template: EventTemplate) => signerFor(key).signEvent(template)
const secretFor = (key: string) => secrets[signers.indexOf(signerFor(key))]!

/** What an attester publishes of an epoch. */
async function said(key: string, of: number, address = '203.0.113.7') {
  const { rttMicros, ...place } = spots[keys.indexOf(key)]!
  const header = { stx: owner, ...place, seed: '33'.repeat(32) }
  const report = {
    ...{ mirror: 1, nodeKey: mirror.nodeKey, passed: 10, failed: 0, inconclusive: 0, reasons: {} },
    ...{ wrongBytes: false, principal: owner, address, asn: 64_500, rttMicros, geohash: '', commit: '' },
  }
  const { root, attested } = commitTo(header, [report])
  const message = { pool, app, epoch: of, root, count: 1 }
  const bundle: Bundle = { key, header, reports: [report] }
  const events = await Promise.all([
    signed(key, commitmentTemplate(message, header, chainId, secretFor(key), at)),
    signed(key, attestationTemplate(app, of, report, at, attested[0]!.proof)),
  ])
  return { key, epoch: of, root, bundle, events }
}
type Said = Awaited<ReturnType<typeof said>>

/** The epoch as those who were there settled it. */
async function settled(
  present: readonly Said[],
  former: readonly Said[],
  named?: readonly FormerCommitment[],
) {
  const outcome = outcomeOf({
    ...{ rules, free: 10n ** 9n, mirrors: [mirror] },
    bundles: present.map(({ bundle }) => bundle),
    former: former.map(({ bundle }) => bundle),
  })
  const inputs: Inputs = {
    ...{ rulesVersion: 1, anchor: { height: 5_000, hash: '44'.repeat(32) } },
    commitments: present.map(({ key, root }) => ({ key, root })),
    former: named ?? former.map(({ key, epoch, root }) => ({ key, epoch, root })),
  }
  const { root, allocated, count } = outcome
  const message = { pool, app, epoch, round: 0, inputs: inputsHash(inputs), root, allocated, count }
  const signatures = await Promise.all(
    keys.slice(0, 2).map((key) => {
      const signature = signHash(settlementHash(message, chainId), secretFor(key))
      const template = signedOutcomeTemplate(
        kinds.coSignature,
        { attempt: 0, inputs, message, signature },
        at,
      )
      return signed(key, template)
    }),
  )
  const facts: ChainFacts = {
    ...{ chainId, pool, app, asset: 'stx', epoch, schedule, rules, anchor: inputs.anchor, free: 10n ** 9n },
    ...{ mirrors: [mirror], barred: [], settledBefore: [6, 7, 8], claims: [] },
    settlement: {
      ...{ round: 0, rulesVersion: 1, inputs: message.inputs, root, allocated, count },
      ...{ signers: [true, true, false], burn: epochEnd(schedule, epoch) + 7 },
    },
  }
  const events = [...signatures, ...[...present, ...former].flatMap((of) => of.events)] as NostrEvent[]
  return { facts, events, outcome }
}

let verify: Verify
let present: Said[]
let former: Said
beforeAll(async () => {
  verify = await loadVerify()
  present = await Promise.all(keys.slice(0, 2).map((key) => said(key, epoch)))
  former = await said(absent, 7)
})

const step = (verdict: Verdict) => (verdict.ok === 'mismatch' ? verdict.step : verdict.ok)

test('who is absent is heard about places by what it said before, and the verifier says so', async () => {
  const alone = await settled(present, [])
  expect(alone.outcome.mirrors[0]!.place).toEqual(['EU'])
  const { facts, events, outcome } = await settled(present, [former])
  expect(outcome.mirrors[0]!.place).toEqual(['EU', 'DE'])
  const verdict = verifyEpoch(facts, events, verify)
  if (verdict.ok !== 'match') throw new Error(JSON.stringify(verdict))
  expect(verdict.bundles.map(({ key }) => key)).toEqual(keys.slice(0, 2))
  expect(verdict.former.map(({ key, epoch }) => [key, epoch])).toEqual([[absent, 7]])
  expect(explainMirror(verdict, 1)!.join('\n')).toContain(
    `attester ${pubkeyOf(absent).slice(0, 12)} was away: for its place alone counts what it said in epoch 7`,
  )
})

test('out of all that relays hold, what an absent attester said is found by what was settled', async () => {
  const { facts, events } = await settled(present, [former])
  const other = await said(absent, 8)
  const held = [...events, ...other.events, ...events] as NostrEvent[]
  expect(formerOf(facts, held)).toEqual([{ key: absent, epoch: 7, root: former.root }])
  const decisive = decisiveEvents(facts, held)
  expect(new Set(decisive.map(({ id }) => id))).toEqual(new Set(events.map(({ id }) => id)))
  expect(verifyEpoch(facts, decisive, verify).ok).toBe('match')
  // Beside what counts nothing may hide, were it from the right epochs.
  expect(step(verifyEpoch(facts, [...events, ...(other.events as NostrEvent[])], verify))).toBe('commitment')
  expect(step(verifyEpoch(facts, [...events, other.events[1] as NostrEvent], verify))).toBe('attestation')
})

test('without it nothing is computed', async () => {
  const { facts, events } = await settled(present, [former])
  const gone = (kind: number) =>
    events.filter((event) => event.kind !== kind || event.pubkey !== pubkeyOf(absent))
  expect(verifyEpoch(facts, gone(kinds.commitment), verify)).toMatchObject({
    ok: 'not-enough',
    missing: [expect.stringContaining('in epoch 7')],
  })
  expect(verifyEpoch(facts, gone(kinds.attestation), verify)).toMatchObject({
    ok: 'not-enough',
    missing: [expect.stringMatching(/^1 of 1 attestations of .* in epoch 7$/)],
  })
})

test.each<[string, () => Promise<readonly Said[]>, Partial<ChainFacts>, string]>([
  ['of an epoch that was not settled', async () => [await said(absent, 5)], {}, 'inputs'],
  ['of an epoch too long ago', async () => [await said(absent, 0)], { settledBefore: [6, 7, 8] }, 'event'],
  ['of one who is there', async () => [await said(keys[0]!, 7)], {}, 'inputs'],
  ['twice', async () => [former, await said(absent, 8)], {}, 'inputs'],
  ['of one who was banned', async () => [former], { barred: [absent] }, 'inputs'],
])('a former commitment %s is a mismatch, whoever signed it', async (_, who, over, found) => {
  const { facts, events } = await settled(present, await who())
  expect(step(verifyEpoch({ ...facts, ...over }, events, verify))).toBe(found)
})

test('another root than the one that was said is a mismatch', async () => {
  const forged = { key: absent, epoch: 7, root: '55'.repeat(32) }
  const { facts, events } = await settled(present, [former], [forged])
  expect(step(verifyEpoch(facts, events, verify))).toBe('commitment')
})
