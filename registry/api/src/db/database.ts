import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { migrate as applyMigrations } from 'drizzle-orm/node-postgres/migrator'
import type { Pool } from 'pg'

/** A handle to the projection: the whole database, or one transaction in it. */
export type Db = Pick<
  NodePgDatabase,
  'select' | 'selectDistinct' | 'insert' | 'delete' | 'execute' | 'transaction'
>

export function databaseOf(pool: Pool): Db {
  return drizzle({ client: pool })
}

const migrationsFolder = fileURLToPath(new URL('../../migrations', import.meta.url))
/** Any number that nobody else locks. */
const lock = 7_216_434_001

/**
 * Brings the tables up to date; with `fresh` it drops them first, and the archive is to be replayed. Of several programs that start at one
 * database one migrates, the others wait for it.
 */
export async function migrate(pool: Pool, { fresh }: { readonly fresh: boolean }): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [lock])
    try {
      if (fresh) await client.query('drop schema if exists registry, registry_migrations cascade')
      await applyMigrations(drizzle({ client }), {
        migrationsFolder,
        migrationsSchema: 'registry_migrations',
      })
    } finally {
      await client.query('select pg_advisory_unlock($1)', [lock])
    }
  } finally {
    client.release()
  }
}

/** Resolves when the database answers. */
export async function ping(db: Db): Promise<void> {
  await db.execute(sql`select 1`)
}

/** Whether a statement failed for what it says, so that saying it again fails again (SQLSTATE classes 22 and 23). */
export function isDataError(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { readonly code?: unknown }
    if (typeof code === 'string' && /^2[23]/.test(code)) return true
  }
  return false
}
