import { isHex32, type NostrEvent, tag } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'

/** NIP-09 deletion request, NIP-42 authentication, NIP-98 HTTP authentication. */
export const deletionKind = 5
export const authKind = 22_242
export const httpAuthKind = 27_235

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

/** What decides payouts and cannot be taken back by who said it. design: Events. */
const permanent: ReadonlySet<number> = new Set([
  kinds.seen,
  kinds.commitment,
  kinds.attestation,
  kinds.proposal,
  kinds.coSignature,
])

/** NIP-09: whether its author may have it deleted. A deletion request itself stays, or its work would be undone. */
export const isDeletable = ({ kind }: Pick<NostrEvent, 'kind'>): boolean =>
  kind !== deletionKind && !permanent.has(kind)

/** NIP-70: only its author may hand it in. */
export const isProtected = (event: Pick<NostrEvent, 'tags'>): boolean =>
  event.tags.some((tag) => tag.length === 1 && tag[0] === '-')

/** What a deletion request names: events by id, and addresses of the author's own. */
export function deletionTargets(request: NostrEvent): { ids: string[]; addresses: string[] } {
  const ids = new Set<string>()
  const addresses = new Set<string>()
  for (const [name, value] of request.tags) {
    if (name === 'e' && isHex32(value)) ids.add(value)
    if (name !== 'a' || value === undefined) continue
    const [, kind, pubkey] = /^(\d{1,5}):([0-9a-f]{64}):/.exec(value) ?? []
    if (pubkey === request.pubkey && isDeletable({ kind: Number(kind) })) addresses.add(value)
  }
  return { ids: [...ids], addresses: [...addresses] }
}

/** `[name, value]` of every tag that relays index: one letter, first value, each pair once. */
export function indexedTags(event: NostrEvent): [name: string, value: string][] {
  const pairs = new Map<string, [string, string]>()
  for (const [name, value] of event.tags) {
    if (name?.length !== 1 || value === undefined || !/[a-zA-Z]/.test(name)) continue
    pairs.set(name + value, [name, value])
  }
  return [...pairs.values()]
}
