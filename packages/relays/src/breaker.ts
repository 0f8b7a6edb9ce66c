/** `open`: not to be asked before its pause is over. `half-open`: one trial decides. */
export type Circuit = 'closed' | 'open' | 'half-open'

export interface BreakerOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** In [0, 1). */
  readonly random: () => number
  /** Failures in a row that open it. Default 3. */
  readonly threshold?: number
  /** First and longest pause, ms. */
  readonly pauseMs?: number
  readonly maxPauseMs?: number
}

/** A circuit breaker: after failures in a row nothing more is staked on the other side until a trial succeeds. */
export interface Breaker {
  circuit(): Circuit
  /** Whether something may be staked now. In `half-open` the first who asks gets the trial; it expires after a pause. */
  admit(): boolean
  succeeded(): void
  failed(): void
  /** The other side is back: the trial need not wait for the end of the pause. */
  retry(): void
  /** Opens it at once. */
  trip(): void
}

export function createBreaker(options: BreakerOptions): Breaker {
  const { now, random, threshold = 3, pauseMs = 1_000, maxPauseMs = 60_000 } = options
  let failures = 0
  let openings = 0
  let openUntil: number | undefined
  let trialUntil = 0

  function circuit(): Circuit {
    if (openUntil === undefined) return 'closed'
    return now() < openUntil ? 'open' : 'half-open'
  }
  function trip(): void {
    const pause = Math.min(maxPauseMs, pauseMs * 2 ** Math.min(openings++, 20)) * (0.5 + random() / 2)
    openUntil = now() + pause
    trialUntil = 0
    failures = 0
  }
  return {
    circuit,
    admit() {
      const state = circuit()
      if (state !== 'half-open') return state === 'closed'
      if (now() < trialUntil) return false
      trialUntil = now() + maxPauseMs
      return true
    },
    succeeded() {
      failures = openings = 0
      openUntil = undefined
    },
    failed() {
      // What fails while it is open was staked before.
      if (circuit() === 'half-open' || (circuit() === 'closed' && ++failures >= threshold)) trip()
    },
    retry() {
      if (openUntil !== undefined) openUntil = Math.min(openUntil, now())
    },
    trip,
  }
}
