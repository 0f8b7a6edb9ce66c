import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js'
import { Cl, ClarityType, type ClarityValue, hexToCV, serializeCVBytes } from '@stacks/transactions'
import * as z from 'zod/mini'
import type { PrintedEntry } from './client.ts'

/** Which of the three contracts printed an event. */
export type Source = 'quorum' | 'registry' | 'pool'

/** A print and the contract that made it. */
export interface SourcedEntry extends PrintedEntry {
  readonly source: Source
}

/** Why a log cannot be used. */
export type LogErrorReason = 'malformed' | 'missing' | 'conflicting' | 'broken-chain'

/** The events that were served are not the contract's whole log. */
export class LogError extends Error {
  readonly reason: LogErrorReason

  constructor(reason: LogErrorReason, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'LogError'
    this.reason = reason
  }
}

/** Head of an empty log. */
export const emptyHead = '00'.repeat(32)

const hex32 = z.string().check(z.regex(/^[0-9a-f]{64}$/))
const hexKey = z.string().check(z.regex(/^02[0-9a-f]{64}$/))
const amount = z.bigint().check(z.minimum(0n))
/** Heights, epochs, ids, counts: whole numbers that JavaScript holds exactly. */
const whole = z.pipe(
  z.bigint().check(z.minimum(0n), z.maximum(BigInt(Number.MAX_SAFE_INTEGER))),
  z.transform((value: bigint) => Number(value)),
)

const common = { app: hex32, seq: whole, head: hex32, burn: whole, height: whole }

const termsSchema = z.pipe(
  z.object({
    budget: amount,
    keys: z.array(hexKey),
    places: whole,
    levels: z.array(z.enum(['continent', 'country', 'network'])),
    floor: whole,
    'domain-bond': amount,
    fee: amount,
    grace: whole,
    'min-bond': amount,
    faults: whole,
    window: whole,
    challenge: whole,
    'claim-period': whole,
    'release-key': hex32,
    'min-seq': whole,
  }),
  z.transform((terms) => {
    const {
      'domain-bond': domainBond,
      'min-bond': minBond,
      'claim-period': claimPeriod,
      'release-key': releaseKey,
      'min-seq': minSeq,
      ...rest
    } = terms
    return { ...rest, domainBond, minBond, claimPeriod, releaseKey, minSeq }
  }),
)

const appRegistered = z.object({
  ...common,
  topic: z.literal('app-registered'),
  /** Hex of the coordinate's bytes. */
  coordinate: z.string(),
  maintainer: z.string(),
  start: whole,
  length: whole,
  notice: whole,
  cap: amount,
  /** Whether the app's asset is sBTC, else STX. */
  sbtc: z.boolean(),
  version: whole,
  from: whole,
  terms: termsSchema,
})

const rulesChanged = z.object({
  ...common,
  topic: z.literal('rules-changed'),
  version: whole,
  from: whole,
  terms: termsSchema,
})

const rulesEnded = z.object({ ...common, topic: z.literal('rules-ended'), version: whole, until: whole })

const releaseKeyReplaced = z.pipe(
  z.object({
    ...common,
    topic: z.literal('release-key-replaced'),
    index: whole,
    /** First epoch. */
    from: whole,
    version: whole,
    'release-key': hex32,
    'min-seq': whole,
  }),
  z.transform(({ 'release-key': releaseKey, 'min-seq': minSeq, ...rest }) => ({
    ...rest,
    releaseKey,
    minSeq,
  })),
)

const maintainerOffered = z.object({
  ...common,
  topic: z.literal('maintainer-offered'),
  to: z.nullable(z.string()),
})

const maintainerChanged = z.object({
  ...common,
  topic: z.literal('maintainer-changed'),
  maintainer: z.string(),
})

const mirrorRegistered = z.pipe(
  z.object({
    ...common,
    topic: z.literal('mirror-registered'),
    mirror: whole,
    owner: z.string(),
    'node-key': hex32,
    endpoint: z.string(),
    bond: amount,
  }),
  z.transform(({ 'node-key': nodeKey, ...rest }) => ({ ...rest, nodeKey })),
)

const endpointSet = z.object({
  ...common,
  topic: z.literal('endpoint-set'),
  mirror: whole,
  endpoint: z.string(),
})

const nodeKeyReplaced = z.pipe(
  z.object({ ...common, topic: z.literal('node-key-replaced'), mirror: whole, 'node-key': hex32 }),
  z.transform(({ 'node-key': nodeKey, ...rest }) => ({ ...rest, nodeKey })),
)

const bondAdded = z.object({ ...common, topic: z.literal('bond-added'), mirror: whole, amount })

const mirrorRetired = z.object({ ...common, topic: z.literal('mirror-retired'), mirror: whole, ready: whole })

const unbondBegun = z.object({ ...common, topic: z.literal('unbond-begun'), mirror: whole, ready: whole })

const bondWithdrawn = z.object({
  ...common,
  topic: z.literal('bond-withdrawn'),
  mirror: whole,
  owner: z.string(),
  amount,
})

const funded = z.object({
  ...common,
  topic: z.literal('funded'),
  funder: z.string(),
  amount,
  /** Minted. */
  shares: amount,
  generation: whole,
  version: whole,
  /** Whether it was parked before. */
  waited: z.boolean(),
})

const depositParked = z.pipe(
  z.object({
    ...common,
    topic: z.literal('deposit-parked'),
    funder: z.string(),
    amount,
    version: whole,
    'min-shares': amount,
  }),
  z.transform(({ 'min-shares': minShares, ...rest }) => ({ ...rest, minShares })),
)

const depositReturned = z.object({
  ...common,
  topic: z.literal('deposit-returned'),
  funder: z.string(),
  amount,
})

const exitRequested = z.object({
  ...common,
  topic: z.literal('exit-requested'),
  funder: z.string(),
  generation: whole,
  shares: amount,
  /** First epoch in which the funder may leave. */
  ready: whole,
})

const exited = z.object({
  ...common,
  topic: z.literal('exited'),
  funder: z.string(),
  generation: whole,
  shares: amount,
  amount,
})

const settled = z.object({
  ...common,
  topic: z.literal('settled'),
  epoch: whole,
  round: whole,
  version: whole,
  inputs: hex32,
  root: hex32,
  allocated: amount,
  /** The part of it that no share stood for. */
  common: amount,
  count: whole,
  signers: z.array(z.boolean()),
  challenge: whole,
})

const voided = z.object({ ...common, topic: z.literal('voided'), epoch: whole, round: whole })

const signaturesAdded = z.object({
  ...common,
  topic: z.literal('signatures-added'),
  epoch: whole,
  /** By position in the keys of the rules row: all of the settlement's now. */
  signers: z.array(z.boolean()),
})

const banned = z.object({
  ...common,
  topic: z.literal('banned'),
  key: hexKey,
  /** Of the contradiction. */
  epoch: whole,
  reporter: z.string(),
  /** What was at stake, of which the reporter got `reward` and the pool the rest. */
  bond: amount,
  reward: amount,
})

const attesterBonded = z.object({
  ...common,
  topic: z.literal('attester-bonded'),
  key: hexKey,
  owner: z.string(),
  amount,
})

const attesterWithdrawn = z.object({
  ...common,
  topic: z.literal('attester-withdrawn'),
  key: hexKey,
  owner: z.string(),
  amount,
})

const swept = z.object({ ...common, topic: z.literal('swept'), epoch: whole, amount })

const claimed = z.object({
  ...common,
  topic: z.literal('claimed'),
  epoch: whole,
  round: whole,
  index: whole,
  mirror: whole,
  recipient: z.string(),
  amount,
})

const rangeClaimed = z.pipe(
  z.object({
    ...common,
    topic: z.literal('range-claimed'),
    epoch: whole,
    round: whole,
    /** Of all that were paid together. */
    amount,
    range: whole,
    paid: amount,
    leaves: z.array(z.nullable(z.object({ index: amount, mirror: amount, recipient: z.string(), amount }))),
  }),
  z.transform(({ range: _, paid, leaves, ...rest }) => ({
    ...rest,
    /** Those that were paid, which the contract marks in `paid`, bit by bit. Others may hold anything. */
    leaves: leaves
      .filter((leaf) => leaf !== null)
      .filter(({ index }) => (paid >> (index % 128n)) & 1n)
      .map((leaf) => ({ ...leaf, index: Number(leaf.index), mirror: Number(leaf.mirror) }))
      .sort((a, b) => a.index - b.index),
  })),
)

const schemas = {
  quorum: z.union([
    appRegistered,
    rulesChanged,
    rulesEnded,
    releaseKeyReplaced,
    maintainerOffered,
    maintainerChanged,
  ]),
  registry: z.union([
    mirrorRegistered,
    endpointSet,
    nodeKeyReplaced,
    bondAdded,
    unbondBegun,
    mirrorRetired,
    bondWithdrawn,
  ]),
  pool: z.union([
    funded,
    depositParked,
    depositReturned,
    exitRequested,
    exited,
    settled,
    voided,
    signaturesAdded,
    banned,
    attesterBonded,
    attesterWithdrawn,
    claimed,
    rangeClaimed,
    swept,
  ]),
}

type Printed =
  | z.infer<typeof schemas.quorum>
  | z.infer<typeof schemas.registry>
  | z.infer<typeof schemas.pool>

/**
 * One state change that a contract printed. Money in the app's asset, `burn` and `height` are the burn and Stacks heights of its block, `seq` counts
 * the app's events in that contract from 1, `head` is the hash chain up to and with this event.
 */
export type ChainEvent = Printed & { readonly source: Source; readonly txid: string }

/** Where an app's log stands in one contract, as `get-log` reads it. */
export interface LogHead {
  readonly seq: number
  readonly head: string
}

/** A Clarity value as plain data: uints as bigint, buffers as hex, tuples as records, `none` as null. */
function plain(value: ClarityValue): unknown {
  switch (value.type) {
    case ClarityType.UInt:
    case ClarityType.Int:
      return BigInt(value.value)
    case ClarityType.BoolTrue:
      return true
    case ClarityType.BoolFalse:
      return false
    case ClarityType.OptionalNone:
      return null
    case ClarityType.OptionalSome:
      return plain(value.value)
    case ClarityType.List:
      return value.value.map(plain)
    case ClarityType.Tuple:
      return Object.fromEntries(Object.entries(value.value).map(([key, field]) => [key, plain(field)]))
    case ClarityType.Buffer:
    case ClarityType.StringASCII:
    case ClarityType.StringUTF8:
    case ClarityType.PrincipalStandard:
    case ClarityType.PrincipalContract:
      return value.value
    default:
      throw new Error(`no event holds a ${value.type}`)
  }
}

interface Decoded {
  readonly event: ChainEvent
  /** sha256 of the consensus bytes of the event without its head. */
  readonly digest: Uint8Array
}

function decode(entry: SourcedEntry): Decoded {
  try {
    const value = hexToCV(entry.hex)
    if (value.type !== ClarityType.Tuple) throw new Error('not a tuple')
    const { head: _, ...body } = value.value
    const printed = z.parse(schemas[entry.source] as z.ZodMiniType<Printed>, plain(value))
    return {
      event: { ...printed, source: entry.source, txid: entry.txid },
      digest: sha256(serializeCVBytes(Cl.tuple(body))),
    }
  } catch (cause) {
    throw new LogError('malformed', `${entry.source} ${entry.txid}: not an event of this contract`, { cause })
  }
}

/** Reads one print. Whether it belongs to the log is `verifyLog`'s to say. Throws `LogError` (`malformed`). */
export function decodeEvent(entry: SourcedEntry): ChainEvent {
  return decode(entry).event
}

/** The head that an event (its digest) leads to. */
function nextHead(head: string, digest: Uint8Array): string {
  return bytesToHex(sha256(concatBytes(hexToBytes(head), digest)))
}

const rank: Readonly<Record<Source, number>> = { quorum: 0, registry: 1, pool: 2 }

function inOrder(a: ChainEvent, b: ChainEvent): number {
  return (
    a.height - b.height ||
    rank[a.source] - rank[b.source] ||
    (a.app < b.app ? -1 : a.app > b.app ? 1 : a.seq - b.seq)
  )
}

/**
 * Decodes prints of the three contracts, in any order, and verifies that for each app and contract they continue what was verified before
 * (`verified`, default nothing) as one unbroken log; returns both. Throws `LogError`: `missing` where an event was left out, `conflicting`
 * where two claim one place (the chain forked while it was read), `broken-chain` where an event was changed. An omission at the very end
 * shows only against the chain's own `get-log`: see `verifyComplete`.
 */
export function verifyLog(
  entries: readonly SourcedEntry[],
  verified: readonly ChainEvent[] = [],
): readonly ChainEvent[] {
  if (entries.length === 0) return verified
  const keyOf = (event: ChainEvent) => `${event.source} ${event.app}`
  const heads = new Map(verified.map((event) => [keyOf(event), event as LogHead]))
  const fresh = entries.map(decode).sort((a, b) => a.event.seq - b.event.seq)
  for (const { event, digest } of fresh) {
    const key = keyOf(event)
    const last = heads.get(key) ?? { seq: 0, head: emptyHead }
    if (event.seq <= last.seq) throw new LogError('conflicting', `${key}: two events with seq ${event.seq}`)
    if (event.seq > last.seq + 1) throw new LogError('missing', `${key}: no event with seq ${last.seq + 1}`)
    if (event.head !== nextHead(last.head, digest))
      throw new LogError('broken-chain', `${key}: event ${event.seq} was changed`)
    heads.set(key, event)
  }
  return [...verified, ...fresh.map(({ event }) => event)].sort(inOrder)
}

/** Throws `LogError` unless verified events reach up to where the chain says that an app's log in one contract stands. */
export function verifyComplete(
  events: readonly ChainEvent[],
  source: Source,
  app: string,
  stands: LogHead,
): void {
  if (stands.seq === 0) return
  const event = events.find((e) => e.source === source && e.app === app && e.seq === stands.seq)
  if (!event) throw new LogError('missing', `${source} ${app}: the chain is at seq ${stands.seq}`)
  if (event.head !== stands.head)
    throw new LogError('broken-chain', `${source} ${app}: event ${stands.seq} is not the chain's`)
}
