import { proposerOf } from '@understudy/protocol/epoch'
import { explainMirror } from '@understudy/protocol/explain'
import { formatMoney } from '@understudy/protocol/money'
import type { MirrorOutcome } from '@understudy/protocol/outcome'
import type { Match } from '@understudy/protocol/verify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  besideFalsePlace,
  copying,
  falseStand,
  flooding,
  lying,
  showingToHalf,
  sitting,
  twoOutcomes,
  withholding,
  wrongNetwork,
} from './real/attesters.ts'
import { allMirrors, farAway, forgedDns, proxyOfRival, west } from './real/mirrors.ts'
import { openRealNetwork, type RealAttester, type RealNetwork } from './real/network.ts'
import { delays, duplicates, forges, hides, loses } from './relays.ts'

// The simulator's adversaries as real programs: devnet, relays, forge, nodes and attesters are those that operators run, and the liars stand
// before or beside them. `npm test` runs a few of them; ADVERSARIES=all, which is `npm run adversaries:real`, runs all.

const all = process.env.ADVERSARIES === 'all'
let network: RealNetwork

const outcomeOf = (match: Match, mirror: string): MirrorOutcome =>
  match.outcome.mirrors.find((one) => one.mirror === network.idOf(mirror))!
const reportsOn = (match: Match, mirror: string) =>
  match.bundles.flatMap(({ key, reports }) =>
    reports.filter((report) => report.mirror === network.idOf(mirror)).map((report) => ({ key, ...report })),
  )

/** What came of an epoch's mirrors, whoever of the attesters lied: each honest one what honest attesters saw, each lying one its due. */
function expectDues(match: Match, liars: readonly RealAttester[]): void {
  const lied = new Set(liars.map(({ identity }) => identity.key))
  for (const { name, due, reasons = [], seen } of network.mirrors) {
    const outcome = outcomeOf(match, name)
    const why = `${name}: ${explainMirror(match, network.idOf(name))?.join('\n')}`
    const honest = reportsOn(match, name).filter(({ key }) => !lied.has(key))
    if (due === 'nothing') {
      expect(outcome.amount, why).toBe(0n)
      expect(reasons, why).toContain(outcome.reason)
      if (seen) {
        const words = honest.flatMap((report) => Object.keys(report.reasons))
        expect(
          words.some((word) => word.startsWith(seen)),
          why,
        ).toBe(true)
      }
      continue
    }
    expect(outcome.amount, why).toBeGreaterThan(0n)
    const rates = honest.map(({ passed, failed }) => Math.floor((passed * 1_000_000) / (passed + failed)))
    expect(outcome.availability, why).toBeGreaterThanOrEqual(Math.min(...rates))
    expect(outcome.availability, why).toBeLessThanOrEqual(Math.max(...rates))
  }
}

/** What one whole network within a place would earn, had it been up all the time, µSTX. */
function wholeOf(match: Match, mirror: string): bigint {
  const { asn, amount, availability } = outcomeOf(match, mirror)
  const together = match.outcome.mirrors.filter((one) => one.asn === asn && one.amount > 0n).length
  return (amount * 1_000_000n * BigInt(together)) / BigInt(availability)
}

const keysIn = (match: Match) => match.bundles.map(({ key }) => key)
const feeOf = (match: Match, { identity }: RealAttester) =>
  match.outcome.leaves
    .filter(({ mirror, recipient }) => mirror === 0 && recipient === identity.payee)
    .reduce((sum, { amount }) => sum + amount, 0n)

type Row = readonly [epoch: string, adversary: string, earned: string, why: string]
const rows: Row[] = []
const stx = (amount: bigint) => formatMoney(amount, 'stx')

function tellMirrors(match: Match): void {
  for (const { name, lie } of network.mirrors) {
    const { amount, reason, reported } = outcomeOf(match, name)
    const counts: Record<string, number> = {}
    for (const { reasons } of reportsOn(match, name))
      for (const [word, times] of Object.entries(reasons)) counts[word] = (counts[word] ?? 0) + times
    const words = Object.entries(counts).map(([word, times]) => `${word} ×${times}`)
    const rate = reported === null ? [] : [`${(reported / 10_000).toFixed(1)} % up`]
    const why = [...(reason ? [reason] : []), ...rate, ...words].join(', ')
    rows.push([String(match.facts.epoch), lie ? name : `(honest) ${name}`, stx(amount), why])
  }
}

function tell(match: Match, adversary: string, earned: bigint, why: string): void {
  rows.push([String(match.facts.epoch), adversary, stx(earned), why])
}

async function settled(epoch: number, silent: readonly RealAttester[] = []): Promise<Match> {
  const settlement = await network.settle(epoch, new Set(silent.map(({ name }) => name)))
  const match = await network.verified(epoch)
  if (epoch === 0) tellMirrors(match)
  expect(match.outcome.root).toBe(settlement.root)
  expect([...(await network.chainApp()).banned]).toEqual([])
  return match
}

afterAll(async () => {
  const head: Row = ['epoch', 'adversary', 'earned', 'why']
  const widths = [0, 1, 2].map((at) => Math.max(...[head, ...rows].map((row) => row[at]!.length)))
  for (const row of [head, ...rows])
    process.stdout.write(
      `${row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    )
  await network?.close()
}, 120_000)

describe.runIf(!all)('a few real adversaries', () => {
  beforeAll(async () => {
    const mirrors = [west, proxyOfRival, forgedDns]
    network = await openRealNetwork({ attesters: 3, mirrors, levels: ['network'], probeIntervalMs: 1_500 })
  }, 240_000)

  test('an attester of three and a relay of three lie for two thieves, and neither thief earns anything', async () => {
    const [liar] = network.attesters as [RealAttester]
    const thieves = network.mirrors.filter(({ due }) => due === 'nothing').map(({ name }) => name)
    await lying(thieves, [west.name])(network, liar, 0)
    network.fronts[1]!.faults = forges('relay 1')
    await network.mineTo(network.beginOf(0))
    await network.probed(0, 3)
    const match = await settled(0)
    expectDues(match, [liar])
    tell(match, 'slanders the honest, praises thieves', feeOf(match, liar), 'a fee, as everybody')
  }, 400_000)
})

describe.runIf(all)('every real adversary', () => {
  /** M − 1 of them, of those that the tampering mirror does not fool: what they say is a lie, or is not heard. */
  const liars = () => network.attesters.slice(3) as [RealAttester, RealAttester]
  const firstProposer = (epoch: number) => {
    const key = proposerOf(network.keys, epoch, 0)
    return network.attesters.find(({ identity }) => identity.key === key)!
  }

  beforeAll(async () => {
    network = await openRealNetwork({
      ...{ attesters: 5, mirrors: allMirrors, levels: ['continent', 'network'], probeIntervalMs: 10_000 },
    })
  }, 400_000)

  test('ten lying mirrors among honest attesters, with a relay that loses events and one that delays them', async () => {
    const [, losing, slow] = network.fronts
    losing!.faults = loses('relay 1')
    slow!.faults = delays((ms) => Math.floor(Math.random() * ms), 3_000)
    await network.mineTo(network.beginOf(0))
    await network.probed(0, 2)
    const match = await settled(0)
    expectDues(match, [])
    const whole = wholeOf(match, west.name)
    const twins = network.mirrors.filter(({ name }) => name.startsWith('two on one host'))
    const both = twins.reduce((sum, { name }) => sum + outcomeOf(match, name).amount, 0n)
    expect(both).toBeLessThanOrEqual(whole)
    // A place is proven by round trips: to say nothing of it changes nothing.
    expect(wholeOf(match, 'hidden place')).toBeLessThanOrEqual(wholeOf(match, 'east') + 2n)
    tell(match, 'relay that loses half, relay that delays and reorders', 0n, 'one honest relay is enough')
  }, 400_000)

  test('two attesters praise thieves and slander the honest, with a relay that duplicates and one that forges', async () => {
    const [, duplicating, forging] = network.fronts
    duplicating!.faults = duplicates
    forging!.faults = forges('relay 2')
    const thieves = network.mirrors.filter(({ due }) => due === 'nothing').map(({ name }) => name)
    for (const liar of liars()) await lying(thieves, [west.name])(network, liar, 1)
    await network.mineTo(network.beginOf(1))
    await network.probed(1, 2)
    const match = await settled(1)
    expectDues(match, liars())
    for (const liar of liars())
      tell(
        match,
        'attester that praises thieves, slanders a rival',
        feeOf(match, liar),
        'its fee, as everybody; no mirror moved',
      )
    tell(match, 'relay that duplicates, relay that forges', 0n, 'one honest relay is enough')
  }, 400_000)

  test('one attester floods and sits on signatures in its turn, one shows its bundle to half, through a relay that helps it', async () => {
    const proposer = firstProposer(2)
    const half = liars().find((liar) => liar !== proposer)!
    network.fronts[1]!.faults = {}
    await showingToHalf(network, half, 2)
    await sitting(network, proposer, 2)
    await network.mineTo(network.beginOf(2))
    await flooding(network, proposer, 2)
    await network.probed(2, 2)
    const match = await settled(2, [half])
    expectDues(match, [proposer, half])
    expect(match.signers).not.toContain(proposer.identity.key)
    tell(
      match,
      'attester that floods, and sits on signatures',
      feeOf(match, proposer),
      'settled without its signature',
    )
    const heard = keysIn(match).includes(half.identity.key)
      ? 'its bundle counts: others gave it on'
      : 'left out'
    tell(match, 'attester that shows its bundle to half', feeOf(match, half), heard)
  }, 400_000)

  test('one attester copies, one withholds, and a relay shows some to some', async () => {
    const [copier, withholder] = liars()
    const [victim] = network.attesters as [RealAttester]
    network.fronts[1]!.faults = {}
    network.fronts[2]!.faults = hides('relay 2')
    await withholding(network, withholder, 3)
    await copying(victim)(network, copier, 3)
    await network.mineTo(network.beginOf(3))
    await network.probed(3, 2)
    const match = await settled(3, [copier, withholder])
    expectDues(match, [copier, withholder])
    for (const liar of [copier, withholder]) {
      expect(keysIn(match)).not.toContain(liar.identity.key)
      expect(feeOf(match, liar)).toBe(0n)
    }
    tell(match, 'attester that copies', 0n, 'committed after the cut-off: left out')
    tell(match, 'attester that withholds', 0n, 'no bundle under its commitment: left out')
    tell(match, 'relay that shows some to some', 0n, 'one honest relay is enough')
  }, 400_000)

  test('one attester stands elsewhere than it says, one lies about every network', async () => {
    const [misnaming, moved] = liars()
    network.fronts[2]!.faults = {}
    await falseStand(network, moved, 4)
    await wrongNetwork(network, misnaming, 4)
    await network.mineTo(network.beginOf(4))
    await network.probed(4, 2)
    const match = await settled(4)
    expectDues(match, liars())
    expect(match.bundles.find(({ key }) => key === moved.identity.key)!.header.latitude).toBeLessThan(0)
    expect(reportsOn(match, west.name).map(({ asn }) => asn)).toContain(65_000)
    for (const { name } of network.mirrors) expect(outcomeOf(match, name).asn, name).not.toBe(65_000)
    tell(
      match,
      'attester that stands elsewhere',
      feeOf(match, moved),
      'its fee, as everybody; its round trips are not heard',
    )
    tell(
      match,
      'attester that lies about networks',
      feeOf(match, misnaming),
      'its fee, as everybody; M agree on others',
    )
  }, 400_000)

  // Who is banned is not heard about places either, so it is one of three in its city.
  test('one attester times a mirror as if beside the place where that is not, one signs two outcomes and is banned, and the maintainer backdates a release', async () => {
    const [beside, doubling] = liars()
    await besideFalsePlace(farAway.name)(network, beside, 5)
    await twoOutcomes(network, doubling, 5)
    await network.mineTo(network.beginOf(5))
    // As late as that it cannot bind within the epoch, whatever date it bears: its age runs from when attesters saw it.
    await network.mineTo(network.endOf(5) - 4)
    await network.release(Math.floor(Date.now() / 1_000) - 90 * 86_400)
    await network.probed(5, 2)
    await network.settle(5, new Set())
    expect(await network.banned()).toEqual([doubling.identity.key])
    // Where its signature was one of M, what they settled is void, and the others settle again.
    await network.settle(5, new Set([doubling.name]))
    const match = await network.verified(5)
    expectDues(match, liars())
    expect(reportsOn(match, farAway.name).map(({ rttMicros }) => rttMicros)).toContain(900)
    tell(
      match,
      'attester beside a false place',
      feeOf(match, beside),
      'its fee, as everybody; the place is falsified',
    )
    const round = match.facts.settlement.round === 0 ? 'what it settled stands' : 'settled again without it'
    tell(match, 'attester that signs two outcomes', feeOf(match, doubling), `banned; ${round}`)
    tell(match, 'maintainer who backdates a release', 0n, 'age runs from when M attesters saw it')
  }, 400_000)
})
