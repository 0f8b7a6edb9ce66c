import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { type EventTemplate, type NostrEvent, type Parsed, parsed, refused, tag, tagValues } from './event.ts'
import { kinds } from './kinds.ts'

/** A repository as NIP-34 names it, and the Stacks principal that speaks for the app. */
export interface Repository {
  /** Maintainer's Nostr public key, hex. */
  readonly pubkey: string
  /** NIP-34 identifier: the `d` tag. */
  readonly d: string
  readonly name: string
  readonly description: string
  /** URLs to clone from. */
  readonly clone: readonly string[]
  /** URLs of the app itself, master first. */
  readonly web: readonly string[]
  readonly relays: readonly string[]
  /** The maintainer's Stacks principal; an app is bound only when the chain names the same one. */
  readonly stx: string
}

/** `30617:<pubkey>:<d>`: the address of a repository announcement, and the preimage of the app id. */
export function coordinateOf(pubkey: string, d: string): string {
  return `${kinds.repository}:${pubkey}:${d}`
}

/** sha256 of the coordinate's ASCII bytes, hex. design: Events. */
export function appId(coordinate: string): string {
  return bytesToHex(sha256(utf8ToBytes(coordinate)))
}

/** Splits a coordinate; refuses anything but `30617:<64 hex>:<d of 1 to 64 printable ASCII>`. */
export function parseCoordinate(coordinate: string): Parsed<{ pubkey: string; d: string }> {
  const match = /^30617:([0-9a-f]{64}):([\x21-\x7e]{1,64})$/.exec(coordinate)
  if (!match) return refused('expected 30617:<pubkey>:<identifier>')
  return parsed({ pubkey: match[1]!, d: match[2]! })
}

export function repositoryTemplate(repository: Repository, createdAt: number): EventTemplate {
  return {
    kind: kinds.repository,
    created_at: createdAt,
    tags: [
      ['d', repository.d],
      ['name', repository.name],
      ['description', repository.description],
      ['clone', ...repository.clone],
      ['web', ...repository.web],
      ['relays', ...repository.relays],
      ['stx', repository.stx],
    ],
    content: '',
  }
}

export function parseRepository(event: NostrEvent): Parsed<Repository> {
  if (event.kind !== kinds.repository) return refused('not a repository announcement')
  const d = tag(event, 'd')
  if (!d || !parseCoordinate(coordinateOf(event.pubkey, d)).ok)
    return refused('d: missing or not an identifier')
  const list = (name: string) => event.tags.find((t) => t[0] === name)?.slice(1) ?? []
  return parsed({
    pubkey: event.pubkey,
    d,
    name: (tag(event, 'name') ?? d).slice(0, 100),
    description: (tag(event, 'description') ?? '').slice(0, 1_000),
    clone: list('clone').slice(0, 16),
    web: list('web').slice(0, 16),
    relays: list('relays').slice(0, 16),
    stx: tagValues(event, 'stx')[0] ?? '',
  })
}
