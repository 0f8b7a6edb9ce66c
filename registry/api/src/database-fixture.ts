import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog } from '@understudy/host/log'
import { connect, openPostgres, type Postgres } from '@understudy/host/postgres'
import pg, { type Pool } from 'pg'

/** A real Postgres in a folder of its own. For tests. */
export interface TestPostgres {
  readonly server: Postgres
  readonly dir: string
  /** A pool on a new, empty database. */
  database(): Promise<Pool>
  stop(): Promise<void>
}

export async function startPostgres(): Promise<TestPostgres> {
  const dir = await mkdtemp(join(tmpdir(), 'understudy-api-'))
  const log = createLog('test', 'silent')
  const server = await openPostgres({ dataDir: join(dir, 'postgres'), log })
  const pools: Pool[] = []
  let made = 0
  return {
    server,
    dir,
    async database() {
      const name = `t${++made}`
      const admin = connect(server.url, log)
      await admin.query(`create database ${name}`)
      await admin.end()
      const pool = new pg.Pool({ connectionString: server.url.replace(/\/postgres$/, `/${name}`), max: 2 })
      pool.on('error', () => {})
      pools.push(pool)
      return pool
    },
    async stop() {
      await Promise.all(pools.map((pool) => (pool.ended ? undefined : pool.end())))
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
