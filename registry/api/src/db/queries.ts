import type { Attestation } from '@understudy/protocol/attestation'
import type { Commitment } from '@understudy/protocol/commitment'
import type { Inputs } from '@understudy/protocol/settlement'
import { and, desc, eq, inArray, sql } from 'drizzle-orm'
import type { Print } from '../archive/archive.ts'
import type { Db } from './database.ts'
import * as t from './schema.ts'

/** What a repository's newest announcement says. */
export interface RepositoryRow {
  readonly name: string
  readonly description: string
  readonly clone: readonly string[]
  readonly web: readonly string[]
  readonly stx: string
}

export interface ReleaseRow {
  readonly eventId: string
  readonly commit: string
  readonly seq: number
  readonly files: number
  readonly createdAt: number
}

export interface AnnouncementRow {
  readonly nodeKey: string
  readonly name: string
  readonly commit: string
  readonly web: string
  readonly relay: string
  readonly geohash: string
  readonly stx: string
  readonly expiresAt: number
  readonly createdAt: number
}

export interface HeartbeatRow {
  readonly nodeKey: string
  readonly commit: string
  readonly createdAt: number
}

/** Everything that attesters published about one epoch. */
export interface Evidence {
  readonly commitments: readonly Commitment[]
  readonly attestations: readonly DatedAttestation[]
}

export type DatedAttestation = Attestation & { readonly createdAt: number }

function attestationOf(row: typeof t.attestations.$inferSelect): DatedAttestation {
  const { eventId, createdAt, app, epoch, attester, leaf, proof, evidence, ...report } = row
  const said = { ...report, ...(evidence ? { evidence } : {}) }
  return { eventId, createdAt, app, epoch, attester, leaf, ...(proof ? { proof } : {}), report: said }
}

export async function repositoryOfApp(db: Db, app: string): Promise<RepositoryRow | undefined> {
  const [row] = await db.select().from(t.repositories).where(eq(t.repositories.app, app))
  return row
}

/** The release with the highest number that this key signed; of two events of one release the snapshot. */
export async function newestRelease(
  db: Db,
  app: string,
  by: { readonly releaseKey: string; readonly minSeq: number },
): Promise<ReleaseRow | undefined> {
  const { releases: r } = t
  const [row] = await db
    .select()
    .from(r)
    .where(and(eq(r.app, app), eq(r.pubkey, by.releaseKey), sql`${r.seq} >= ${by.minSeq}`))
    .orderBy(desc(r.seq), r.kind, r.eventId)
    .limit(1)
  return row
}

export async function announcementsOfApp(db: Db, app: string): Promise<AnnouncementRow[]> {
  return db.select().from(t.announcements).where(eq(t.announcements.app, app))
}

export async function heartbeatsOfApp(db: Db, app: string): Promise<HeartbeatRow[]> {
  return db.select().from(t.heartbeats).where(eq(t.heartbeats.app, app))
}

/** Relays that nodes announce, the most recently announced first. */
export async function announcedRelays(db: Db, limit: number): Promise<string[]> {
  const rows = await db
    .select({ relay: t.announcements.relay })
    .from(t.announcements)
    .groupBy(t.announcements.relay)
    .orderBy(desc(sql`max(${t.announcements.createdAt})`), t.announcements.relay)
    .limit(limit)
  return rows.map((row) => row.relay)
}

/** Epochs up to `last` that somebody committed to, newest first. */
export async function attestedEpochs(db: Db, app: string, last: number, limit: number): Promise<number[]> {
  const { commitments: c } = t
  const rows = await db
    .selectDistinct({ epoch: c.epoch })
    .from(c)
    .where(and(eq(c.app, app), sql`${c.epoch} <= ${last}`))
    .orderBy(desc(c.epoch))
    .limit(limit)
  return rows.map((row) => row.epoch)
}

/** How much each attester published about an epoch. */
export interface Published {
  readonly epoch: number
  readonly attester: string
  readonly commitments: number
  readonly attestations: number
}

export async function publishedAbout(db: Db, app: string, epochs: readonly number[]): Promise<Published[]> {
  if (epochs.length === 0) return []
  const count = sql<number>`count(*)::int`
  const [committed, attested] = await Promise.all(
    [t.commitments, t.attestations].map((table) => {
      const { epoch, attester } = table
      return db
        .select({ epoch, attester, count })
        .from(table)
        .where(and(eq(table.app, app), inArray(epoch, [...epochs])))
        .groupBy(epoch, attester)
    }),
  )
  return [
    ...committed!.map((row) => ({ ...row, commitments: row.count, attestations: 0 })),
    ...attested!.map((row) => ({ ...row, commitments: 0, attestations: row.count })),
  ]
}

export async function evidenceOfEpochs(
  db: Db,
  app: string,
  epochs: readonly number[],
): Promise<Map<number, Evidence>> {
  if (epochs.length === 0) return new Map()
  const { commitments: c, attestations: a } = t
  const wanted = [...epochs]
  const [committed, attested] = await Promise.all([
    db
      .select()
      .from(c)
      .where(and(eq(c.app, app), inArray(c.epoch, wanted)))
      .orderBy(c.eventId),
    db
      .select()
      .from(a)
      .where(and(eq(a.app, app), inArray(a.epoch, wanted)))
      .orderBy(a.eventId),
  ])
  const commitments = committed.map(({ stx, latitude, longitude, seed, ...row }) => ({
    ...row,
    header: { stx, latitude, longitude, seed },
  }))
  const attestations = attested.map(attestationOf)
  return new Map(
    wanted.map((epoch) => [
      epoch,
      {
        commitments: commitments.filter((row) => row.epoch === epoch),
        attestations: attestations.filter((row) => row.epoch === epoch),
      },
    ]),
  )
}

/** What one mirror was said to do, newest epochs first. */
export async function attestationsOfMirror(
  db: Db,
  app: string,
  mirror: number,
  limit: number,
): Promise<Attestation[]> {
  const { attestations: a } = t
  const rows = await db
    .select()
    .from(a)
    .where(and(eq(a.app, app), eq(a.mirror, mirror)))
    .orderBy(desc(a.epoch), a.attester, a.eventId)
    .limit(limit)
  return rows.map(attestationOf)
}

/** The commitments that a hash of inputs stands for, where a proposal or co-signature told it. */
export async function namedByInputs(
  db: Db,
  app: string,
  epoch: number,
  inputs: string,
): Promise<Pick<Inputs, 'commitments' | 'former'> | undefined> {
  const { outcomes: o } = t
  const [row] = await db
    .select({ commitments: o.commitments, former: o.former })
    .from(o)
    .where(and(eq(o.app, app), eq(o.epoch, epoch), eq(o.inputs, inputs)))
    .limit(1)
  return row
}

/** Which of these events are there already. */
export async function knownEvents(db: Db, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const rows = await db
    .select({ id: t.events.id })
    .from(t.events)
    .where(inArray(t.events.id, [...ids]))
  return new Set(rows.map((row) => row.id))
}

export async function projectedBlobs(db: Db): Promise<Set<string>> {
  return new Set((await db.select().from(t.blobs)).map((row) => row.address))
}

/** Prints of the contracts as they were last read from the chain. */
export async function chainPrints(db: Db): Promise<Print[]> {
  const { source, txid, index, hex } = t.chainEvents
  const rows = await db.select({ source, txid, index, hex }).from(t.chainEvents)
  return rows.map((row) => ({ ...row, source: row.source as Print['source'] }))
}

/** Forgets prints that the chain took back. */
export async function deletePrints(
  db: Db,
  prints: readonly {
    readonly source: string
    readonly app: string
    readonly seq: number
    readonly head: string
  }[],
): Promise<void> {
  const { chainEvents: e } = t
  for (const { source, app, seq, head } of prints)
    await db.delete(e).where(and(eq(e.source, source), eq(e.app, app), eq(e.seq, seq), eq(e.head, head)))
}
