import * as z from 'zod/mini'
import { hex32 } from './schema.ts'

/** Money in the smallest unit of the app's asset as a decimal string: JSON numbers cannot hold it. */
const money = z.string().check(z.regex(/^\d{1,39}$/))
const height = z.int().check(z.minimum(0))
const ppm = z.int().check(z.minimum(0), z.maximum(1_000_000))
const txid = z.nullable(z.string())

export const apiErrorSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }) })

/** GET /healthz /readyz */
export const readySchema = z.object({
  ok: z.boolean(),
  burnHeight: height,
  stacksHeight: height,
  relaysConnected: height,
})

/** GET /api/network: what a page needs to build and sign a transaction. */
export const networkSchema = z.object({
  stacksUrl: z.string(),
  chainId: height,
  contracts: z.object({ quorum: z.string(), registry: z.string(), pool: z.string() }),
  relays: z.array(z.string()),
  burnHeight: height,
  stacksHeight: height,
  /** Link to a transaction, `{txid}` to be replaced; empty on a local chain. */
  explorer: z.string(),
})

export const releaseViewSchema = z.object({
  eventId: hex32,
  commit: z.string(),
  seq: height,
  files: height,
  createdAt: height,
})

export const poolViewSchema = z.object({
  /** Deposits not yet allocated. */
  free: money,
  deposited: money,
  allocated: money,
  paid: money,
  funders: height,
  /** Epochs that the free money lasts at the present budget; null when the budget is 0. */
  epochsLeft: z.nullable(height),
})

export const rulesViewSchema = z.object({
  version: height,
  from: height,
  until: z.nullable(height),
  budget: money,
  attesters: z.array(z.string()),
  threshold: height,
  places: height,
  levels: z.array(z.string()),
  floor: ppm,
  domainBond: money,
  fee: money,
  grace: height,
  minBond: money,
  faults: height,
  window: height,
  challenge: height,
})

/** Row of GET /api/apps */
export const appViewSchema = z.object({
  app: hex32,
  coordinate: z.string(),
  name: z.string(),
  description: z.string(),
  maintainer: z.string(),
  /** In which every amount of the app is: µSTX or satoshis of sBTC. */
  asset: z.enum(['stx', 'sbtc']),
  web: z.array(z.string()),
  clone: z.array(z.string()),
  /** Whether the repository announcement names the chain's maintainer. */
  bound: z.boolean(),
  schedule: z.object({ start: height, length: height, notice: height, cap: money }),
  /** Running epoch; null before the start. */
  epoch: z.nullable(z.int()),
  mirrors: height,
  mirrorsUp: height,
  release: z.nullable(releaseViewSchema),
  pool: poolViewSchema,
  /** Those of the running epoch. */
  rules: rulesViewSchema,
  /** Newer ones, which govern later; what is deposited now has to accept these. */
  announced: z.nullable(rulesViewSchema),
})

/** Row of GET /api/apps/:app/mirrors */
export const mirrorViewSchema = z.object({
  mirror: height,
  nodeKey: hex32,
  owner: z.string(),
  name: z.string(),
  web: z.string(),
  relay: z.string(),
  commit: z.string(),
  /** Claimed place, and what the round trips say of it. */
  geohash: z.string(),
  claim: z.enum(['falsified', 'not falsified', 'no claim', 'unknown']),
  network: z.string(),
  bond: money,
  since: height,
  /** Bound both ways: chain names the node key, the node key names the owner. */
  bound: z.boolean(),
  /** `up` when the newest conclusive attestations pass; `unknown` before any. */
  state: z.enum(['up', 'down', 'stale', 'tampering', 'unknown']),
  /** Of the newest attested epoch, median over attesters. */
  availability: z.nullable(ppm),
  attestedEpoch: z.nullable(height),
  probes: z.object({ passed: height, failed: height, inconclusive: height }),
  reasons: z.record(z.string(), height),
  paid: money,
  lastSeen: z.nullable(height),
})

export const payoutViewSchema = z.object({
  index: height,
  mirror: height,
  recipient: z.string(),
  amount: money,
  claimTxid: txid,
})

/** Row of GET /api/apps/:app/epochs; the payouts in GET /api/apps/:app/epochs/:epoch */
export const epochViewSchema = z.object({
  epoch: height,
  state: z.enum(['running', 'closing', 'settled', 'payable', 'lapsed']),
  endsAt: height,
  commitments: height,
  attestations: height,
  allocated: money,
  paid: money,
  root: z.string(),
  count: height,
  settleTxid: txid,
  payableAt: z.nullable(height),
})

/**
 * GET /api/apps/:app/epochs/:epoch. The payouts are recomputed from public data and shown only where they lead to the root on
 * chain. `recomputed`: whether they do; `incomplete` while attestations are missing, `none` where nothing is settled.
 */
export const epochDetailSchema = z.extend(epochViewSchema, {
  payouts: z.array(payoutViewSchema),
  recomputed: z.enum(['same', 'differs', 'incomplete', 'none']),
})

/** GET /api/apps/:app/epochs/:epoch/leaves/:index/proof: what `claim` takes. */
export const leafProofSchema = z.object({
  app: hex32,
  epoch: height,
  root: hex32,
  leaf: z.object({ index: height, mirror: height, recipient: z.string(), amount: money }),
  proof: z.array(z.object({ hash: hex32, left: z.boolean() })),
  payable: z.boolean(),
  claimTxid: txid,
})

/** GET /api/apps/:app/accounts/:address: what a Stacks account has in an app. Money in the smallest unit of the app's asset. */
export const accountViewSchema = z.object({
  address: z.string(),
  /** What it deposited, as shares; what they are worth now falls as epochs are settled. */
  deposit: z.object({ shares: money, worth: money }),
  /** A deposit that waits until no epoch is being settled; it counts only then. */
  waiting: z.nullable(z.object({ amount: money, version: height })),
  /** A wish to leave: possible from epoch `ready` on. */
  exit: z.nullable(z.object({ shares: money, worth: money, ready: height })),
  /** Whether every ended epoch is final: only then does a deposit count, and does anybody leave. */
  quiet: z.boolean(),
  mirrors: z.array(
    z.object({
      mirror: height,
      nodeKey: hex32,
      endpoint: z.string(),
      bond: money,
      paid: money,
      /** Burn height from which the bond no longer counts, and from which it can be withdrawn. */
      unbonding: z.nullable(height),
      ready: z.nullable(height),
      retired: z.boolean(),
      withdrawn: z.boolean(),
    }),
  ),
  /** Payments to it that can be claimed now and were not, of the newest epochs. */
  unclaimed: z.array(z.object({ epoch: height, index: height, mirror: height, amount: money })),
})

export const attestationViewSchema = z.object({
  eventId: hex32,
  attester: hex32,
  passed: height,
  failed: height,
  inconclusive: height,
  reasons: z.record(z.string(), height),
  wrongBytes: z.boolean(),
  network: z.string(),
  rttMicros: height,
  commit: z.string(),
})

/** GET /api/apps/:app/mirrors/:mirror: with what the attesters of the rules said, newest epoch first. */
export const mirrorDetailSchema = z.extend(mirrorViewSchema, {
  endpoint: z.string(),
  epochs: z.array(z.object({ epoch: height, paid: money, attestations: z.array(attestationViewSchema) })),
})

/** GET /badge/….json: the schema of shields.io's endpoint badge. */
export const badgeSchema = z.object({
  schemaVersion: z.literal(1),
  label: z.string(),
  message: z.string(),
  color: z.string(),
  isError: z.optional(z.boolean()),
  cacheSeconds: height,
})

export const appsSchema = z.object({ apps: z.array(appViewSchema) })
export const mirrorsSchema = z.object({ mirrors: z.array(mirrorViewSchema) })
export const epochsSchema = z.object({ epochs: z.array(epochViewSchema) })

export type NetworkView = z.infer<typeof networkSchema>
export type AppView = z.infer<typeof appViewSchema>
export type MirrorView = z.infer<typeof mirrorViewSchema>
export type EpochView = z.infer<typeof epochViewSchema>
export type EpochDetail = z.infer<typeof epochDetailSchema>
export type AccountView = z.infer<typeof accountViewSchema>
export type AttestationView = z.infer<typeof attestationViewSchema>
export type MirrorDetail = z.infer<typeof mirrorDetailSchema>
export type LeafProof = z.infer<typeof leafProofSchema>
export type PayoutView = z.infer<typeof payoutViewSchema>
