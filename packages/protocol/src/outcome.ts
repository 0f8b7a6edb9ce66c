import type { Report } from './attestation.ts'
import type { CommitmentHeader } from './commitment.ts'
import { merkleRoot, type PayoutLeaf, payoutLeafHash } from './merkle.ts'
import { type ClaimVerdict, discOf, isAnycast, judgeClaim, misplaced, type Vantage } from './place.ts'
import { regionOf } from './region.ts'
import { type Rules, threshold } from './rules.ts'
import { type Candidate, score } from './score.ts'
import { type Cap, vector } from './sphere.ts'

/** A mirror as the chain knows it at the anchor. */
export interface BondedMirror {
  readonly mirror: number
  readonly nodeKey: string
  /** Owner, and whom it pays: a Stacks principal. */
  readonly owner: string
  /** µSTX at the epoch's first block. */
  readonly bond: bigint
  /** Burn height of its registration. */
  readonly since: number
}

/** One attester's bundle, its root already checked against its commitment. */
export interface Bundle {
  /** Compressed key, 33 bytes hex. */
  readonly key: string
  readonly header: CommitmentHeader
  readonly reports: readonly Report[]
}

export interface OutcomeInputs {
  readonly rules: Rules
  /** The pool's free money at the anchor, µSTX. */
  readonly free: bigint
  readonly mirrors: readonly BondedMirror[]
  readonly bundles: readonly Bundle[]
  /** For place only: bundles of earlier epochs, of attesters that have none in `bundles`. */
  readonly former?: readonly Bundle[]
}

/** What became of one mirror, and why. */
export interface MirrorOutcome {
  readonly mirror: number
  readonly owner: string
  /** Availability after floor and evidence, ppm. */
  readonly availability: number
  /** The M-th highest report before those, ppm; null when fewer than M reported. */
  readonly reported: number | null
  readonly asn: number
  readonly claim: ClaimVerdict
  /** Proven levels of its place, outermost first, the network left out. */
  readonly place: readonly string[]
  /** One key that answers in several places, and so has none. */
  readonly anycast: boolean
  readonly counted: bigint
  readonly amount: bigint
  /** Why it earns nothing; absent when it earns. */
  readonly reason?:
    | 'not bound'
    | 'too few reports'
    | 'wrong bytes'
    | 'below the floor'
    | 'place falsified'
    | 'no share'
}

export interface Outcome {
  readonly mirrors: readonly MirrorOutcome[]
  readonly leaves: readonly PayoutLeaf[]
  readonly root: string
  /** µSTX. */
  readonly allocated: bigint
  readonly count: number
}

const min = (a: bigint, b: bigint) => (a < b ? a : b)

/**
 * The payout of one epoch: a pure function of what `inputs` names. Leaves: mirrors by id, then attesters' fees by key; amounts of
 * 0 left out. design: What a mirror earns.
 */
export function outcomeOf({ rules, free, mirrors, bundles, former = [] }: OutcomeInputs): Outcome {
  const m = threshold(rules.keys)
  const budget = min(rules.budget, free)
  const payees = feePayees(bundles)
  const fee = min(rules.fee, budget / 10n) / BigInt(rules.keys.length)
  const earnings = budget - fee * BigInt(payees.length)
  const ordered = [...mirrors].sort((a, b) => a.mirror - b.mirror)
  const nodeKeys = new Map(ordered.map(({ mirror, nodeKey }) => [mirror, nodeKey]))
  const present = bundles.map((bundle) => toldBy(bundle, nodeKeys))
  const reports = new Map(ordered.map(({ mirror }) => [mirror, aboutOne(present, mirror)]))
  const absent = still(
    former.map((bundle) => toldBy(bundle, nodeKeys)),
    present,
    reports,
    m,
  )
  const heard = vantagesOf([...present, ...absent], rules.faults)
  const judged = ordered.map((mirror) =>
    judge(mirror, reports.get(mirror.mirror)!, discsOf(mirror.mirror, heard), rules, m),
  )
  const pays = new Map(
    score(
      judged.flatMap((j) => (j.candidate ? [j.candidate] : [])),
      {
        earnings,
        places: rules.places,
        domainBond: rules.domainBond,
      },
    ).map((pay) => [pay.mirror, pay]),
  )
  const settled = judged.map(({ outcome }): MirrorOutcome => {
    const pay = pays.get(outcome.mirror)
    if (pay) return { ...outcome, amount: pay.amount, counted: pay.counted }
    return { ...outcome, reason: outcome.reason ?? 'no share' }
  })
  // D = 0 or q = 0: fees only, and without a fee no leaves.
  const payouts = [
    ...settled.map((s) => ({ mirror: s.mirror, recipient: s.owner, amount: s.amount })),
    ...payees.map((recipient) => ({ mirror: 0, recipient, amount: fee })),
  ].filter((payout) => payout.amount > 0n)
  const leaves = payouts.map((payout, index) => ({ index, ...payout }))
  return {
    mirrors: settled,
    leaves,
    root: merkleRoot(leaves.map(payoutLeafHash)),
    allocated: leaves.reduce((sum, leaf) => sum + leaf.amount, 0n),
    count: leaves.length,
  }
}

/** Attesters whose bundle holds at least half of the median number of attestations, in key order: their principals. */
function feePayees(bundles: readonly Bundle[]): string[] {
  const counts = bundles.map((b) => b.reports.length).sort((a, b) => a - b)
  const median = counts[Math.floor((counts.length - 1) / 2)] ?? 0
  return [...bundles]
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .filter((bundle) => bundle.reports.length * 2 >= median)
    .map((bundle) => bundle.header.stx)
}

/** What at least M of the reports agree on. */
function agreed<T>(reports: readonly Report[], of: (report: Report) => T, m: number): T | undefined {
  const found = reports.find((one) => reports.filter((other) => of(other) === of(one)).length >= m)
  return found && of(found)
}

/** A bundle's reports by mirror, those about other node keys than the chain's left out. */
interface Told extends Omit<Bundle, 'reports'> {
  readonly reports: ReadonlyMap<number, Report>
}

function toldBy({ key, header, reports }: Bundle, nodeKeys: ReadonlyMap<number, string>): Told {
  const own = new Map<number, Report>()
  for (const report of reports)
    if (report.nodeKey === nodeKeys.get(report.mirror)) own.set(report.mirror, report)
  return { key, header, reports: own }
}

function aboutOne(told: readonly Told[], mirror: number): Report[] {
  const about: Report[] = []
  for (const { reports } of told) {
    const report = reports.get(mirror)
    if (report) about.push(report)
  }
  return about
}

/**
 * What former bundles still say: a mirror may have moved since, so a round trip counts only at the address that M attesters dialled in
 * this epoch.
 */
function still(
  former: readonly Told[],
  present: readonly Told[],
  reports: ReadonlyMap<number, readonly Report[]>,
  m: number,
): Told[] {
  const keys = new Set(present.map(({ key }) => key))
  const dialled = ({ mirror, address }: Report) =>
    address === agreed(reports.get(mirror)!, (report) => report.address, m)
  return former
    .filter(({ key }) => !keys.has(key))
    .map((told) => ({ ...told, reports: new Map([...told.reports].filter(([, report]) => dialled(report))) }))
}

/** Where attesters stand and what they timed, the misplaced ones left out. */
function vantagesOf(told: readonly Told[], faults: number): Vantage[] {
  const vantages = told.map(({ key, header, reports }): Vantage => {
    const centre = vector(header.latitude, header.longitude)
    const discs = new Map<number, Cap>()
    for (const [mirror, { rttMicros }] of reports)
      if (rttMicros > 0) discs.set(mirror, discOf(centre, rttMicros))
    return { key, centre, discs }
  })
  const wrong = misplaced(vantages, faults)
  return vantages.filter(({ key }) => !wrong.has(key))
}

function discsOf(mirror: number, vantages: readonly Vantage[]): Cap[] {
  const caps: Cap[] = []
  for (const { discs } of vantages) {
    const disc = discs.get(mirror)
    if (disc) caps.push(disc)
  }
  return caps
}

/** Proven levels, outermost first: an unproven one ends the path. */
function provenLevels(discs: readonly Cap[], rules: Rules): string[] {
  const region = regionOf(discs, rules.faults)
  const path: string[] = []
  for (const level of ['continent', 'country'] as const) {
    if (!rules.levels.includes(level)) continue
    const name = region[level]
    if (name === undefined) break
    path.push(name)
  }
  return path
}

function judge(
  mirror: BondedMirror,
  reports: readonly Report[],
  discs: readonly Cap[],
  rules: Rules,
  m: number,
): { outcome: MirrorOutcome; candidate?: Candidate } {
  const rates = reports
    .filter((r) => r.passed + r.failed > 0)
    .map((r) => Math.floor((r.passed * 1_000_000) / (r.passed + r.failed)))
    .sort((a, b) => b - a)
  const reported = rates[m - 1] ?? null
  // Unknown, 0, is nothing to agree on, and what is not agreed on is unknown.
  const asn = agreed(reports, (report) => report.asn, m) ?? 0
  const geohash = agreed(reports, (report) => report.geohash, m) ?? ''
  const claim = judgeClaim(geohash, discs, rules.faults)
  const byPlace = rules.levels.some((level) => level !== 'network')
  const anycast = isAnycast(discs, rules.faults)
  const place = byPlace && !anycast ? provenLevels(discs, rules) : []
  const base = {
    mirror: mirror.mirror,
    owner: mirror.owner,
    availability: 0,
    reported,
    asn,
    claim,
    place,
    anycast,
    counted: 0n,
    amount: 0n,
  }
  const nothing = (reason: MirrorOutcome['reason']) => ({ outcome: { ...base, reason } as MirrorOutcome })
  if (reported === null) return nothing('too few reports')
  if (agreed(reports, (report) => report.principal, m) !== mirror.owner) return nothing('not bound')
  if (reports.filter((r) => r.wrongBytes).length >= m) return nothing('wrong bytes')
  if (reported < rules.floor || reported === 0) return nothing('below the floor')
  if (claim === 'falsified') return nothing('place falsified')
  const network = rules.levels.includes('network') && asn !== 0 ? `AS${asn}` : ''
  return {
    outcome: { ...base, availability: reported },
    candidate: {
      mirror: mirror.mirror,
      availability: reported,
      // Where networks are all that counts, each is a place.
      path: byPlace ? place : network ? [network] : [],
      network: byPlace ? network : '',
      bond: mirror.bond,
      since: mirror.since,
    },
  }
}
