import type { DialReason } from '@understudy/host/dial'

/** What one check says. Only what the mirror itself did is a failure. design: A probe. */
export type Verdict =
  | { readonly outcome: 'passed' }
  | { readonly outcome: 'failed'; readonly reason: string; readonly wrongBytes: boolean }
  | { readonly outcome: 'inconclusive'; readonly reason: string }

export const passed: Verdict = { outcome: 'passed' }
export const failed = (reason: string): Verdict => ({ outcome: 'failed', reason, wrongBytes: false })
export const wrongBytes = (reason: string): Verdict => ({ outcome: 'failed', reason, wrongBytes: true })
export const inconclusive = (reason: string): Verdict => ({ outcome: 'inconclusive', reason })

/** A dial that brought nothing: our own resolver's and network's faults are ours. */
export function verdictOfDial(reason: DialReason): Verdict {
  return reason === 'own-dns' || reason === 'own-network' ? inconclusive(reason) : failed(reason)
}

/** Several checks of one probe as one: evidence first, then failure, then doubt. */
export function worst(verdicts: readonly Verdict[]): Verdict {
  const rank = (v: Verdict) =>
    v.outcome === 'failed' ? (v.wrongBytes ? 3 : 2) : v.outcome === 'inconclusive' ? 1 : 0
  return verdicts.reduce((found, v) => (rank(v) > rank(found) ? v : found), passed)
}
