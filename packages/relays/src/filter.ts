import type { NostrEvent } from '@understudy/protocol/event'

/** What to ask of a relay (NIP-01). Times in seconds since 1970, both ends included. */
export interface Filter {
  readonly ids?: readonly string[]
  readonly authors?: readonly string[]
  readonly kinds?: readonly number[]
  readonly since?: number
  readonly until?: number
  /** Stored events at most, newest first; 0 asks for live events only. */
  readonly limit?: number
  /** `'#d': [...]`: one of these values in a tag of that one letter. */
  readonly [tag: `#${string}`]: readonly string[] | undefined
}

/** Whether the event is what the filter asks for (its `limit` apart). */
export function matchFilter(filter: Filter, event: NostrEvent): boolean {
  if (filter.ids && !filter.ids.includes(event.id)) return false
  if (filter.kinds && !filter.kinds.includes(event.kind)) return false
  if (filter.authors && !filter.authors.includes(event.pubkey)) return false
  if (filter.since !== undefined && event.created_at < filter.since) return false
  if (filter.until !== undefined && event.created_at > filter.until) return false
  for (const key in filter) {
    if (key[0] !== '#') continue
    const values = filter[key as `#${string}`]
    const name = key.slice(1)
    if (values && !event.tags.some((t) => t[0] === name && t[1] !== undefined && values.includes(t[1])))
      return false
  }
  return true
}

/** Whether any of the filters asks for the event. */
export function matchFilters(filters: readonly Filter[], event: NostrEvent): boolean {
  return filters.some((filter) => matchFilter(filter, event))
}

/** NIP-01's order of an answer: newest first, then by lowest id. */
export function newestFirst(a: NostrEvent, b: NostrEvent): number {
  return b.created_at - a.created_at || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}
