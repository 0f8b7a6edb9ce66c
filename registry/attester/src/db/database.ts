import { fileURLToPath } from 'node:url'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import type { Pool } from 'pg'
import * as schema from './schema.ts'

/** The database, or a transaction on it. */
export type Database = Pick<
  NodePgDatabase<typeof schema>,
  'select' | 'selectDistinctOn' | 'insert' | 'update' | 'delete'
> & {
  transaction<T>(work: (tx: Database) => Promise<T>): Promise<T>
}

const migrationsFolder = fileURLToPath(new URL('../../migrations', import.meta.url))

/** The migrated database. */
export async function openDatabase(pool: Pool): Promise<Database> {
  const db = drizzle(pool, { schema })
  await migrate(db, { migrationsFolder })
  return db as unknown as Database
}
