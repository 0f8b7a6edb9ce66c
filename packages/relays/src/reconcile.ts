import { hexToBytes } from '@noble/hashes/utils.js'
import type { NostrEvent } from '@understudy/protocol/event'
import type { Filter } from './filter.ts'
import { createItemSet } from './negentropy.ts'
import type { Relay } from './relay.ts'

/** Ids asked for, and events given, at once. */
const page = 200

/** What we hold, by id and time; the events themselves are read when the relay turns out to lack them. */
export interface Holding {
  readonly items: readonly Pick<NostrEvent, 'id' | 'created_at'>[]
  events(ids: readonly string[]): readonly NostrEvent[] | Promise<readonly NostrEvent[]>
}

export type Reconciliation =
  | { readonly ok: true; readonly received: number; readonly given: number }
  | { readonly ok: false; readonly reason: string }

/**
 * Makes what a relay holds under a filter and what we hold the same (NIP-77): what we lack is delivered, verified; what it lacks it is given. Only
 * the ids of what differs travel. `unwanted`: what is not asked for again. Not ok with a relay that does not know NIP-77.
 */
export async function reconcileWith(
  relay: Pick<Relay, 'comparisons' | 'status' | 'ask' | 'publish'>,
  filter: Filter,
  held: Holding,
  onEvent: (event: NostrEvent) => void,
  unwanted: (id: string) => boolean = () => false,
  timeoutMs = 10_000,
): Promise<Reconciliation> {
  const ids = new Uint8Array(32 * held.items.length)
  for (const [at, { id }] of held.items.entries()) ids.set(hexToBytes(id), 32 * at)
  const items = createItemSet(
    held.items.map((item) => item.created_at),
    ids,
  )
  const have = new Set<string>()
  const need = new Set<string>()
  const { state, lastError } = relay.status()
  if (state !== 'open' || !relay.comparisons) return { ok: false, reason: lastError ?? 'not connected' }
  const compared = await relay.comparisons.compare(filter, items, (theirLack, ourLack) => {
    for (const id of theirLack) have.add(id)
    for (const id of ourLack) need.add(id)
  })
  if (!compared.ok) return compared
  let received = 0
  const wanted = [...need].filter((id) => !unwanted(id))
  for (let from = 0; from < wanted.length; from += page)
    await asked(relay, { ids: wanted.slice(from, from + page) }, (event) => {
      received++
      onEvent(event)
    })
  let given = 0
  // No more than we hold, whatever the relay says that it lacks.
  const lacked = held.items.flatMap(({ id }) => (have.has(id) ? [id] : []))
  for (let from = 0; from < lacked.length; from += page) {
    const events = await held.events(lacked.slice(from, from + page))
    const outcomes = await Promise.all(events.map((event) => relay.publish(event, timeoutMs)))
    given += outcomes.filter(({ ok }) => ok).length
  }
  return { ok: true, received, given }
}

/** Resolves when the stored events were delivered, or will not be. */
const asked = (relay: Pick<Relay, 'ask'>, filter: Filter, onEvent: (event: NostrEvent) => void) =>
  new Promise<void>((resolve) => {
    const done = () => {
      question.close()
      resolve()
    }
    const question = relay.ask({
      ...{ filter, live: false, known: () => false, onEvent },
      ...{ onCaughtUp: done, onFailed: done },
    })
  })
