import { hexToBytes } from '@noble/hashes/utils.js'
import { Cl } from '@stacks/transactions'
import * as z from 'zod/mini'
import { epochTag, type LeafProof, parseEpochTag, type Report, reportLeaf } from './attestation.ts'
import { buffer, consensus } from './clarity.ts'
import { type EventTemplate, type NostrEvent, type Parsed, parsed, refused, tag } from './event.ts'
import { kinds } from './kinds.ts'
import { hashLeaf, merkleRoot, siblingsOf } from './merkle.ts'
import { attesterKey } from './rules.ts'
import { hex32, parseJson } from './schema.ts'
import { recoverKey, signHash, structuredHash } from './sip018.ts'

/** Leaf 0 of a commitment: where the fee goes and where the attester stands. */
export const headerSchema = z.object({
  /** Stacks principal. */
  stx: z.string().check(z.minLength(1), z.maxLength(128)),
  /** Millionths of a degree. */
  latitude: z.int().check(z.minimum(-90_000_000), z.maximum(90_000_000)),
  longitude: z.int().check(z.minimum(-180_000_000), z.maximum(180_000_000)),
  /** What the moments of its probes followed from, revealed with what they found. See `seed.ts`. */
  seed: hex32,
})

export type CommitmentHeader = z.infer<typeof headerSchema>

/** `{topic: "commitment", pool, app, epoch, root, count}`: what the ECDSA signature covers. */
export interface CommitmentMessage {
  /** Contract principal of the reward pool. */
  readonly pool: string
  readonly app: string
  readonly epoch: number
  readonly root: string
  /** Number of attestations, the header not counted. */
  readonly count: number
}

export interface Commitment extends CommitmentMessage {
  readonly eventId: string
  readonly attester: string
  readonly header: CommitmentHeader
  /** RSV, hex. */
  readonly signature: string
}

export function commitmentHash(message: CommitmentMessage, chainId: number): Uint8Array {
  return structuredHash(
    Cl.tuple({
      topic: Cl.stringAscii('commitment'),
      pool: Cl.principal(message.pool),
      app: buffer(message.app),
      epoch: Cl.uint(message.epoch),
      root: buffer(message.root),
      count: Cl.uint(message.count),
    }),
    chainId,
  )
}

function headerLeaf(header: CommitmentHeader): Uint8Array {
  const tuple = Cl.tuple({
    stx: Cl.principal(header.stx),
    latitude: Cl.int(header.latitude),
    longitude: Cl.int(header.longitude),
    seed: buffer(header.seed),
  })
  return hashLeaf(consensus(tuple))
}

/** Root over the header and what is attested (leaves in hex), ordered by mirror id. */
export function commitmentRoot(
  header: CommitmentHeader,
  attestations: readonly { readonly leaf: string; readonly report: { readonly mirror: number } }[],
): string {
  const ordered = [...attestations].sort((a, b) => a.report.mirror - b.report.mirror)
  return merkleRoot([headerLeaf(header), ...ordered.map((a) => hexToBytes(a.leaf))])
}

/** The root over a header and reports, and for each report, by mirror id, where it stands. */
export function commitTo(
  header: CommitmentHeader,
  reports: readonly Report[],
): { readonly root: string; readonly attested: readonly { report: Report; proof: LeafProof }[] } {
  const ordered = [...reports].sort((a, b) => a.mirror - b.mirror)
  const leaves = [
    headerLeaf(header),
    ...ordered.map((report) => hexToBytes(reportLeaf(JSON.stringify(report)))),
  ]
  const siblings = siblingsOf(leaves)
  const attested = ordered.map((report, at) => ({
    report,
    proof: { index: at + 1, siblings: siblings[at + 1]! },
  }))
  return { root: merkleRoot(leaves), attested }
}

const contentSchema = z.object({
  pool: z.string().check(z.maxLength(200)),
  root: hex32,
  count: z.int().check(z.minimum(0), z.maximum(1_000_000)),
  header: headerSchema,
  signature: z.string().check(z.regex(/^[0-9a-f]{130}$/)),
})

export function commitmentTemplate(
  message: CommitmentMessage,
  header: CommitmentHeader,
  chainId: number,
  secretKey: Uint8Array,
  createdAt: number,
): EventTemplate {
  const { pool, root, count } = message
  const signature = signHash(commitmentHash(message, chainId), secretKey)
  return {
    kind: kinds.commitment,
    created_at: createdAt,
    tags: [['d', epochTag(message.app, message.epoch)]],
    content: JSON.stringify({ pool, root, count, header, signature }),
  }
}

/** Reads a commitment and checks its ECDSA signature against the event's own key. */
export function parseCommitment(event: NostrEvent, chainId: number): Parsed<Commitment> {
  if (event.kind !== kinds.commitment) return refused('not a commitment')
  const at = parseEpochTag(tag(event, 'd'))
  if (!at) return refused('d: not an app and epoch')
  const content = parseJson(contentSchema, event.content, 4_096)
  if (!content.ok) return content
  const commitment = { eventId: event.id, attester: event.pubkey, ...at, ...content.value }
  try {
    const signer = recoverKey(commitmentHash(commitment, chainId), commitment.signature)
    if (signer !== attesterKey(event.pubkey)) return refused('signature: not by this attester')
    headerLeaf(commitment.header)
  } catch {
    return refused('pool or stx: not a principal')
  }
  return parsed(commitment)
}
