import type { LeafProof } from '@understudy/protocol/attestation'
import type { FormerCommitment, NamedCommitment } from '@understudy/protocol/settlement'
import {
  bigint,
  boolean,
  index,
  integer,
  jsonb,
  numeric,
  pgSchema,
  primaryKey,
  text,
} from 'drizzle-orm/pg-core'

/**
 * Everything here is a projection of the archive (raw Nostr events, raw contract prints): `rebuild` drops the schema and replays it. Times
 * are seconds since 1970, heights burn blocks unless they say Stacks, money in the smallest unit of the app's asset.
 *
 *   archive ──▶ blobs, events ──▶ repositories, releases                          what there is to mirror
 *                             ──▶ announcements, heartbeats                       who mirrors it
 *                             ──▶ commitments, attestations                       what attesters saw
 *                             ──▶ outcomes                                        what they signed
 *           ──▶ chain_events                                                      money and rights
 */
export const registry = pgSchema('registry')

/** Integers that JavaScript holds exactly. */
const whole = (name: string) => bigint(name, { mode: 'number' })

/** Blobs of the archive that are projected. */
export const blobs = registry.table('blobs', { address: text().primaryKey() })

/** Every accepted event. */
export const events = registry.table('events', {
  id: text().primaryKey(),
  kind: integer().notNull(),
  pubkey: text().notNull(),
  createdAt: whole('created_at').notNull(),
})

/** Prints of the three contracts, decoded no further than it takes to find them. */
export const chainEvents = registry.table(
  'chain_events',
  {
    source: text().notNull(),
    app: text().notNull(),
    seq: integer().notNull(),
    /** Hash chain up to and with this event. */
    head: text().notNull(),
    topic: text().notNull(),
    burn: integer().notNull(),
    /** Stacks height. */
    height: integer().notNull(),
    txid: text().notNull(),
    index: integer().notNull(),
    hex: text().notNull(),
  },
  (t) => [primaryKey({ columns: [t.source, t.app, t.seq] }), index().on(t.height)],
)

/** The newest NIP-34 announcement of each app's repository. */
export const repositories = registry.table('repositories', {
  app: text().primaryKey(),
  eventId: text('event_id').notNull(),
  createdAt: whole('created_at').notNull(),
  name: text().notNull(),
  description: text().notNull(),
  clone: text().array().notNull(),
  web: text().array().notNull(),
  relays: text().array().notNull(),
  stx: text().notNull(),
})

/** Every release, as its snapshot event or as the pointer that repeats it. */
export const releases = registry.table(
  'releases',
  {
    eventId: text('event_id').primaryKey(),
    app: text().notNull(),
    kind: integer().notNull(),
    pubkey: text().notNull(),
    seq: integer().notNull(),
    commit: text().notNull(),
    /** Files listed in the event; 0 where the manifest is a file of its own. */
    files: integer().notNull(),
    createdAt: whole('created_at').notNull(),
  },
  (t) => [index().on(t.app, t.seq.desc())],
)

/** The newest announcement of each node key for each app. */
export const announcements = registry.table(
  'announcements',
  {
    app: text().notNull(),
    nodeKey: text('node_key').notNull(),
    eventId: text('event_id').notNull(),
    createdAt: whole('created_at').notNull(),
    name: text().notNull(),
    commit: text().notNull(),
    clone: text().notNull(),
    web: text().notNull(),
    relay: text().notNull(),
    geohash: text().notNull(),
    country: text().notNull(),
    stx: text().notNull(),
    expiresAt: whole('expires_at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.app, t.nodeKey] })],
)

export const heartbeats = registry.table(
  'heartbeats',
  {
    app: text().notNull(),
    nodeKey: text('node_key').notNull(),
    eventId: text('event_id').notNull(),
    createdAt: whole('created_at').notNull(),
    commit: text().notNull(),
  },
  (t) => [primaryKey({ columns: [t.app, t.nodeKey] })],
)

export const commitments = registry.table(
  'commitments',
  {
    eventId: text('event_id').primaryKey(),
    app: text().notNull(),
    epoch: integer().notNull(),
    attester: text().notNull(),
    pool: text().notNull(),
    root: text().notNull(),
    count: integer().notNull(),
    stx: text().notNull(),
    /** Millionths of a degree. */
    latitude: integer().notNull(),
    longitude: integer().notNull(),
    seed: text().notNull().default(''),
    signature: text().notNull(),
  },
  (t) => [index().on(t.app, t.epoch)],
)

export const attestations = registry.table(
  'attestations',
  {
    eventId: text('event_id').primaryKey(),
    createdAt: whole('created_at').notNull(),
    app: text().notNull(),
    epoch: integer().notNull(),
    attester: text().notNull(),
    mirror: integer().notNull(),
    nodeKey: text('node_key').notNull(),
    passed: integer().notNull(),
    failed: integer().notNull(),
    inconclusive: integer().notNull(),
    reasons: jsonb().$type<Record<string, number>>().notNull(),
    wrongBytes: boolean('wrong_bytes').notNull(),
    principal: text().notNull(),
    address: text().notNull(),
    asn: whole('asn').notNull(),
    rttMicros: integer('rtt_micros').notNull(),
    geohash: text().notNull(),
    commit: text().notNull(),
    evidence: text(),
    /** Of the commitment's tree, hex, and the way from there to its root. */
    leaf: text().notNull().default(''),
    proof: jsonb().$type<LeafProof>(),
  },
  (t) => [index().on(t.app, t.epoch), index().on(t.app, t.mirror, t.epoch)],
)

/** Proposals and co-signatures: who signed which outcome, and what it is computed from. */
export const outcomes = registry.table(
  'outcomes',
  {
    eventId: text('event_id').primaryKey(),
    kind: integer().notNull(),
    app: text().notNull(),
    epoch: integer().notNull(),
    attester: text().notNull(),
    attempt: whole('attempt').notNull(),
    round: whole('round').notNull(),
    inputs: text().notNull(),
    rulesVersion: whole('rules_version').notNull(),
    anchorHeight: whole('anchor_height').notNull(),
    anchorHash: text('anchor_hash').notNull(),
    commitments: jsonb().$type<NamedCommitment[]>().notNull(),
    former: jsonb().$type<FormerCommitment[]>().notNull().default([]),
    root: text().notNull(),
    allocated: numeric({ precision: 39, scale: 0 }).notNull(),
    count: whole('count').notNull(),
    signature: text().notNull(),
  },
  (t) => [index().on(t.app, t.epoch, t.inputs)],
)
