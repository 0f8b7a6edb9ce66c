/** A bucket of `burst` tokens that refills by `perSecond`. */
export interface Rate {
  /** Takes `tokens` if there are as many. */
  take(tokens?: number): boolean
}

/** `now` in ms. */
export function createRate(burst: number, perSecond: number, now: () => number): Rate {
  let tokens = burst
  let filledAt = now()
  return {
    take(wanted = 1) {
      const at = now()
      tokens = Math.min(burst, tokens + (Math.max(0, at - filledAt) * perSecond) / 1000)
      filledAt = at
      if (tokens < wanted) return false
      tokens -= wanted
      return true
    },
  }
}
