import type { NostrEvent } from '@understudy/protocol/event'
import { and, eq } from 'drizzle-orm'
import type { Database } from './database.ts'
import { accusations } from './schema.ts'

/** A key that contradicted itself, and the two events that show it. */
export interface Accusation {
  readonly app: string
  /** 33 bytes hex. */
  readonly key: string
  readonly epoch: number
  readonly events: readonly [NostrEvent, NostrEvent]
  readonly notBefore: number
}

/** Keeps an accusation; the first against a key is enough. True when it is new. */
export async function keepAccusation(db: Database, accusation: Accusation): Promise<boolean> {
  const kept = await db
    .insert(accusations)
    .values(accusation)
    .onConflictDoNothing()
    .returning({ key: accusations.key })
  return kept.length > 0
}

export async function accusationsOf(
  db: Database,
  app: string,
): Promise<(Accusation & { readonly attempts: number })[]> {
  return db.select().from(accusations).where(eq(accusations.app, app))
}

export async function postponeAccusation(
  db: Database,
  { app, key, attempts }: { readonly app: string; readonly key: string; readonly attempts: number },
  notBefore: number,
): Promise<void> {
  await db
    .update(accusations)
    .set({ notBefore, attempts: attempts + 1 })
    .where(and(eq(accusations.app, app), eq(accusations.key, key)))
}

/** The chain knows it now. */
export async function dropAccusation(db: Database, app: string, key: string): Promise<void> {
  await db.delete(accusations).where(and(eq(accusations.app, app), eq(accusations.key, key)))
}
