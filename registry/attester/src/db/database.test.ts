import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLog } from '@understudy/host/log'
import { connect, openPostgres, type Postgres } from '@understudy/host/postgres'
import type { NostrEvent } from '@understudy/protocol/event'
import type { Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from './database.ts'
import { claimOutcome, enqueueSettlement, followEpoch, openEpochs, outboxOf } from './epochs.ts'
import {
  dropSuperseded,
  eventsToPublish,
  keepEvent,
  markPublished,
  newestOfApp,
  releaseEvents,
} from './events.ts'
import { endLease, extendLeases, leaseDueTargets, setTargets } from './targets.ts'

let dir: string
let postgres: Postgres
let pool: Pool
let db: Database

beforeAll(async () => {
  const log = createLog('test', 'silent')
  dir = await mkdtemp(join(tmpdir(), 'understudy-attester-db-'))
  postgres = await openPostgres({ dataDir: join(dir, 'db'), log })
  pool = connect(postgres.url, log)
  db = await openDatabase(pool)
}, 300_000)

afterAll(async () => {
  await pool.end()
  await postgres.stop()
  await rm(dir, { recursive: true, force: true })
}, 300_000)

const event = (id: string, created_at: number, kind = 34617): NostrEvent => ({
  ...{ id, pubkey: 'node', created_at, kind, tags: [], content: '', sig: '' },
})

test('two workers never lease the same target, and a lease that was lost comes back', async () => {
  const mirrors = Array.from({ length: 20 }, (_, at) => at + 1)
  await setTargets(db, 'leases', mirrors, () => 1_000.7)
  const leased = await Promise.all([1, 2, 3].map(() => leaseDueTargets(db, 1_001, 8, 500)))
  const [done] = leased.flat()
  const ids = leased.flat().map((target) => target.mirror)
  expect(new Set(ids).size).toBe(ids.length)
  const rest = await leaseDueTargets(db, 1_001, 50, 500)
  expect(ids.length + rest.length).toBe(20)
  expect(await leaseDueTargets(db, 1_400, 50, 500)).toEqual([])
  await endLease(db, { ...done!, address: '192.0.2.1', lowestMicros: 900 }, 9_000)
  await extendLeases(db, leased.flat(), 1_700)
  expect(await leaseDueTargets(db, 1_600, 50, 500)).toEqual([])
  const again = await leaseDueTargets(db, 1_700, 50, 500)
  expect(again).toHaveLength(19)
  await setTargets(db, 'leases', [done!.mirror], () => 0)
  const [kept] = await leaseDueTargets(db, 9_000, 50, 500)
  expect(kept).toMatchObject({ mirror: done!.mirror, address: '192.0.2.1', lowestMicros: 900 })
})

test('an event keeps the moment at which it was first held', async () => {
  const at = (receivedAt: number) => ({ app: 'first', epoch: 1, receivedAt })
  expect(await keepEvent(db, event('e1', 5, 4616), at(100))).toBe(true)
  expect(await keepEvent(db, event('e1', 5, 4616), at(900))).toBe(false)
  const { rows } = await pool.query('select received_at from events where id = $1', ['e1'])
  expect(rows).toEqual([{ received_at: '100' }])
})

test('of a replaceable event only the newest version is kept, whatever the order', async () => {
  for (const [id, created] of [
    ['v2', 20],
    ['v3', 30],
    ['v1', 10],
  ] as const) {
    await keepEvent(db, event(id, created), { app: 'newest', epoch: -1, receivedAt: 0 })
    await dropSuperseded(db, event(id, created), 'newest')
  }
  expect((await newestOfApp(db, 34617, 'newest')).get('node')?.id).toBe('v3')
  const { rows } = await pool.query("select id from events where app = 'newest'")
  expect(rows).toEqual([{ id: 'v3' }])
})

test('what is held back is not published before it is released, and once is enough', async () => {
  const held = { app: 'outgoing', epoch: 3, receivedAt: 0, outgoing: 'held' } as const
  await keepEvent(db, event('held', 1, 4617), held)
  expect(await eventsToPublish(db, 10)).toEqual([])
  await releaseEvents(db, { app: 'outgoing', epochs: [3], kinds: [4617], authors: ['node'] })
  expect((await eventsToPublish(db, 10)).map((e) => e.id)).toEqual(['held'])
  await markPublished(db, ['held'])
  expect(await eventsToPublish(db, 10)).toEqual([])
})

test('a second outcome for the same inputs is not ours to sign', async () => {
  const message = { pool: 'p', app: 'a', epoch: 1, round: 0, inputs: 'i', root: 'r', allocated: 1n, count: 1 }
  expect(await claimOutcome(db, message, 'one')).toBe(true)
  expect(await claimOutcome(db, message, 'one')).toBe(true)
  expect(await claimOutcome(db, message, 'two')).toBe(false)
  expect(await claimOutcome(db, { ...message, inputs: 'other' }, 'two')).toBe(true)
})

test('a round of an epoch has one settlement in the outbox: the first', async () => {
  const message = {
    pool: 'p',
    app: 'a',
    epoch: 7,
    round: 0,
    inputs: 'i',
    root: 'r',
    allocated: 12n,
    count: 1,
  }
  await enqueueSettlement(db, message, ['aa', null, 'bb'], 50.4)
  await enqueueSettlement(db, { ...message, root: 'other' }, [null, 'cc', 'bb'], 10)
  await enqueueSettlement(db, { ...message, round: 1, root: 'again' }, ['aa', 'bb', null], 90)
  expect(await outboxOf(db, 'a', 7, 0)).toMatchObject({
    ...{ state: 'pending', root: 'r', allocated: 12n, notBefore: 50, signatures: ['aa', null, 'bb'] },
  })
  expect(await outboxOf(db, 'a', 7, 1)).toMatchObject({ root: 'again', notBefore: 90 })
  expect(await outboxOf(db, 'a', 7, 2)).toBeUndefined()
})

test('following an epoch again changes nothing', async () => {
  await followEpoch(db, 'f', 1, 100)
  await followEpoch(db, 'f', 1, 160)
  expect(await openEpochs(db, 'f')).toMatchObject([{ epoch: 1, followedFrom: 100, final: null }])
})
