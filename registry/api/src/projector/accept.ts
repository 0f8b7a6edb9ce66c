import type { ChainState } from '@understudy/chain/state'
import { appId, coordinateOf, parseRepository, type Repository } from '@understudy/protocol/app'
import { type Attestation, parseAttestation } from '@understudy/protocol/attestation'
import { type AttesterAnnouncement, parseAttester } from '@understudy/protocol/attester'
import { type Commitment, parseCommitment } from '@understudy/protocol/commitment'
import {
  expiration,
  maxEventBytes,
  type NostrEvent,
  type Parsed,
  parsed,
  parseEvent,
  refused,
  type Verify,
} from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import {
  type Heartbeat,
  type MirrorAnnouncement,
  parseHeartbeat,
  parseMirror,
} from '@understudy/protocol/mirror'
import { parseRelease, type Release } from '@understudy/protocol/release'
import { attesterKey } from '@understudy/protocol/rules'
import { parseSeen, type Seen } from '@understudy/protocol/seen'
import { parseSignedOutcome, type SignedOutcome } from '@understudy/protocol/settlement'

/** An event's clock may run ahead of ours by this much, seconds. */
export const maxAheadSeconds = 900

/** What an event says, once it is read. */
export type Fact =
  | { readonly of: 'repository'; readonly app: string; readonly repository: Repository }
  | { readonly of: 'release'; readonly release: Release }
  | { readonly of: 'mirror'; readonly mirror: MirrorAnnouncement }
  | { readonly of: 'heartbeat'; readonly heartbeat: Heartbeat }
  | { readonly of: 'attester'; readonly attester: AttesterAnnouncement }
  | { readonly of: 'seen'; readonly seen: Seen }
  | { readonly of: 'commitment'; readonly commitment: Commitment }
  | { readonly of: 'attestation'; readonly attestation: Attestation }
  | { readonly of: 'outcome'; readonly outcome: SignedOutcome }

/** Where the events are to belong: signatures under settlements cover the chain and the pool. */
export interface Home {
  readonly chainId: number
  /** Contract principal of the reward pool. */
  readonly pool: string
}

export type RefusalCode =
  | 'malformed'
  | 'too-large'
  | 'wrong-kind'
  | 'future'
  | 'expired'
  | 'bad-signature'
  | 'bad-content'
  | 'unknown-app'
  | 'stranger'

export type Judged =
  | { readonly ok: true; readonly event: NostrEvent; readonly fact: Fact }
  | { readonly ok: false; readonly code: RefusalCode; readonly reason: string }

const no = (code: RefusalCode, reason: string): Judged => ({ ok: false, code, reason })

/**
 * Whether an event may be kept: well-formed, of a kind that we know, of our time, really signed, readable, and by somebody whom the chain
 * lets speak of its app. Cheapest checks first. `now` in seconds.
 */
export function judge(
  input: unknown,
  at: { readonly home: Home; readonly chain: ChainState; readonly now: number; readonly verify: Verify },
): Judged {
  const event = parseEvent(input)
  if (!event.ok) return no('malformed', event.reason)
  const { kind, created_at } = event.value
  const bytes = Buffer.byteLength(JSON.stringify(event.value))
  if (bytes > maxEventBytes) return no('too-large', `${bytes} bytes, the most is ${maxEventBytes}`)
  if (!readers.has(kind)) return no('wrong-kind', `kind ${kind} is none of ours`)
  if (created_at > at.now + maxAheadSeconds)
    return no('future', `dated ${created_at - at.now} s in the future`)
  const expires = expiration(event.value)
  if (expires !== undefined && expires <= at.now) return no('expired', `expired ${at.now - expires} s ago`)
  if (!at.verify(event.value)) return no('bad-signature', 'id or signature does not match')
  const fact = readFact(event.value, at.home)
  if (!fact.ok) return no('bad-content', fact.reason)
  const app = at.chain.apps
  const standing = standingOf(event.value, fact.value, app)
  if (standing !== 'ok')
    return standing === 'unknown-app'
      ? no('unknown-app', 'its app is not on the chain')
      : no('stranger', 'the chain does not let this key say so')
  return { ok: true, event: event.value, fact: fact.value }
}

type Reader = (event: NostrEvent, home: Home) => Parsed<Fact>

const as =
  <T>(parse: (event: NostrEvent, chainId: number) => Parsed<T>, fact: (value: T) => Fact): Reader =>
  (event, home) => {
    const value = parse(event, home.chainId)
    return value.ok ? parsed(fact(value.value)) : value
  }

const readers: ReadonlyMap<number, Reader> = new Map([
  [
    kinds.repository,
    as(parseRepository, (repository) => {
      const app = appId(coordinateOf(repository.pubkey, repository.d))
      return { of: 'repository', app, repository }
    }),
  ],
  [kinds.release, as(parseRelease, (release) => ({ of: 'release', release }))],
  [kinds.releaseSnapshot, as(parseRelease, (release) => ({ of: 'release', release }))],
  [kinds.mirror, as(parseMirror, (mirror) => ({ of: 'mirror', mirror }))],
  [kinds.heartbeat, as(parseHeartbeat, (heartbeat) => ({ of: 'heartbeat', heartbeat }))],
  [kinds.attester, as(parseAttester, (attester) => ({ of: 'attester', attester }))],
  [kinds.seen, as(parseSeen, (seen) => ({ of: 'seen', seen }))],
  [kinds.commitment, as(parseCommitment, (commitment) => ({ of: 'commitment', commitment }))],
  [kinds.attestation, as(parseAttestation, (attestation) => ({ of: 'attestation', attestation }))],
  [kinds.proposal, as(parseSignedOutcome, (outcome) => ({ of: 'outcome', outcome }))],
  [kinds.coSignature, as(parseSignedOutcome, (outcome) => ({ of: 'outcome', outcome }))],
])

/** Every kind that is kept. */
export const keptKinds: readonly number[] = [...readers.keys()]

/** Reads an event whose signature was checked. Refuses text that no database can hold. */
export function readFact(event: NostrEvent, home: Home): Parsed<Fact> {
  const fact = readers.get(event.kind)?.(event, home) ?? refused(`kind ${event.kind} is none of ours`)
  if (!fact.ok) return fact
  if (!isText(fact.value)) return refused('text with a NUL or half a character')
  const pool =
    fact.value.of === 'commitment'
      ? fact.value.commitment.pool
      : fact.value.of === 'outcome'
        ? fact.value.outcome.message.pool
        : home.pool
  return pool === home.pool ? fact : refused('pool: not ours')
}

function isText(value: unknown): boolean {
  if (typeof value === 'string') return !/\0|\p{Surrogate}/u.test(value)
  if (typeof value !== 'object' || value === null) return true
  return Object.entries(value).every(([key, inner]) => isText(key) && isText(inner))
}

function standingOf(
  { pubkey }: NostrEvent,
  fact: Fact,
  apps: ChainState['apps'],
): 'ok' | 'unknown-app' | 'stranger' {
  if (fact.of === 'attester') {
    const listed = [...apps.values()].some((app) =>
      app.rules.some((r) => r.keys.includes(attesterKey(pubkey))),
    )
    return listed ? 'ok' : 'stranger'
  }
  const app = apps.get(appOf(fact))
  if (!app) return 'unknown-app'
  switch (fact.of) {
    // Its author is part of the app's id.
    case 'repository':
      return 'ok'
    case 'release':
      return app.rules.some((rules) => rules.releaseKey === pubkey) ? 'ok' : 'stranger'
    case 'mirror':
    case 'heartbeat':
      return [...app.mirrors.values()].some((mirror) => mirror.nodeKey === pubkey) ? 'ok' : 'stranger'
    default:
      return app.rules.some((rules) => rules.keys.includes(attesterKey(pubkey))) ? 'ok' : 'stranger'
  }
}

function appOf(fact: Exclude<Fact, { of: 'attester' }>): string {
  switch (fact.of) {
    case 'repository':
      return fact.app
    case 'release':
      return fact.release.app
    case 'mirror':
      return fact.mirror.app
    case 'heartbeat':
      return fact.heartbeat.app
    case 'seen':
      return fact.seen.app
    case 'commitment':
      return fact.commitment.app
    case 'attestation':
      return fact.attestation.app
    case 'outcome':
      return fact.outcome.message.app
  }
}
