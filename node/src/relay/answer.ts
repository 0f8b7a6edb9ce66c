import type { Filter } from '@understudy/relays/filter'
import type { Store, StoredEvent } from './store.ts'

/** Rows read from the store at once; between two pages others get their turn. */
const page = 100

export interface AnswerParts {
  readonly store: Store
  /** ms */
  readonly now: () => number
  /** Most stored events for one filter. */
  readonly limit: number
}

/**
 * The stored events that filters ask for, each once: of every filter the newest first, as of the moment of the call. Reads
 * page by page as the consumer goes on, so that a slow one costs no memory and holds nobody up.
 */
export function answer(parts: AnswerParts, filters: readonly Filter[]): AsyncGenerator<StoredEvent> {
  const upTo = parts.store.head()
  return pages(parts, filters, upTo)
}

async function* pages(
  { store, now, limit }: AnswerParts,
  filters: readonly Filter[],
  upTo: number,
): AsyncGenerator<StoredEvent> {
  const sent = new Set<number>()
  for (const filter of filters) {
    let left = Math.min(filter.limit ?? limit, limit)
    let after: StoredEvent | undefined
    while (left > 0) {
      const wanted = Math.min(left, page)
      const seconds = Math.floor(now() / 1000)
      const rows = store.read(filter, { upTo, now: seconds, limit: wanted, ...(after ? { after } : {}) })
      for (const row of rows) {
        if (!sent.has(row.seq)) yield row
        sent.add(row.seq)
      }
      if (rows.length < wanted) break
      left -= rows.length
      after = rows.at(-1)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
