import type { Report } from './attestation.ts'
import type { CommitmentHeader } from './commitment.ts'
import { merkleRoot, type PayoutLeaf, payoutLeafHash } from './merkle.ts'
import { type ClaimVerdict, discOf, judgeClaim } from './place.ts'
import { type Rules, threshold } from './rules.ts'
import { type Candidate, score } from './score.ts'

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
export function outcomeOf({ rules, free, mirrors, bundles }: OutcomeInputs): Outcome {
  const m = threshold(rules.keys)
  const budget = min(rules.budget, free)
  const payees = feePayees(bundles)
  const fee = min(rules.fee, budget / 10n) / BigInt(rules.keys.length)
  const earnings = budget - fee * BigInt(payees.length)
  const ordered = [...mirrors].sort((a, b) => a.mirror - b.mirror)
  const judged = ordered.map((mirror) => judge(mirror, bundles, rules, m))
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

/** The value that at least M of the reports agree on. */
function agreed<T>(values: readonly T[], m: number): T | undefined {
  return values.find((value) => values.filter((other) => other === value).length >= m)
}

function judge(
  mirror: BondedMirror,
  bundles: readonly Bundle[],
  rules: Rules,
  m: number,
): { outcome: MirrorOutcome; candidate?: Candidate } {
  const seen = bundles.flatMap((bundle) => {
    const report = bundle.reports.find((r) => r.mirror === mirror.mirror && r.nodeKey === mirror.nodeKey)
    return report ? [{ header: bundle.header, report }] : []
  })
  const reports = seen.map((s) => s.report)
  const rates = reports
    .filter((r) => r.passed + r.failed > 0)
    .map((r) => Math.floor((r.passed * 1_000_000) / (r.passed + r.failed)))
    .sort((a, b) => b - a)
  const reported = rates[m - 1] ?? null
  const asn =
    agreed(
      reports.flatMap((r) => (r.asn ? [r.asn] : [])),
      m,
    ) ?? 0
  const discs = seen.flatMap(({ header, report }) => {
    if (report.rttMicros === 0) return []
    const centre = { latitude: header.latitude / 1e6, longitude: header.longitude / 1e6 }
    return [discOf(centre, report.rttMicros)]
  })
  const claim = judgeClaim(
    agreed(
      reports.map((r) => r.geohash),
      m,
    ) ?? '',
    discs,
    rules.faults,
  )
  const base = {
    mirror: mirror.mirror,
    owner: mirror.owner,
    availability: 0,
    reported,
    asn,
    claim,
    counted: 0n,
    amount: 0n,
  }
  const nothing = (reason: MirrorOutcome['reason']) => ({ outcome: { ...base, reason } as MirrorOutcome })
  if (reported === null) return nothing('too few reports')
  if (
    agreed(
      reports.map((r) => r.principal),
      m,
    ) !== mirror.owner
  )
    return nothing('not bound')
  if (reports.filter((r) => r.wrongBytes).length >= m) return nothing('wrong bytes')
  if (reported < rules.floor || reported === 0) return nothing('below the floor')
  if (claim === 'falsified') return nothing('place falsified')
  // Levels above the network need proof by discs; until they are proven the path ends before them.
  const byNetwork = rules.levels.includes('network') && asn !== 0
  const onlyNetwork = rules.levels.length === 1
  return {
    outcome: { ...base, availability: reported },
    candidate: {
      mirror: mirror.mirror,
      availability: reported,
      path: byNetwork && onlyNetwork ? [`AS${asn}`] : [],
      network: byNetwork && !onlyNetwork ? `AS${asn}` : '',
      bond: mirror.bond,
      since: mirror.since,
    },
  }
}
