import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeEvent } from '@understudy/chain/log'
import type { NostrEvent, Verify } from '@understudy/protocol/event'
import { loadVerify } from '@understudy/relays/verify'
import { sql } from 'drizzle-orm'
import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Archive, encodeRecords } from '../archive/archive.ts'
import { openFolderArchive } from '../archive/folder.ts'
import { startPostgres, type TestPostgres } from '../database-fixture.ts'
import { type Db, databaseOf, migrate } from '../db/database.ts'
import { chainId, contracts, Demo, testTime } from '../fixture.ts'
import { createProjector, type Projector } from './projector.ts'

let postgres: TestPostgres
let verify: Verify
beforeAll(async () => {
  postgres = await startPostgres()
  verify = await loadVerify()
})
afterAll(() => postgres.stop())

const tables = [
  'events',
  'repositories',
  'releases',
  'announcements',
  'heartbeats',
  'commitments',
  'attestations',
  'outcomes',
  'chain_events',
]

/** Every row of every table that events and prints make. */
async function rowsOf(db: Db): Promise<Record<string, unknown[]>> {
  const read = tables.map(async (table) => {
    const { rows } = await db.execute(
      sql.raw(`select to_jsonb(t) as row from registry.${table} t order by 1`),
    )
    return [table, rows.map((r) => r.row)] as const
  })
  return Object.fromEntries(await Promise.all(read))
}

async function open(options: { archive?: Archive; pool?: Pool; demo?: Demo } = {}) {
  const pool = options.pool ?? (await postgres.database())
  const archive = options.archive ?? (await openFolderArchive(await mkdtemp(join(postgres.dir, 'archive-'))))
  const demo = options.demo ?? new Demo().register()
  await migrate(pool, { fresh: false })
  const db = databaseOf(pool)
  const troubles: string[] = []
  const { state } = demo.chain.read()
  const projector = createProjector({
    archive,
    db,
    verify,
    home: { chainId, pool: contracts.pool },
    chain: () => state,
    now: () => testTime,
    random: () => 0,
    onTrouble: (what) => troubles.push(what),
    lingerMs: 0,
  })
  return { pool, archive, demo, db, projector, troubles }
}

async function offerAll(projector: Projector, events: readonly NostrEvent[]): Promise<void> {
  for (const event of events) expect(projector.offer(event)).toEqual({ ok: true })
  await projector.idle()
}

async function somethingOfEverything(demo: Demo): Promise<NostrEvent[]> {
  return [
    await demo.repository(),
    await demo.repository({ name: 'Demo, renamed', at: testTime + 5 }),
    await demo.release(1),
    await demo.release(2),
    await demo.announcement(0),
    await demo.announcement(1),
    await demo.heartbeat(0, testTime + 1),
    await demo.heartbeat(0, testTime + 60),
    ...(await demo.epoch(0)).events,
  ]
}

async function addressesOf(archive: Archive): Promise<string[]> {
  const addresses: string[] = []
  for await (const address of archive.list()) addresses.push(address)
  return addresses
}

describe('the projector', () => {
  it('makes the same rows of the same events in any order, however often they come', async () => {
    const one = await open()
    const other = await open({ demo: one.demo })
    const events = await somethingOfEverything(one.demo)
    await offerAll(one.projector, events)
    await offerAll(other.projector, [...events].reverse())
    for (const event of events)
      expect(other.projector.offer(event)).toMatchObject({ ok: false, code: 'duplicate' })
    // A restart forgets what it heard; the rows do not.
    const restarted = await open({ pool: other.pool, archive: other.archive, demo: one.demo })
    const blobs = await addressesOf(other.archive)
    await offerAll(restarted.projector, events)
    expect(await addressesOf(other.archive)).toEqual(blobs)

    const rows = await rowsOf(one.db)
    expect(rows.events).toHaveLength(events.length)
    expect(rows.repositories).toMatchObject([{ name: 'Demo, renamed' }])
    expect(rows.attestations).toHaveLength(6)
    expect(rows.heartbeats).toMatchObject([{ created_at: testTime + 60 }])
    expect(await rowsOf(other.db)).toEqual(rows)
  })

  it('rebuilds the same rows from the archive after the tables are dropped', async () => {
    const { pool, archive, demo, db, projector } = await open()
    const prints = demo.chain.entries()
    await projector.record(prints)
    await offerAll(projector, await somethingOfEverything(demo))
    const before = await rowsOf(db)
    expect(before.chain_events).toHaveLength(prints.length)
    expect(before.chain_events).toContainEqual(
      expect.objectContaining({ head: decodeEvent(prints[0]!).head }),
    )

    await migrate(pool, { fresh: true })
    expect((await rowsOf(db)).events).toEqual([])
    const again = await open({ pool, archive, demo })
    expect(await again.projector.catchUp()).toEqual({
      blobs: (await addressesOf(archive)).length,
      records: expect.any(Number),
    })
    expect(await rowsOf(db)).toEqual(before)
    expect(await again.projector.catchUp()).toEqual({ blobs: 0, records: 0 })
  })

  it('has an event in the archive before its row exists', async () => {
    const { archive, demo, db } = await open()
    const seen: number[] = []
    const watched: Archive = {
      ...archive,
      async put(bytes) {
        seen.push((await rowsOf(db)).events!.length)
        return archive.put(bytes)
      },
    }
    const { projector, pool } = await open({ archive: watched, demo })
    await offerAll(projector, [await demo.repository()])
    expect(seen).toEqual([0])
    expect((await rowsOf(databaseOf(pool))).events).toHaveLength(1)
  })

  it('projects at the next start what a crash left archived but without a row', async () => {
    const { archive, demo, projector, db } = await open()
    await archive.put(encodeRecords([{ event: await demo.repository() }]))
    expect(await projector.catchUp()).toEqual({ blobs: 1, records: 1 })
    expect((await rowsOf(db)).repositories).toHaveLength(1)
  })

  it('keeps what comes in while the database is away, and writes it once it is back', async () => {
    const { pool, archive, demo, troubles } = await open()
    const away = await postgres.database()
    await migrate(away, { fresh: false })
    const { projector } = await open({ pool: away, archive, demo })
    await away.end()
    expect(projector.offer(await demo.repository())).toEqual({ ok: true })
    await projector.idle()
    await projector.close()
    expect(await addressesOf(archive)).toHaveLength(1)
    expect(troubles).toEqual([])

    const later = await open({ pool, archive, demo })
    await later.projector.catchUp()
    expect((await rowsOf(later.db)).repositories).toMatchObject([{ name: 'Demo' }])
  })

  it('does not project from an archive what was never signed, or was changed on disk', async () => {
    const { archive, demo, projector, db, troubles } = await open()
    const event = await demo.repository()
    await archive.put(encodeRecords([{ event: { ...event, content: 'changed' } }]))
    await archive.put(new TextEncoder().encode('{"event":{"id":1}}\nnot JSON\n'))
    expect(await projector.catchUp()).toEqual({ blobs: 2, records: 0 })
    expect((await rowsOf(db)).events).toEqual([])
    expect(troubles).toHaveLength(3)
  })
})
