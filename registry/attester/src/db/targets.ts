import { and, asc, eq, gt, inArray, lte, not, sql } from 'drizzle-orm'
import type { Database } from './database.ts'
import { targets } from './schema.ts'

export interface Target {
  readonly app: string
  readonly mirror: number
  /** When its next probe is due, ms since 1970. */
  readonly dueAt: number
  readonly address: string
  /** Lowest round trip at that address, µs; 0 before the first. */
  readonly lowestMicros: number
  readonly forkCheckedAt: number
}

/** Makes the app's targets these mirrors: new ones become due at a moment of their own (whole ms), gone ones are dropped. */
export async function setTargets(
  db: Database,
  app: string,
  mirrors: readonly number[],
  dueAt: (mirror: number) => number,
): Promise<void> {
  const gone = mirrors.length > 0 ? not(inArray(targets.mirror, [...mirrors])) : sql`true`
  await db.delete(targets).where(and(eq(targets.app, app), gone))
  if (mirrors.length === 0) return
  await db
    .insert(targets)
    .values(mirrors.map((mirror) => ({ app, mirror, dueAt: Math.round(dueAt(mirror)) })))
    .onConflictDoNothing()
}

/** Takes up to `limit` due targets that nobody else works on, until `leaseMs` from now. */
export async function leaseDueTargets(
  db: Database,
  now: number,
  limit: number,
  leaseMs: number,
): Promise<Target[]> {
  return db.transaction(async (tx) => {
    const due = await tx
      .select()
      .from(targets)
      .where(and(lte(targets.dueAt, now), lte(targets.leasedUntil, now)))
      .orderBy(asc(targets.dueAt))
      .limit(limit)
      .for('update', { skipLocked: true })
    for (const { app, mirror } of due)
      await tx
        .update(targets)
        .set({ leasedUntil: now + leaseMs })
        .where(and(eq(targets.app, app), eq(targets.mirror, mirror)))
    return due
  })
}

/** Keeps leases from ending while their work goes on. */
export async function extendLeases(
  db: Database,
  held: readonly Pick<Target, 'app' | 'mirror'>[],
  leasedUntil: number,
): Promise<void> {
  for (const { app, mirror } of held)
    await db
      .update(targets)
      .set({ leasedUntil })
      // One that has just ended stays ended.
      .where(and(eq(targets.app, app), eq(targets.mirror, mirror), gt(targets.leasedUntil, 0)))
}

/** Ends a lease: when the target is due next, and what was learned of its address. */
export async function endLease(db: Database, target: Target, dueAt: number): Promise<void> {
  const { app, mirror, address, lowestMicros, forkCheckedAt } = target
  await db
    .update(targets)
    .set({ dueAt: Math.round(dueAt), leasedUntil: 0, address, lowestMicros, forkCheckedAt })
    .where(and(eq(targets.app, app), eq(targets.mirror, mirror)))
}
