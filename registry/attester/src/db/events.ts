import type { NostrEvent } from '@understudy/protocol/event'
import { and, asc, desc, eq, inArray, isNull, ne, or, sql } from 'drizzle-orm'
import type { Database } from './database.ts'
import { events } from './schema.ts'

/** An event, and when we first held it (ms since 1970). */
export interface HeldEvent {
  readonly event: NostrEvent
  readonly receivedAt: number
}

export interface Placement {
  readonly app: string
  /** −1 for none. */
  readonly epoch: number
  readonly receivedAt: number
  /** For events of our own. */
  readonly outgoing?: 'held' | 'due'
}

/** Keeps an event; one that is held already keeps its first moment. True when it is new. */
export async function keepEvent(db: Database, event: NostrEvent, at: Placement): Promise<boolean> {
  const row = {
    id: event.id,
    kind: event.kind,
    pubkey: event.pubkey,
    createdAt: event.created_at,
    event,
    ...at,
  }
  const kept = await db.insert(events).values(row).onConflictDoNothing().returning({ id: events.id })
  return kept.length > 0
}

/** Events of a kind for an app and epoch, first held first; of one author where it is named. */
export async function eventsOfEpoch(
  db: Database,
  kind: number,
  app: string,
  epoch: number,
  pubkey?: string,
): Promise<HeldEvent[]> {
  return db
    .select({ event: events.event, receivedAt: events.receivedAt })
    .from(events)
    .where(
      and(
        eq(events.app, app),
        eq(events.kind, kind),
        eq(events.epoch, epoch),
        pubkey === undefined ? undefined : eq(events.pubkey, pubkey),
      ),
    )
    .orderBy(asc(events.receivedAt), asc(events.id))
}

/** Events of a kind that belong to an app and to no epoch. */
export async function eventsOfApp(db: Database, kind: number, app: string): Promise<NostrEvent[]> {
  const held = await eventsOfEpoch(db, kind, app, -1)
  return held.map(({ event }) => event)
}

/** For each author its newest event of a replaceable kind. */
export async function newestOfApp(
  db: Database,
  kind: number,
  app: string,
): Promise<ReadonlyMap<string, NostrEvent>> {
  const rows = await db
    .selectDistinctOn([events.pubkey], { pubkey: events.pubkey, event: events.event })
    .from(events)
    .where(and(eq(events.app, app), eq(events.kind, kind)))
    .orderBy(events.pubkey, desc(events.createdAt), asc(events.id))
  return new Map(rows.map((row) => [row.pubkey, row.event]))
}

/** Forgets all but the newest version of replaceable events. */
export async function dropSuperseded(db: Database, event: NostrEvent, app: string): Promise<void> {
  const newer = and(
    eq(events.app, app),
    eq(events.kind, event.kind),
    eq(events.pubkey, event.pubkey),
    sql`(${events.createdAt}, ${events.id}) <> (
      select e.created_at, e.id from events e
      where e.app = ${app} and e.kind = ${event.kind} and e.pubkey = ${event.pubkey}
      order by e.created_at desc, e.id asc limit 1)`,
  )
  await db.delete(events).where(newer)
}

/** What some authors said about some epochs of an app. */
export interface Sayings {
  readonly app: string
  readonly epochs: readonly number[]
  readonly kinds: readonly number[]
  readonly authors: readonly string[]
}

/** What we hold of it, but for what we hold back: ids and times alone. */
export async function heldOf(db: Database, said: Sayings): Promise<Pick<NostrEvent, 'id' | 'created_at'>[]> {
  return db
    .select({ id: events.id, created_at: events.createdAt })
    .from(events)
    .where(and(isSaying(said), or(isNull(events.outgoing), ne(events.outgoing, 'held'))))
}

export async function eventsById(db: Database, ids: readonly string[]): Promise<NostrEvent[]> {
  const rows = await db
    .select({ event: events.event })
    .from(events)
    .where(inArray(events.id, [...ids]))
  return rows.map((row) => row.event)
}

/** Our events that no relay has yet. */
export async function eventsToPublish(db: Database, limit: number): Promise<NostrEvent[]> {
  const rows = await db
    .select({ event: events.event })
    .from(events)
    .where(eq(events.outgoing, 'due'))
    .orderBy(asc(events.receivedAt), asc(events.id))
    .limit(limit)
  return rows.map((row) => row.event)
}

export async function markPublished(db: Database, ids: readonly string[]): Promise<void> {
  if (ids.length > 0)
    await db
      .update(events)
      .set({ outgoing: 'done' })
      .where(inArray(events.id, [...ids]))
}

/** Lets what was held back go out, and says again whatever else is held of it. */
export async function releaseEvents(db: Database, said: Sayings): Promise<void> {
  await db.update(events).set({ outgoing: 'due' }).where(isSaying(said))
}

const isSaying = ({ app, epochs, kinds, authors }: Sayings) =>
  and(
    eq(events.app, app),
    inArray(events.epoch, [...epochs]),
    inArray(events.kind, [...kinds]),
    inArray(events.pubkey, [...authors]),
  )
