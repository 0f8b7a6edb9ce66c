import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'

/** Largest event that we accept, in bytes of JSON; relays often cap at 64 kB. */
export const maxEventBytes = 65_536
const maxTags = 2_000
const maxTagValues = 64

/** A Nostr event (NIP-01). */
export interface NostrEvent {
  readonly id: string
  readonly pubkey: string
  /** Seconds since 1970, as the author says. */
  readonly created_at: number
  readonly kind: number
  readonly tags: string[][]
  readonly content: string
  readonly sig: string
}

export const isHex32 = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
/** A git object id: SHA-1 (40 digits) or SHA-256 (64). */
export const isObjectId = (value: string): boolean => /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(value)

const isCount = (value: unknown, most: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most

/**
 * Shape and limits of an event; id and signature are checked apart, by a `Verify`. By hand, because it runs on every event of
 * every relay and in every visitor's page. Fields that NIP-01 does not name are dropped.
 */
export function parseEvent(input: unknown): Parsed<NostrEvent> {
  if (typeof input !== 'object' || input === null) return refused('not an event')
  const { id, pubkey, created_at, kind, tags, content, sig } = input as Record<string, unknown>
  if (!isHex32(id)) return refused('id: expected 32 bytes as lower-case hex')
  if (!isHex32(pubkey)) return refused('pubkey: expected 32 bytes as lower-case hex')
  if (!isCount(created_at, Number.MAX_SAFE_INTEGER)) return refused('created_at: expected seconds since 1970')
  if (!isCount(kind, 65_535)) return refused('kind: expected 0 to 65535')
  if (typeof sig !== 'string' || !/^[0-9a-f]{128}$/.test(sig))
    return refused('sig: expected 64 bytes as lower-case hex')
  if (typeof content !== 'string' || content.length > maxEventBytes)
    return refused('content: not a string, or too long')
  if (!Array.isArray(tags) || tags.length > maxTags) return refused(`tags: expected at most ${maxTags} lists`)
  let size = 0
  for (const tag of tags) {
    if (!Array.isArray(tag) || tag.length > maxTagValues)
      return refused(`tags: expected lists of at most ${maxTagValues}`)
    for (const value of tag) {
      if (typeof value !== 'string') return refused('tags: expected strings')
      size += value.length
    }
  }
  if (size > maxEventBytes) return refused('tags: too long')
  return parsed({ id, pubkey, created_at, kind, tags: tags as string[][], content, sig })
}

/** What a signer turns into an event. */
export type EventTemplate = Pick<NostrEvent, 'kind' | 'created_at' | 'tags' | 'content'>

/** Checks id and BIP-340 signature. Injected, because the fast ones are WebAssembly. */
export type Verify = (event: NostrEvent) => boolean

/** Holds one key and signs events with it; the key does not leave it. */
export interface EventSigner {
  readonly pubkey: string
  signEvent(template: EventTemplate): Promise<NostrEvent> | NostrEvent
}

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string }

export const parsed = <T>(value: T): Parsed<T> => ({ ok: true, value })
export const refused = (reason: string): Parsed<never> => ({ ok: false, reason })

/** NIP-01: sha256 of the canonical array. */
export function eventId(event: EventTemplate & { readonly pubkey: string }): string {
  const canonical = [0, event.pubkey, event.created_at, event.kind, event.tags, event.content]
  return bytesToHex(sha256(utf8ToBytes(JSON.stringify(canonical))))
}

/** Value of the first tag of that name. */
export function tag(event: Pick<NostrEvent, 'tags'>, name: string): string | undefined {
  return event.tags.find((t) => t[0] === name)?.[1]
}

/** Values of every tag of that name, empty ones left out. */
export function tagValues(event: Pick<NostrEvent, 'tags'>, name: string): string[] {
  return event.tags.flatMap((t) => (t[0] === name && t[1] ? [t[1]] : []))
}

/** NIP-40: seconds since 1970 after which the event may be dropped. */
export function expiration(event: Pick<NostrEvent, 'tags'>): number | undefined {
  const value = tag(event, 'expiration')
  return value && /^\d{1,12}$/.test(value) ? Number(value) : undefined
}
