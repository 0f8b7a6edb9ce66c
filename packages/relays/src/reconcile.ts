import { hexToBytes } from '@noble/hashes/utils.js'
import type { NostrEvent } from '@understudy/protocol/event'
import type { Filter } from './filter.ts'
import { createItemSet } from './negentropy.ts'
import type { Relay } from './relay.ts'

/** Ids asked for at once. */
const page = 200
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
  held: readonly NostrEvent[],
  onEvent: (event: NostrEvent) => void,
  unwanted: (id: string) => boolean = () => false,
  timeoutMs = 10_000,
): Promise<Reconciliation> {
  const ids = new Uint8Array(32 * held.length)
  for (const [at, { id }] of held.entries()) ids.set(hexToBytes(id), 32 * at)
  const items = createItemSet(
    held.map((event) => event.created_at),
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
  const outcomes = await Promise.all(
    held.filter(({ id }) => have.has(id)).map((event) => relay.publish(event, timeoutMs)),
  )
  return { ok: true, received, given: outcomes.filter(({ ok }) => ok).length }
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
