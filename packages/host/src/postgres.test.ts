import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLog } from './log.ts'
import { connect, openPostgres, type Postgres } from './postgres.ts'

const log = createLog('test', 'silent')
let dir: string
let postgres: Postgres

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'understudy-postgres-'))
  postgres = await openPostgres({ dataDir: join(dir, 'db'), log })
}, 300_000)

afterAll(async () => {
  await postgres.stop()
  await rm(dir, { recursive: true, force: true })
}, 300_000)

async function rowsOf(url: string, query: string): Promise<unknown[]> {
  const pool = connect(url, log)
  try {
    return (await pool.query(query)).rows
  } finally {
    await pool.end()
  }
}

test('runs in a folder that only its owner may enter, and really syncs', async () => {
  expect((await stat(join(dir, 'db'))).mode & 0o077).toBe(0)
  expect((await stat(join(dir, 'db.password'))).mode & 0o077).toBe(0)
  expect(await rowsOf(postgres.url, 'show fsync')).toEqual([{ fsync: 'on' }])
})

test('refuses a wrong password', async () => {
  const pool = connect(postgres.url.replace(/postgres:[0-9a-f]+@/, 'postgres:wrong@'))
  await expect(pool.query('select 1')).rejects.toThrow(/password/)
  await pool.end()
})

test('comes back with its rows after its server is killed', async () => {
  await rowsOf(postgres.url, 'create table kept (n int)')
  await rowsOf(postgres.url, 'insert into kept values (7)')
  process.kill(postgres.pid()!, 'SIGKILL')
  const rows = async () => rowsOf(postgres.url, 'select n from kept').catch(() => undefined)
  let found = await rows()
  for (const until = Date.now() + 20_000; !found && Date.now() < until; found = await rows()) await delay(50)
  expect(found).toEqual([{ n: 7 }])
}, 300_000)

test('takes over the folder of a server that an earlier run left behind', async () => {
  const leftBehind = postgres.pid()!
  const second = await openPostgres({ dataDir: join(dir, 'db'), log })
  try {
    expect(second.pid()).not.toBe(leftBehind)
    expect(await rowsOf(second.url, 'select n from kept')).toEqual([{ n: 7 }])
  } finally {
    // The first one's supervisor would start its own again: both stop.
    await postgres.stop()
    postgres = second
  }
}, 300_000)
