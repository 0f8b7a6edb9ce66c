import type { NostrEvent } from '@understudy/protocol/event'
import { type Filter, matchFilters } from '@understudy/relays/filter'

/** Somebody who waits for live events. */
export interface Subscription {
  readonly filters: readonly Filter[]
  /** `json`: the event, serialised once for all. `frames`: those made of it so far, by what they begin with. */
  deliver(event: NostrEvent, json: string, frames: Map<string, Buffer>): void
}

/** Live subscriptions, found by kind, so that an event is held against few of them. */
export interface Subscriptions {
  add(subscription: Subscription): void
  remove(subscription: Subscription): void
  publish(event: NostrEvent, json: string): void
}

export function createSubscriptions(): Subscriptions {
  const byKind = new Map<number, Set<Subscription>>()
  /** Those with a filter that names no kind. */
  const ofAnyKind = new Set<Subscription>()

  const kindsOf = ({ filters }: Subscription): Set<number> | undefined =>
    filters.every((filter) => filter.kinds) ? new Set(filters.flatMap((filter) => filter.kinds!)) : undefined

  return {
    add(subscription) {
      const kinds = kindsOf(subscription)
      if (!kinds) ofAnyKind.add(subscription)
      for (const kind of kinds ?? []) {
        const set = byKind.get(kind)
        if (set) set.add(subscription)
        else byKind.set(kind, new Set([subscription]))
      }
    },
    remove(subscription) {
      ofAnyKind.delete(subscription)
      for (const kind of kindsOf(subscription) ?? []) {
        const set = byKind.get(kind)
        set?.delete(subscription)
        if (set?.size === 0) byKind.delete(kind)
      }
    },
    publish(event, json) {
      const frames = new Map<string, Buffer>()
      // Copied, because whoever is too slow is removed while we deliver.
      for (const subscription of [...(byKind.get(event.kind) ?? []), ...ofAnyKind])
        if (matchFilters(subscription.filters, event)) subscription.deliver(event, json, frames)
    },
  }
}
