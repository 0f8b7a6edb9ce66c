import { type NostrEvent, tag } from '@understudy/protocol/event'

/** NIP-01: what a relay does with a kind. */
export type Retention = 'regular' | 'replaceable' | 'ephemeral' | 'addressable'

export function retentionOf(kind: number): Retention {
  if (kind === 0 || kind === 3 || (kind >= 10_000 && kind < 20_000)) return 'replaceable'
  if (kind >= 20_000 && kind < 30_000) return 'ephemeral'
  if (kind >= 30_000 && kind < 40_000) return 'addressable'
  return 'regular'
}

/** The place that only one event may hold: the newest, ties by lowest id. `null` for events that are kept for ever. */
export function addressOf(event: NostrEvent): string | null {
  const retention = retentionOf(event.kind)
  if (retention === 'replaceable') return `${event.kind}:${event.pubkey}:`
  if (retention === 'addressable') return `${event.kind}:${event.pubkey}:${tag(event, 'd') ?? ''}`
  return null
}

/** `[name, value]` of every tag that relays index: one letter, first value, each pair once. */
export function indexedTags(event: NostrEvent): [name: string, value: string][] {
  const pairs: [string, string][] = []
  for (const [name, value] of event.tags) {
    if (name?.length !== 1 || value === undefined || !/[a-zA-Z]/.test(name)) continue
    if (!pairs.some((pair) => pair[0] === name && pair[1] === value)) pairs.push([name, value])
  }
  return pairs
}
