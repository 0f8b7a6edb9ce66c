import * as z from 'zod/mini'
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
import { sha256Text } from './hash.ts'
import { kinds } from './kinds.ts'
import { hex32, objectId, parseJson } from './schema.ts'

/** Longest content of an attestation. */
const maxContent = 8_192
const count = z.int().check(z.minimum(0), z.maximum(1_000_000))

/** What one attester says of one mirror for one epoch. design: Events, 4617. */
export const reportSchema = z.object({
  mirror: z.int().check(z.minimum(1)),
  nodeKey: hex32,
  /** Conclusive probes; the inconclusive ones are named but count for nothing. */
  passed: count,
  failed: count,
  inconclusive: count,
  /** How often each reason occurred. */
  reasons: z.record(z.string().check(z.maxLength(40)), count),
  /** The mirror sent bytes that are no file of any release that it may serve, or signed a wrong answer. */
  wrongBytes: z.boolean(),
  /** Principal that the node key's announcement names, or empty. */
  principal: z.string().check(z.maxLength(128)),
  /** Address dialled, and its autonomous system; 0 when unknown. */
  address: z.string().check(z.maxLength(64)),
  asn: z.int().check(z.minimum(0), z.maximum(4_294_967_295)),
  /** Lowest round trip of a signed challenge at that address, µs; 0 when none was answered. */
  rttMicros: z.int().check(z.minimum(0), z.maximum(60_000_000)),
  /** Claimed place, as announced. */
  geohash: z.string().check(z.maxLength(12)),
  commit: z.union([objectId, z.literal('')]),
  /** sha256 of the observations that this counts, which the attester serves; absent when it serves none. */
  evidence: z.optional(hex32),
})

export type Report = z.infer<typeof reportSchema>

const isCount = (value: unknown, most = 1_000_000): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most
const isText = (value: unknown, most: number): value is string =>
  typeof value === 'string' && value.length <= most

/** What `reportSchema` accepts, by hand, because an epoch has tens of thousands; undefined is for the schema to explain. */
function readReport(input: unknown): Report | undefined {
  if (typeof input !== 'object' || input === null) return undefined
  const given = input as Record<string, unknown>
  const { mirror, nodeKey, passed, failed, inconclusive, reasons, wrongBytes, principal } = given
  const { address, asn, rttMicros, geohash, commit, evidence } = given
  if (!isCount(mirror, Number.MAX_SAFE_INTEGER) || mirror === 0 || !isHex32(nodeKey)) return undefined
  if (!isCount(passed) || !isCount(failed) || !isCount(inconclusive)) return undefined
  if (typeof reasons !== 'object' || reasons === null || Array.isArray(reasons)) return undefined
  for (const [reason, times] of Object.entries(reasons))
    if (reason === '__proto__' || !isText(reason, 40) || !isCount(times)) return undefined
  if (typeof wrongBytes !== 'boolean' || !isText(principal, 128) || !isText(address, 64)) return undefined
  if (!isCount(asn, 4_294_967_295) || !isCount(rttMicros, 60_000_000) || !isText(geohash, 12))
    return undefined
  if (typeof commit !== 'string' || !(commit === '' || isObjectId(commit))) return undefined
  if (evidence !== undefined && !isHex32(evidence)) return undefined
  // Fields that the schema does not name are dropped.
  const named = evidence === undefined ? 13 : 14
  if (Object.keys(given).length !== named) return undefined
  return given as unknown as Report
}

/** Where a report stands in its attester's commitment. */
export interface LeafProof {
  /** From 1: leaf 0 is the header. */
  readonly index: number
  /** 64 hex digits each, joined, from the leaf up to the root. */
  readonly siblings: string
}

export interface Attestation {
  readonly eventId: string
  readonly attester: string
  readonly app: string
  readonly epoch: number
  readonly report: Report
  /** Leaf of the commitment's tree, hex. */
  readonly leaf: string
  /** What is not in a commitment can do without; it then counts for nothing beside one that has it. */
  readonly proof?: LeafProof
}

/** sha256(0x00 ‖ the report's JSON as UTF-8), hex: what a commitment commits to. */
export const reportLeaf = (content: string): string => sha256Text(`\u0000${content}`)

/** The `d` tag of everything that belongs to one epoch of one app; relays index it. */
export const epochTag = (app: string, epoch: number): string => `${app}:${epoch}`

export function parseEpochTag(value: string | undefined): { app: string; epoch: number } | undefined {
  const match = /^([0-9a-f]{64}):(0|[1-9]\d{0,8})$/.exec(value ?? '')
  return match ? { app: match[1]!, epoch: Number(match[2]) } : undefined
}

export function attestationTemplate(
  app: string,
  epoch: number,
  report: Report,
  createdAt: number,
  proof?: LeafProof,
): EventTemplate {
  return {
    kind: kinds.attestation,
    created_at: createdAt,
    tags: [
      ['d', epochTag(app, epoch)],
      ['p', report.nodeKey],
      ['mirror', String(report.mirror)],
      ...(proof ? [['proof', String(proof.index), proof.siblings]] : []),
    ],
    content: JSON.stringify(report),
  }
}

export function parseAttestation(event: NostrEvent): Parsed<Attestation> {
  if (event.kind !== kinds.attestation) return refused('not an attestation')
  const at = parseEpochTag(tag(event, 'd'))
  if (!at) return refused('d: not an app and epoch')
  const report = parseJson(reportSchema, event.content, maxContent, readReport)
  if (!report.ok) return report
  const proof = parseProof(event.tags.find((named) => named[0] === 'proof'))
  const said = {
    eventId: event.id,
    attester: event.pubkey,
    app: at.app,
    epoch: at.epoch,
    report: report.value,
    leaf: reportLeaf(event.content),
  }
  return parsed(proof ? { ...said, proof } : said)
}

/** Deepest tree: a million leaves. */
const maxSiblings = 20

function parseProof(named: readonly string[] | undefined): LeafProof | undefined {
  const [, index = '', siblings = ''] = named ?? []
  if (siblings.length > 64 * maxSiblings || siblings.length % 64 !== 0) return undefined
  if (!/^[1-9]\d{0,6}$/.test(index) || !/^[0-9a-f]*$/.test(siblings)) return undefined
  return { index: Number(index), siblings }
}
