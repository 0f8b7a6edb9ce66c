import { connect } from '@understudy/host/postgres'

/** Makes the databases that are missing; with `fresh`, drops those that are there before. Names are our own: lower-case words. */
export async function ensureDatabases(url: string, names: readonly string[], fresh = false): Promise<void> {
  const pool = connect(url)
  try {
    for (const name of names) {
      if (!/^[a-z_]{1,60}$/.test(name)) throw new Error(`not a database name: ${name}`)
      if (fresh) await pool.query(`drop database if exists "${name}" with (force)`)
      const { rowCount } = await pool.query('select 1 from pg_database where datname = $1', [name])
      if (rowCount === 0) await pool.query(`create database "${name}"`)
    }
  } finally {
    await pool.end()
  }
}

/** The URL of another database of the same server. */
export function databaseUrl(url: string, name: string): string {
  const other = new URL(url)
  other.pathname = `/${name}`
  return other.href
}
