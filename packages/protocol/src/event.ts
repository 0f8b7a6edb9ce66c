import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import * as z from 'zod/mini'

/** Largest event that we accept, in bytes of JSON; relays often cap at 64 kB. */
export const maxEventBytes = 65_536

export const hex32 = z.string().check(z.regex(/^[0-9a-f]{64}$/, 'expected 32 bytes as lower-case hex'))
export const hex64 = z.string().check(z.regex(/^[0-9a-f]{128}$/, 'expected 64 bytes as lower-case hex'))
/** A git object id: SHA-1 (40 digits) or SHA-256 (64). */
export const objectId = z.string().check(z.regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/, 'expected a git object id'))

/** Shape and limits of a Nostr event (NIP-01). The signature is checked apart, by a `Verify`. */
export const eventSchema = z.object({
  id: hex32,
  pubkey: hex32,
  created_at: z.int().check(z.minimum(0)),
  kind: z.int().check(z.minimum(0), z.maximum(65_535)),
  tags: z
    .array(z.array(z.string().check(z.maxLength(maxEventBytes))).check(z.maxLength(64)))
    .check(z.maxLength(2_000)),
  content: z.string().check(z.maxLength(maxEventBytes)),
  sig: hex64,
})

export type NostrEvent = z.infer<typeof eventSchema>

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

/** Runs a schema and turns its first issue into one readable reason. */
export function check<T>(schema: z.ZodMiniType<T>, input: unknown): Parsed<T> {
  const result = z.safeParse(schema, input)
  if (result.success) return parsed(result.data)
  const issue = result.error.issues[0]
  return refused(`${issue?.path.join('.') || 'value'}: ${issue?.message ?? 'invalid'}`)
}

/** The bytes of `text` as JSON, refused above `limit` bytes (so that a hostile document is never parsed). */
export function parseJson(text: string, limit = maxEventBytes): Parsed<unknown> {
  if (text.length > limit) return refused(`larger than ${limit} bytes`)
  try {
    return parsed(JSON.parse(text) as unknown)
  } catch {
    return refused('not JSON')
  }
}

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
