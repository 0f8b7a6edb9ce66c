import type { Filter } from '@understudy/relays/filter'
import type { Store } from './store.ts'

/** Events loaded at once; between two pages others get their turn. */
const page = 100

export interface AnswerParts {
  readonly store: Store
  /** ms */
  readonly now: () => number
  /** Most stored events for one filter. */
  readonly limit: number
}

/**
 * The stored events that filters ask for, as JSON, each once: of every filter the newest first, as of the moment of the call.
 * Loads page by page as the consumer goes on, so that a slow one costs no memory and holds nobody up.
 */
export function answer(parts: AnswerParts, filters: readonly Filter[]): AsyncGenerator<string> {
  return pages(parts, filters, parts.store.head())
}

async function* pages(
  { store, now, limit }: AnswerParts,
  filters: readonly Filter[],
  upTo: number,
): AsyncGenerator<string> {
  const sent = new Set<number>()
  for (const filter of filters) {
    const most = Math.min(filter.limit ?? limit, limit)
    if (most === 0) continue
    const found = store.find(filter, { upTo, now: Math.floor(now() / 1000), limit: most })
    const seqs = found.filter((seq) => !sent.has(seq))
    for (let i = 0; i < seqs.length; i += page) {
      yield* store.load(seqs.slice(i, i + page))
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (filters.length > 1) for (const seq of seqs) sent.add(seq)
  }
}
