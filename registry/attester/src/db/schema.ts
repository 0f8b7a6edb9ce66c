import type { Phases } from '@understudy/host/dial'
import type { NostrEvent } from '@understudy/protocol/event'
import {
  bigint,
  bigserial,
  boolean,
  customType,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
} from 'drizzle-orm/pg-core'

/** Milliseconds since 1970, by the program's own clock. */
const moment = customType<{ data: number; driverData: string }>({
  dataType: () => 'bigint',
  fromDriver: Number,
  // Jittered moments have fractions.
  toDriver: (ms) => String(Math.round(ms)),
})

/** Mirrors to be probed, and when. Workers lease what is due. */
export const targets = pgTable(
  'targets',
  {
    app: text().notNull(),
    mirror: integer().notNull(),
    dueAt: moment('due_at').notNull(),
    leasedUntil: moment('leased_until').notNull().default(0),
    /** Address whose lowest round trip is kept; another address starts anew. */
    address: text().notNull().default(''),
    /** Lowest round trip ever seen there, µs; 0 before the first. */
    lowestMicros: integer('lowest_micros').notNull().default(0),
    forkCheckedAt: moment('fork_checked_at').notNull().default(0),
  },
  (t) => [primaryKey({ columns: [t.app, t.mirror] }), index().on(t.dueAt)],
)

/** What every probe found. Append-only: attestations are counted from here. */
export const observations = pgTable(
  'observations',
  {
    id: bigserial({ mode: 'number' }).primaryKey(),
    app: text().notNull(),
    epoch: integer().notNull(),
    mirror: integer().notNull(),
    at: moment('at').notNull(),
    nodeKey: text('node_key').notNull(),
    principal: text().notNull(),
    outcome: text({ enum: ['passed', 'failed', 'inconclusive'] }).notNull(),
    reason: text().notNull(),
    wrongBytes: boolean('wrong_bytes').notNull(),
    address: text().notNull(),
    asn: bigint({ mode: 'number' }).notNull(),
    rttMicros: integer('rtt_micros').notNull(),
    geohash: text().notNull(),
    commit: text().notNull(),
    phases: jsonb().$type<Phases | null>(),
  },
  (t) => [index().on(t.app, t.epoch)],
)

/**
 * Signed events that decide something: what was followed on relays, and our own. Ours are stored before they are published:
 * `held` until the cut-off, `due` until a relay has it, then `done`.
 */
export const events = pgTable(
  'events',
  {
    id: text().primaryKey(),
    kind: integer().notNull(),
    pubkey: text().notNull(),
    app: text().notNull(),
    /** −1 where the event belongs to no epoch. */
    epoch: integer().notNull(),
    createdAt: bigint('created_at', { mode: 'number' }).notNull(),
    /** When we first held it. */
    receivedAt: moment('received_at').notNull(),
    outgoing: text({ enum: ['held', 'due', 'done'] }),
    event: jsonb().$type<NostrEvent>().notNull(),
  },
  (t) => [index().on(t.app, t.kind, t.epoch), index().on(t.outgoing)],
)

/** Epochs that were followed while they ran. Without a row, memory was lost: we abstain. */
export const epochs = pgTable(
  'epochs',
  {
    app: text().notNull(),
    epoch: integer().notNull(),
    /** Burn height at which we began to follow it. */
    followedFrom: integer('followed_from').notNull(),
    /** Event id of our one commitment. */
    commitment: text(),
    /** Why there is none. */
    abstained: text(),
    /** When we stopped taking commitments for granted; 0 before. */
    cutOffAt: moment('cut_off_at').notNull().default(0),
    /** `key:root` of the commitments held then. */
    demanded: jsonb().$type<readonly string[]>().notNull().default([]),
    /** Why nothing is left to do; null while there is. */
    final: text(),
  },
  (t) => [primaryKey({ columns: [t.app, t.epoch] })],
)

/** Outcomes that we signed: one for each set of inputs, or it would be equivocation. */
export const signedOutcomes = pgTable(
  'signed_outcomes',
  {
    app: text().notNull(),
    epoch: integer().notNull(),
    round: integer().notNull(),
    inputs: text().notNull(),
    /** sha256 that was signed, hex. */
    hash: text().notNull(),
  },
  (t) => [primaryKey({ columns: [t.app, t.epoch, t.round, t.inputs] })],
)

/** The outbox: one settlement per epoch and round, sent until the chain has one. */
export const settlements = pgTable(
  'settlements',
  {
    app: text().notNull(),
    epoch: integer().notNull(),
    state: text({ enum: ['pending', 'sent', 'confirmed', 'lapsed'] }).notNull(),
    round: integer().notNull(),
    inputs: text().notNull(),
    root: text().notNull(),
    /** µSTX, decimal. */
    allocated: text().notNull(),
    count: integer().notNull(),
    /** RSV hex by position in the keys of the rules. */
    signatures: jsonb().$type<readonly (string | null)[]>().notNull(),
    notBefore: moment('not_before').notNull(),
    attempts: integer().notNull().default(0),
    /** Stored before it is sent, so that a restart sends the same transaction again. */
    txid: text(),
    txHex: text('tx_hex'),
  },
  (t) => [primaryKey({ columns: [t.app, t.epoch, t.round] })],
)

/** Keys that contradicted themselves, with the two events that show it, until the chain has banned them. */
export const accusations = pgTable(
  'accusations',
  {
    app: text().notNull(),
    /** 33 bytes hex. */
    key: text().notNull(),
    epoch: integer().notNull(),
    /** The contradicting commitments, or proposals and co-signatures. */
    events: jsonb().$type<readonly [NostrEvent, NostrEvent]>().notNull(),
    /** When the chain is next told. */
    notBefore: moment('not_before').notNull(),
    attempts: integer().notNull().default(0),
  },
  (t) => [primaryKey({ columns: [t.app, t.key] })],
)
