/** A place that bytes may come from: the master, or a mirror. */
export interface Source {
  /** Base URL, without a trailing slash. */
  readonly url: string
  readonly name: string
}

export type Failure = 'network' | 'timeout' | 'status' | 'too-large' | 'wrong-bytes'

/** How long a source rests after a failure, ms: longer each time in a row, for ever after wrong bytes. */
const restMs = 15_000

interface Health {
  readonly failures: number
  readonly restUntil: number
  /** Smoothed time to a verified answer, ms. */
  readonly latency: number
}

const fresh: Health = { failures: 0, restUntil: 0, latency: 0 }

/** Remembers which sources answered, and orders them for the next request. Holds nothing but numbers. */
export class SourceHealth {
  #health = new Map<string, Health>()

  /** First given first, unless it rests; resting sources come last, since a bad one is better than none. */
  order(sources: readonly Source[], now: number): Source[] {
    const rank = (source: Source) => {
      const { restUntil, latency } = this.#health.get(source.url) ?? fresh
      return { rests: restUntil > now ? restUntil : 0, latency }
    }
    const [preferred, ...others] = sources
    const ranked = others
      .map((source) => ({ source, ...rank(source) }))
      .sort((a, b) => a.rests - b.rests || a.latency - b.latency)
    if (!preferred) return []
    const first = { source: preferred, ...rank(preferred) }
    return (first.rests ? [...ranked, first] : [first, ...ranked]).map(({ source }) => source)
  }

  succeeded(source: Source, ms: number): void {
    const { latency } = this.#health.get(source.url) ?? fresh
    this.#health.set(source.url, {
      failures: 0,
      restUntil: 0,
      latency: latency ? latency * 0.7 + ms * 0.3 : ms,
    })
  }

  failed(source: Source, failure: Failure, now: number): void {
    const { failures, latency } = this.#health.get(source.url) ?? fresh
    const rest = failure === 'wrong-bytes' ? Number.POSITIVE_INFINITY : restMs * 2 ** Math.min(failures, 5)
    this.#health.set(source.url, { failures: failures + 1, restUntil: now + rest, latency })
  }
}
