import type { Phases } from '@understudy/host/dial'

/** What one probe found. */
export interface Observation {
  readonly app: string
  readonly epoch: number
  readonly mirror: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly nodeKey: string
  /** Principal that the announcement names. */
  readonly principal: string
  readonly outcome: 'passed' | 'failed' | 'inconclusive'
  /** A short, stable word; empty when it passed. */
  readonly reason: string
  readonly wrongBytes: boolean
  readonly address: string
  readonly asn: number
  /** Lowest round trip of a signed challenge in this probe, µs; 0 when none was answered. */
  readonly rttMicros: number
  readonly geohash: string
  readonly commit: string
  readonly phases: Phases | null
  /** When it was due (ms since 1970), and the length of its slot, ms. */
  readonly due: number
  readonly intervalMs: number
}

/** Reasons that say no more than "nothing came back": what a fault of our own network looks like. */
export const silentReasons: ReadonlySet<string> = new Set([
  'timeout',
  'refused',
  'unreachable',
  'reset',
  'tls',
  'unresolved',
  'late',
])

/** The networks in which at least one probe passed. */
export function networksThatPassed(observations: readonly Observation[]): ReadonlySet<number> {
  return new Set(observations.flatMap((o) => (o.outcome === 'passed' && o.asn > 0 ? [o.asn] : [])))
}

/**
 * Rounds of `roundMs` in which every network that passed last epoch was silent at once: that is our own network, and counts against
 * nobody. Needs two networks, since one alone may well be down. design: A probe.
 */
export function discountBlackouts(
  observations: readonly Observation[],
  before: ReadonlySet<number>,
  roundMs: number,
): Observation[] {
  const rounds = new Map<number, Observation[]>()
  for (const o of observations) {
    const round = Math.floor(o.at / roundMs)
    rounds.set(round, [...(rounds.get(round) ?? []), o])
  }
  return [...rounds.values()].flatMap((round) => {
    const silent = round.every((o) => o.outcome !== 'passed' && silentReasons.has(o.reason))
    const networks = new Set(round.map((o) => o.asn))
    const all = before.size >= 2 && [...before].every((network) => networks.has(network))
    if (!silent || !all) return round
    return round.map((o): Observation => ({ ...o, outcome: 'inconclusive', reason: 'own-network' }))
  })
}
