import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import {
  type EventTemplate,
  isHex32,
  isObjectId,
  type NostrEvent,
  type Parsed,
  parsed,
  refused,
  tag,
} from './event.ts'
import { kinds } from './kinds.ts'

/** Where a node answers a challenge over HTTP: POST the challenge event, get the answer event. */
export const challengePath = '/.well-known/understudy/challenge'
/** Number of dependent reads in one challenge. */
export const possessionReads = 32
/** Bytes taken of each object read. */
export const sliceBytes = 4_096
/** A challenge is refused when its clock is further off than this, seconds. */
export const challengeMaxAgeSeconds = 60

export interface Challenge {
  readonly eventId: string
  readonly attester: string
  readonly app: string
  readonly nodeKey: string
  readonly commit: string
  /** 32 random bytes, hex. */
  readonly nonce: string
  /** Host (with port) as the attester names it. */
  readonly host: string
  /** The address that it dialled, or the relay's URL when asked over Nostr. */
  readonly address: string
  readonly createdAt: number
}

export function challengeTemplate(
  challenge: Omit<Challenge, 'eventId' | 'attester' | 'createdAt'>,
  createdAt: number,
): EventTemplate {
  return {
    kind: kinds.challenge,
    created_at: createdAt,
    tags: [
      ['p', challenge.nodeKey],
      ['d', challenge.app],
      ['c', challenge.commit],
      ['nonce', challenge.nonce],
      ['host', challenge.host],
      ['address', challenge.address],
      ['expiration', String(createdAt + challengeMaxAgeSeconds)],
    ],
    content: '',
  }
}

export function parseChallenge(event: NostrEvent): Parsed<Challenge> {
  if (event.kind !== kinds.challenge) return refused('not a challenge')
  const read = {
    eventId: event.id,
    attester: event.pubkey,
    app: tag(event, 'd') ?? '',
    nodeKey: tag(event, 'p') ?? '',
    commit: tag(event, 'c') ?? '',
    nonce: tag(event, 'nonce') ?? '',
    host: (tag(event, 'host') ?? '').slice(0, 300),
    address: (tag(event, 'address') ?? '').slice(0, 300),
    createdAt: event.created_at,
  }
  for (const name of ['app', 'nodeKey', 'nonce'] as const) {
    if (!isHex32(read[name])) return refused(`${name}: expected 32 bytes as hex`)
  }
  if (!isObjectId(read.commit)) return refused('c: not a git object id')
  return parsed(read)
}

export interface Answer {
  readonly nodeKey: string
  readonly attester: string
  /** Event id of the challenge. */
  readonly challenge: string
  readonly nonce: string
  readonly host: string
  readonly address: string
  /** Last state of the dependent reads, hex. */
  readonly digest: string
}

export function answerTemplate(challenge: Challenge, digest: string, createdAt: number): EventTemplate {
  return {
    kind: kinds.answer,
    created_at: createdAt,
    tags: [
      ['p', challenge.attester],
      ['e', challenge.eventId],
      ['d', challenge.app],
      ['nonce', challenge.nonce],
      ['host', challenge.host],
      ['address', challenge.address],
      ['digest', digest],
      ['expiration', String(createdAt + challengeMaxAgeSeconds)],
    ],
    content: '',
  }
}

export function parseAnswer(event: NostrEvent): Parsed<Answer> {
  if (event.kind !== kinds.answer) return refused('not an answer')
  const read = {
    nodeKey: event.pubkey,
    attester: tag(event, 'p') ?? '',
    challenge: tag(event, 'e') ?? '',
    nonce: tag(event, 'nonce') ?? '',
    host: tag(event, 'host') ?? '',
    address: tag(event, 'address') ?? '',
    digest: tag(event, 'digest') ?? '',
  }
  for (const name of ['attester', 'challenge', 'nonce', 'digest'] as const) {
    if (!isHex32(read[name])) return refused(`${name}: expected 32 bytes as hex`)
  }
  return parsed(read)
}

/** A blob of the release's tree. The list is sorted by path (code units), as both sides read it from git. */
export interface TreeBlob {
  readonly path: string
  readonly oid: string
}

/** One object of a git repository, by its id. */
export type ReadObject = (oid: string) => Promise<Uint8Array>

/**
 * The dependent reads: `s₀ = sha256(nonce ‖ node key ‖ commit)`; the first 8 bytes of `sₖ` (big-endian, modulo the number of
 * blobs) choose the next blob, the next 8 (modulo its possible offsets) where its slice of at most 4,096 bytes begins;
 * `sₖ₊₁ = sha256(sₖ ‖ slice)`. Nothing can be read before the read that chooses it. Commit as ASCII hex; the rest raw.
 */
export async function possessionDigest(
  challenge: Pick<Challenge, 'nonce' | 'nodeKey' | 'commit'>,
  blobs: readonly TreeBlob[],
  read: ReadObject,
): Promise<string> {
  if (blobs.length === 0) throw new Error('possession: the tree has no blobs')
  let state = sha256(
    concatBytes(hexToBytes(challenge.nonce), hexToBytes(challenge.nodeKey), utf8ToBytes(challenge.commit)),
  )
  for (let i = 0; i < possessionReads; i++) {
    const view = new DataView(state.buffer, state.byteOffset)
    const blob = blobs[Number(view.getBigUint64(0) % BigInt(blobs.length))]!
    const bytes = await read(blob.oid)
    const offsets = Math.max(0, bytes.length - sliceBytes) + 1
    const offset = Number(view.getBigUint64(8) % BigInt(offsets))
    state = sha256(concatBytes(state, bytes.subarray(offset, offset + sliceBytes)))
  }
  return bytesToHex(state)
}
