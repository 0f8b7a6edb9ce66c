import { appId, parseCoordinate } from './app.ts'
import {
  type EventTemplate,
  expiration,
  isHex32,
  isObjectId,
  type NostrEvent,
  type Parsed,
  parsed,
  refused,
  tag,
} from './event.ts'
import { kinds } from './kinds.ts'

/** Seconds between two heartbeats, and how long one is good for. */
export const heartbeatSeconds = 60
export const heartbeatExpirySeconds = 300

/** What a node says of itself. Signed by the node key; the place is only claimed. */
export interface MirrorAnnouncement {
  readonly eventId: string
  readonly nodeKey: string
  readonly app: string
  readonly coordinate: string
  /** A short name for people. */
  readonly name: string
  /** Commit that it serves. */
  readonly commit: string
  /** Clone URL of the fork. */
  readonly clone: string
  /** Where the node itself serves the fork to git, or empty: the second value of `clone`. */
  readonly code: string
  /** Base URL, without a trailing slash. */
  readonly web: string
  /** Relay URL (ws or wss). */
  readonly relay: string
  /** Claimed place: a geohash of 3 to 9 characters, or empty. */
  readonly geohash: string
  /** Claimed country (ISO 3166-1 alpha-2), or empty. */
  readonly country: string
  /** The Stacks principal to be paid; binds only when the chain names this node key for it. */
  readonly stx: string
  /** Seconds since 1970. */
  readonly expiresAt: number
  readonly createdAt: number
}

export type MirrorDraft = Omit<
  MirrorAnnouncement,
  'eventId' | 'nodeKey' | 'app' | 'expiresAt' | 'createdAt' | 'code'
> & { readonly code?: string }

export function mirrorTemplate(draft: MirrorDraft, createdAt: number, expiresAt: number): EventTemplate {
  const maintainer = draft.coordinate.split(':')[1] ?? ''
  return {
    kind: kinds.mirror,
    created_at: createdAt,
    tags: [
      ['d', appId(draft.coordinate)],
      ['a', draft.coordinate],
      ['p', maintainer],
      ['name', draft.name],
      ['c', draft.commit],
      ['clone', draft.clone, ...(draft.code ? [draft.code] : [])],
      ['web', draft.web],
      ['relay', draft.relay],
      ['stx', draft.stx],
      ...(draft.geohash ? [['g', draft.geohash]] : []),
      ...(draft.country
        ? [
            ['L', 'ISO-3166-1'],
            ['l', draft.country, 'ISO-3166-1'],
          ]
        : []),
      ['expiration', String(expiresAt)],
    ],
    content: '',
  }
}

const url = (value: string | undefined, schemes: readonly string[]): string | undefined => {
  if (!value || value.length > 300) return undefined
  try {
    const read = new URL(value)
    if (!schemes.includes(read.protocol) || read.username || read.password || read.hash || read.search)
      return undefined
    return read.href.replace(/\/$/, '')
  } catch {
    return undefined
  }
}

export function parseMirror(event: NostrEvent): Parsed<MirrorAnnouncement> {
  if (event.kind !== kinds.mirror) return refused('not a mirror announcement')
  const coordinate = tag(event, 'a') ?? ''
  if (!parseCoordinate(coordinate).ok) return refused('a: not a repository')
  const app = appId(coordinate)
  if (tag(event, 'd') !== app) return refused('d: not the app id of a')
  const commit = tag(event, 'c') ?? ''
  if (!isObjectId(commit)) return refused('c: not a git object id')
  const web = url(tag(event, 'web'), ['https:', 'http:'])
  if (!web) return refused('web: not an http(s) URL')
  const relay = url(tag(event, 'relay'), ['wss:', 'ws:'])
  if (!relay) return refused('relay: not a ws(s) URL')
  const clone = tag(event, 'clone') ?? ''
  if (!clone || clone.length > 300) return refused('clone: missing or too long')
  const geohash = tag(event, 'g') ?? ''
  if (geohash && !/^[0-9b-hjkmnp-z]{3,9}$/.test(geohash)) return refused('g: not a geohash')
  const expiresAt = expiration(event)
  if (!expiresAt) return refused('expiration: missing')
  return parsed({
    eventId: event.id,
    nodeKey: event.pubkey,
    app,
    coordinate,
    name: (tag(event, 'name') ?? event.pubkey.slice(0, 8)).slice(0, 64),
    commit,
    clone,
    code: url(event.tags.find((t) => t[0] === 'clone')?.[2], ['https:', 'http:']) ?? '',
    web,
    relay,
    geohash,
    country: (tag(event, 'l') ?? '').slice(0, 2),
    stx: (tag(event, 'stx') ?? '').slice(0, 128),
    expiresAt,
    createdAt: event.created_at,
  })
}

export interface Heartbeat {
  readonly nodeKey: string
  readonly app: string
  readonly commit: string
  readonly createdAt: number
  readonly expiresAt: number
}

export function heartbeatTemplate(app: string, commit: string, createdAt: number): EventTemplate {
  return {
    kind: kinds.heartbeat,
    created_at: createdAt,
    tags: [
      ['d', app],
      ['c', commit],
      ['expiration', String(createdAt + heartbeatExpirySeconds)],
    ],
    content: '',
  }
}

export function parseHeartbeat(event: NostrEvent): Parsed<Heartbeat> {
  if (event.kind !== kinds.heartbeat) return refused('not a heartbeat')
  const app = tag(event, 'd') ?? ''
  const commit = tag(event, 'c') ?? ''
  const expiresAt = expiration(event)
  if (!isHex32(app)) return refused('d: not an app id')
  if (!isObjectId(commit)) return refused('c: not a git object id')
  if (!expiresAt) return refused('expiration: missing')
  return parsed({ nodeKey: event.pubkey, app, commit, createdAt: event.created_at, expiresAt })
}
