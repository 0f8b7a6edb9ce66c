import type { Report } from './attestation.ts'
import { formatMoney, units } from './money.ts'
import type { MirrorOutcome } from './outcome.ts'
import { pubkeyOf, threshold } from './rules.ts'
import type { Match } from './verify.ts'

const percent = (ppm: number) => `${(Math.floor(ppm / 1_000) / 10).toFixed(1)} %`
const plural = (n: number, one: string) => `${n} ${one}${n === 1 ? '' : 's'}`

const ordinal = (n: number) =>
  n === 1 ? 'best' : n === 2 ? 'second best' : n === 3 ? 'third best' : `${n}th best`

/**
 * Why a mirror earned what it earned, for its operator: sentences, one a line. `undefined` where the mirror had no part in the epoch. Takes only
 * what was verified.
 */
export function explainMirror({ facts, bundles, former, outcome }: Match, id: number): string[] | undefined {
  const result = outcome.mirrors.find((one) => one.mirror === id)
  const mirror = facts.mirrors.find((one) => one.mirror === id)
  if (!result || !mirror) return undefined
  const { rules, asset } = facts
  const m = threshold(rules.keys)
  const lines = [
    `In epoch ${facts.epoch} mirror ${id} earned ${formatMoney(result.amount, asset)}, for its owner ${mirror.owner}.`,
    `Its bond of ${formatMoney(mirror.bond, asset)} has counted since burn block ${mirror.since}; its node key is ${mirror.nodeKey}.`,
    `${bundles.length} of ${plural(rules.keys.length, 'attester')} took part, and what ${m} of them agree on decides:`,
  ]
  for (const bundle of bundles) {
    const report = bundle.reports.find((one) => one.mirror === id)
    lines.push(`  attester ${pubkeyOf(bundle.key).slice(0, 12)}: ${tell(report, mirror.nodeKey)}`)
  }
  for (const { key, epoch } of former)
    lines.push(
      `  attester ${pubkeyOf(key).slice(0, 12)} was away: for its place alone counts what it said in epoch ${epoch}, where the address is the same.`,
    )
  if (result.reported !== null)
    lines.push(
      `Its availability is the ${ordinal(m)} of their results: ${percent(result.reported)} (${result.reported} ppm). Below ${percent(rules.floor)} a mirror earns nothing.`,
    )
  lines.push(
    ...(result.reason ? refuse(result, rules.keys.length, m) : divide(facts, outcome, result, mirror.bond)),
  )
  const paid = facts.claims.find((claim) => claim.mirror === id)
  if (result.amount > 0n)
    lines.push(
      paid ? 'The pool has paid it.' : 'The pool has not paid it yet: anyone may claim it for the owner.',
    )
  return lines
}

function tell(report: Report | undefined, nodeKey: string): string {
  if (!report) return 'no report'
  if (report.nodeKey !== nodeKey)
    return `reported on another node key (${report.nodeKey.slice(0, 12)}), which does not count`
  const conclusive = report.passed + report.failed
  const reasons = Object.entries(report.reasons)
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .map(([reason, times]) => `${reason} ×${times}`)
  return [
    `${report.passed} of ${plural(conclusive, 'conclusive probe')} passed`,
    ...(report.inconclusive > 0 ? [`${report.inconclusive} inconclusive, which count for nothing`] : []),
    ...(reasons.length > 0 ? [reasons.join(', ')] : []),
    ...(report.wrongBytes ? ['it served wrong bytes'] : []),
    report.rttMicros > 0
      ? `nearest answer ${(report.rttMicros / 1_000).toFixed(1)} ms away at ${report.address}`
      : 'no signed answer at its address',
    report.asn > 0 ? `network AS${report.asn}` : 'network unknown',
  ].join('; ')
}

function refuse({ reason }: MirrorOutcome, n: number, m: number): string[] {
  switch (reason) {
    case 'not bound':
      return [
        `It earned nothing because fewer than ${m} attesters found an announcement by the node key that names the owner's principal.`,
        "Announce the mirror with the wallet's principal, and see that relays hold the announcement.",
      ]
    case 'too few reports':
      return [
        `It earned nothing because fewer than ${m} of ${n} attesters have conclusive probes of it.`,
        'Was it registered before the epoch, and is its address public?',
      ]
    case 'wrong bytes':
      return [
        `It earned nothing because ${m} attesters or more received bytes from it that no release contains, or a wrong answer that it signed.`,
      ]
    case 'below the floor':
      return ['It earned nothing because its availability is below the floor. The reasons stand above.']
    case 'place falsified':
      return [
        'It earned nothing because it answered sooner than light could come from the place that it claims.',
      ]
    default:
      return [
        'It earned nothing because nothing was left for it: there is no money for a place, older mirrors fill the bond that counts in its domain, or a sibling has proved its place and this one has not.',
      ]
  }
}

function divide(
  { rules, free, asset }: Match['facts'],
  { leaves }: Match['outcome'],
  { asn, claim, availability, counted }: MirrorOutcome,
  bond: bigint,
): string[] {
  const money = (amount: bigint) => formatMoney(amount, asset)
  const budget = rules.budget < free ? rules.budget : free
  const fees = leaves.reduce((sum, leaf) => (leaf.mirror === 0 ? sum + leaf.amount : sum), 0n)
  const place = claim === 'no claim' ? 'it claims no place' : `its claimed place is ${claim}`
  return [
    asn > 0
      ? `${place[0]!.toUpperCase()}${place.slice(1)}, and its network is AS${asn}.`
      : `${place[0]!.toUpperCase()}${place.slice(1)}, and its network is not known to enough attesters.`,
    `The epoch had ${money(budget)} to give: the budget, or the pool's free money where that was less. Attesters took ${money(fees)}.`,
    `The rest is meant for ${plural(rules.places, 'place')}: at most ${money((budget - fees) / BigInt(rules.places))} for each, shared by the mirrors in it.`,
    counted < bond
      ? `Of its bond ${money(counted)} counted: a domain counts ${money(rules.domainBond)}, the oldest first.`
      : 'All of its bond counted.',
    `Its part of its domain by bond, times its availability of ${percent(availability)}, rounded down to whole ${units[asset].smallest}, is what it earned.`,
  ]
}
