import { eq } from 'drizzle-orm'
import type { Database } from './database.ts'
import { watches } from './schema.ts'

/** When we last looked, ms since 1970, and the burn height then. */
export interface Watch {
  readonly seenAt: number
  readonly burnHeight: number
}

export async function lastWatch(db: Database, app: string): Promise<Watch | undefined> {
  const [row] = await db.select().from(watches).where(eq(watches.app, app))
  return row
}

export async function keepWatch(db: Database, app: string, watch: Watch): Promise<void> {
  await db
    .insert(watches)
    .values({ app, ...watch })
    .onConflictDoUpdate({ target: watches.app, set: { ...watch } })
}
