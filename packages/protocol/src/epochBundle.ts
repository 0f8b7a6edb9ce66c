import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import * as z from 'zod/mini'
import { maxEventBytes, type NostrEvent, type Parsed, parsed, parseEvent, refused } from './event.ts'
import { check, hex32 } from './schema.ts'
import type { Anchor } from './settlement.ts'

/** First member of every bundle: what it is, and in which edition of the format. */
export const bundleFormat = 'understudy-epoch/1'
/** Largest bundle that is read, bytes: room for 10,000 mirrors seen by 19 attesters. */
export const maxBundleBytes = 268_435_456

/** The contracts, in the order in which their prints stand. */
export const printSources = ['quorum', 'registry', 'pool'] as const
export type PrintSource = (typeof printSources)[number]

/** Where an app's log stands in one contract: number of its events, and the hash chain over them. */
export interface BundleHead {
  readonly seq: number
  readonly head: string
}

/** Everything that one epoch's payout follows from. docs/verifying.md describes it byte for byte. */
export interface EpochBundle {
  /** 1 on mainnet. */
  readonly chainId: number
  /** Stacks address that deployed the three contracts. */
  readonly deployer: string
  readonly app: string
  readonly epoch: number
  readonly anchor: Anchor
  readonly heads: Readonly<Record<PrintSource, BundleHead>>
  /** Consensus bytes (hex, without 0x) of every event that a contract printed about the app, by its `seq`. */
  readonly prints: Readonly<Record<PrintSource, readonly string[]>>
  /** Commitments, attestations, proposals and co-signatures, ascending by id. */
  readonly events: readonly NostrEvent[]
}

const whole = z.int().check(z.minimum(0))
const head = z.object({ seq: whole, head: hex32 })
const prints = z.array(z.string().check(z.regex(/^([0-9a-f]{2})+$/), z.maxLength(2 * maxEventBytes)))
const schema = z.object({
  format: z.literal(bundleFormat),
  digest: hex32,
  chainId: whole,
  deployer: z.string().check(z.regex(/^[0-9A-Z]{1,64}$/)),
  app: hex32,
  epoch: whole,
  anchor: z.object({ height: whole, hash: hex32 }),
  heads: z.object({ quorum: head, registry: head, pool: head }),
  prints: z.object({ quorum: prints, registry: prints, pool: prints }),
  events: z.array(z.unknown()),
})

/** JSON without white space, the members of every object in the order of their names' code units. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([name, of]) => `${JSON.stringify(name)}:${canonicalJson(of)}`).join(',')}}`
}

const byId = (a: NostrEvent, b: NostrEvent) => (a.id < b.id ? -1 : 1)

/** sha256 of the canonical JSON of everything but the digest itself, hex. */
export function bundleDigest(bundle: EpochBundle): string {
  return bytesToHex(sha256(utf8ToBytes(canonicalJson({ format: bundleFormat, ...bundle }))))
}

/** The one way to write a bundle: canonical JSON and a line feed. */
export function writeBundle(bundle: EpochBundle): string {
  const ordered = { ...bundle, events: [...bundle.events].sort(byId) }
  return `${canonicalJson({ format: bundleFormat, digest: bundleDigest(ordered), ...ordered })}\n`
}

/**
 * Reads what `writeBundle` wrote, and nothing else: a byte more, less or elsewhere is refused, the digest included. Signatures and hashes inside
 * are not its business.
 */
export function readBundle(bytes: Uint8Array): Parsed<EpochBundle> {
  if (bytes.length > maxBundleBytes) return refused(`larger than ${maxBundleBytes} bytes`)
  let text: string
  let json: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    json = JSON.parse(text)
  } catch {
    return refused('not JSON in UTF-8')
  }
  const read = check(schema, json)
  if (!read.ok) return read
  const { format: _, digest, events: told, ...rest } = read.value
  const events: NostrEvent[] = []
  for (const [at, input] of told.entries()) {
    const event = parseEvent(input)
    if (!event.ok) return refused(`events.${at}: ${event.reason}`)
    if (at > 0 && events[at - 1]!.id >= event.value.id) return refused(`events.${at}: not ascending by id`)
    events.push(event.value)
  }
  const bundle = { ...rest, events }
  const expected = bundleDigest(bundle)
  if (digest !== expected) return refused(`digest: expected ${expected}, found ${digest}`)
  if (writeBundle(bundle) !== text) return refused('not in canonical form')
  return parsed(bundle)
}
