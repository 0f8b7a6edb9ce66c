import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import { Cl } from '@stacks/transactions'
import * as z from 'zod/mini'
import { epochTag, parseEpochTag } from './attestation.ts'
import { buffer, consensus } from './clarity.ts'
import { type EventTemplate, type NostrEvent, type Parsed, parsed, refused, tag } from './event.ts'
import { kinds } from './kinds.ts'
import { attesterKey } from './rules.ts'
import { hex32, parseJson } from './schema.ts'
import { recoverKey, structuredHash } from './sip018.ts'

/** Version of the rules of computation; part of `inputs`. */
export const protocolVersion = 1

/** A Stacks block: the chain's state that an epoch is settled on. */
export interface Anchor {
  readonly height: number
  /** index_block_hash, 32 bytes hex. */
  readonly hash: string
}

/** A commitment as `inputs` name it: whose (33 bytes hex), and its root. */
export interface NamedCommitment {
  readonly key: string
  readonly root: string
}

/** What represents an absent attester for place: its commitment of an epoch before. */
export interface FormerCommitment extends NamedCommitment {
  readonly epoch: number
}

/** Everything that the outcome is a function of. Sorted by key. */
export interface Inputs {
  readonly rulesVersion: number
  readonly anchor: Anchor
  readonly commitments: readonly NamedCommitment[]
  readonly former: readonly FormerCommitment[]
}

const byKey = (a: NamedCommitment, b: NamedCommitment) => (a.key < b.key ? -1 : 1)

/**
 * sha256 of the consensus bytes of `{protocol, rules, anchor: {height, hash}, commitments: (list {key, root}), former: (list {key, epoch, root})}`,
 * hex.
 */
export function inputsHash(inputs: Inputs): string {
  const commitments = [...inputs.commitments].sort(byKey)
  const former = [...inputs.former].sort(byKey)
  const tuple = Cl.tuple({
    protocol: Cl.uint(protocolVersion),
    rules: Cl.uint(inputs.rulesVersion),
    anchor: Cl.tuple({ height: Cl.uint(inputs.anchor.height), hash: buffer(inputs.anchor.hash) }),
    commitments: Cl.list(commitments.map((c) => Cl.tuple({ key: buffer(c.key), root: buffer(c.root) }))),
    former: Cl.list(
      former.map((c) => Cl.tuple({ key: buffer(c.key), epoch: Cl.uint(c.epoch), root: buffer(c.root) })),
    ),
  })
  return bytesToHex(sha256(consensus(tuple)))
}

/** What M of N attesters sign and the pool checks. */
export interface SettlementMessage {
  /** Contract principal of the reward pool. */
  readonly pool: string
  readonly app: string
  readonly epoch: number
  readonly round: number
  readonly inputs: string
  readonly root: string
  /** µSTX. */
  readonly allocated: bigint
  /** Number of leaves. */
  readonly count: number
}

export function settlementHash(message: SettlementMessage, chainId: number): Uint8Array {
  return structuredHash(
    Cl.tuple({
      topic: Cl.stringAscii('settlement'),
      pool: Cl.principal(message.pool),
      app: buffer(message.app),
      epoch: Cl.uint(message.epoch),
      round: Cl.uint(message.round),
      inputs: buffer(message.inputs),
      root: buffer(message.root),
      allocated: Cl.uint(message.allocated),
      count: Cl.uint(message.count),
    }),
    chainId,
  )
}

const height = z.int().check(z.minimum(0))
const compressedKey = z.string().check(z.regex(/^02[0-9a-f]{64}$/))
const contentSchema = z.object({
  pool: z.string().check(z.maxLength(200)),
  round: height,
  attempt: height,
  inputs: z.object({
    rulesVersion: height,
    anchor: z.object({ height, hash: hex32 }),
    commitments: z.array(z.object({ key: compressedKey, root: hex32 })).check(z.maxLength(19)),
    former: z.array(z.object({ key: compressedKey, epoch: height, root: hex32 })).check(z.maxLength(19)),
  }),
  root: hex32,
  allocated: z.string().check(z.regex(/^\d{1,39}$/)),
  count: height,
  signature: z.string().check(z.regex(/^[0-9a-f]{130}$/)),
})

/** A proposal (4618), or another attester's signature under the same outcome (4619). */
export interface SignedOutcome {
  readonly eventId: string
  readonly attester: string
  readonly attempt: number
  readonly inputs: Inputs
  readonly message: SettlementMessage
  /** RSV, hex. */
  readonly signature: string
}

export function signedOutcomeTemplate(
  kind: typeof kinds.proposal | typeof kinds.coSignature,
  outcome: Omit<SignedOutcome, 'eventId' | 'attester'>,
  createdAt: number,
): EventTemplate {
  const { message, inputs, attempt, signature } = outcome
  const { pool, round, root, count } = message
  return {
    kind,
    created_at: createdAt,
    tags: [['d', epochTag(message.app, message.epoch)]],
    content: JSON.stringify({
      pool,
      round,
      attempt,
      inputs,
      root,
      allocated: String(message.allocated),
      count,
      signature,
    }),
  }
}

/** Reads a proposal or co-signature and checks its ECDSA signature against the event's own key. */
export function parseSignedOutcome(event: NostrEvent, chainId: number): Parsed<SignedOutcome> {
  if (event.kind !== kinds.proposal && event.kind !== kinds.coSignature)
    return refused('not a proposal or co-signature')
  const at = parseEpochTag(tag(event, 'd'))
  if (!at) return refused('d: not an app and epoch')
  const content = parseJson(contentSchema, event.content, 16_384)
  if (!content.ok) return content
  const { pool, round, attempt, inputs, root, allocated, count, signature } = content.value
  const message = {
    pool,
    ...at,
    round,
    inputs: inputsHash(inputs),
    root,
    allocated: BigInt(allocated),
    count,
  }
  try {
    const signer = recoverKey(settlementHash(message, chainId), signature)
    if (signer !== attesterKey(event.pubkey)) return refused('signature: not by this attester')
  } catch {
    return refused('pool: not a principal')
  }
  return parsed({ eventId: event.id, attester: event.pubkey, attempt, inputs, message, signature })
}
