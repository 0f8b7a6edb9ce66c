import { expiration, type NostrEvent } from '@understudy/protocol/event'
import type { Filter } from '@understudy/relays/filter'
import Database from 'libsql'
import { addressOf, indexedTags } from './semantics.ts'

/** What became of an event: `replaced` means that a newer one holds its address. */
export type Insertion = 'stored' | 'duplicate' | 'replaced'

export interface StoredEvent {
  /** Grows with every stored event. */
  readonly seq: number
  readonly id: string
  readonly createdAt: number
  /** The event as JSON. */
  readonly json: string
}

export interface Reading {
  /** Only events stored up to this one: `head()` of the moment at which the question came. */
  readonly upTo: number
  /** Seconds since 1970; what has expired by then is left out. */
  readonly now: number
  /** Continues behind this event. */
  readonly after?: StoredEvent
  readonly limit: number
}

/** Signed events in SQLite. Everything is synchronous; what `insert` returned is on disk. */
export interface Store {
  /** One transaction, fsynced; the result is in the order of the events. Throws when it cannot be written. */
  insert(events: readonly { readonly event: NostrEvent; readonly json: string }[]): Insertion[]
  /** Newest first, then by lowest id. The filter's own limit is the caller's to apply. */
  read(filter: Filter, reading: Reading): StoredEvent[]
  has(id: string): boolean
  /** `seq` of the last event stored. */
  head(): number
  count(): number
  /** Deletes up to `most` events that have expired; returns how many. */
  sweep(now: number, most: number): number
  close(): void
}

// An event's own columns are what filters and replacement need; the rest lives in `json`.
const tables = `
  CREATE TABLE IF NOT EXISTS event (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    pubkey TEXT NOT NULL,
    kind INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    address TEXT,
    json TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS event_by_time ON event (created_at);
  CREATE INDEX IF NOT EXISTS event_by_kind ON event (kind, created_at);
  CREATE INDEX IF NOT EXISTS event_by_author ON event (pubkey, created_at);
  CREATE INDEX IF NOT EXISTS event_by_expiry ON event (expires_at) WHERE expires_at IS NOT NULL;
  CREATE UNIQUE INDEX IF NOT EXISTS event_by_address ON event (address) WHERE address IS NOT NULL;
  CREATE TABLE IF NOT EXISTS tag (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    kind INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (name, value, kind, created_at, event)
  ) WITHOUT ROWID;`

interface Row {
  seq: number
  id: string
  created_at: number
  json: string
}

/** Opens (or creates) the store in this file; `:memory:` keeps nothing. */
export function openStore(file: string): Store {
  const db = new Database(file)
  db.pragma('journal_mode = WAL')
  // In WAL mode only FULL syncs at every commit: an acknowledged event outlives power loss.
  db.pragma('synchronous = FULL')
  db.exec(tables)

  const insertEvent = db.prepare(
    `INSERT INTO event (seq, id, pubkey, kind, created_at, expires_at, address, json)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
  )
  const insertTag = db.prepare(
    'INSERT INTO tag (name, value, kind, created_at, event) VALUES (?, ?, ?, ?, ?)',
  )
  const deleteEvent = db.prepare('DELETE FROM event WHERE seq = ?')
  const deleteTag = db.prepare(
    'DELETE FROM tag WHERE name = ? AND value = ? AND kind = ? AND created_at = ? AND event = ?',
  )
  const byAddress = db.prepare('SELECT seq, id, created_at, json FROM event WHERE address = ?')
  const byId = db.prepare('SELECT 1 FROM event WHERE id = ?')
  const expired = db.prepare('SELECT seq, json FROM event WHERE expires_at <= ? LIMIT ?')
  const counted = db.prepare('SELECT count(*) AS n FROM event')
  /** One per shape of filter. */
  const selects = new Map<string, Database.Statement>()
  let head = (db.prepare('SELECT max(seq) AS seq FROM event').get() as { seq: number | null }).seq ?? 0

  function remove(seq: number, json: string): void {
    const event = JSON.parse(json) as NostrEvent
    for (const [name, value] of indexedTags(event))
      deleteTag.run(name, value, event.kind, event.created_at, seq)
    deleteEvent.run(seq)
  }

  function insertOne(event: NostrEvent, json: string): Insertion {
    const address = addressOf(event)
    if (address !== null) {
      const held = byAddress.get(address) as Row | undefined
      if (held?.id === event.id) return 'duplicate'
      if (held) {
        const newer = event.created_at - held.created_at || (event.id < held.id ? 1 : -1)
        if (newer < 0) return 'replaced'
        remove(held.seq, held.json)
      }
    }
    const { id, pubkey, kind, created_at } = event
    const seq = head + 1
    const expiresAt = expiration(event) ?? null
    const { changes } = insertEvent.run(seq, id, pubkey, kind, created_at, expiresAt, address, json)
    if (changes === 0) return 'duplicate'
    head = seq
    for (const [name, value] of indexedTags(event)) insertTag.run(name, value, kind, created_at, seq)
    return 'stored'
  }

  /** All or nothing; a `seq` that was rolled back is given out again. */
  function transaction<T>(work: () => T): T {
    const before = head
    db.exec('BEGIN IMMEDIATE')
    try {
      const result = work()
      db.exec('COMMIT')
      return result
    } catch (error) {
      head = before
      if (db.inTransaction) db.exec('ROLLBACK')
      throw error
    }
  }

  return {
    insert: (events) => transaction(() => events.map(({ event, json }) => insertOne(event, json))),
    read(filter, reading) {
      const { sql, values } = selection(filter, reading)
      const select = selects.get(sql) ?? db.prepare(sql)
      selects.set(sql, select)
      const rows = select.all(...values) as Row[]
      return rows.map((row) => ({ seq: row.seq, id: row.id, createdAt: row.created_at, json: row.json }))
    },
    has: (id) => byId.get(id) !== undefined,
    head: () => head,
    count: () => (counted.get() as { n: number }).n,
    sweep: (now, most) =>
      transaction(() => {
        const rows = expired.all(now, most) as Row[]
        for (const { seq, json } of rows) remove(seq, json)
        return rows.length
      }),
    close() {
      db.close()
    },
  }
}

/** The SQL of a filter. Lists travel as one JSON value each, so that there are few different statements. */
function selection(filter: Filter, reading: Reading): { sql: string; values: (string | number)[] } {
  const where: string[] = ['seq <= ?', '(expires_at IS NULL OR expires_at > ?)']
  const values: (string | number)[] = [reading.upTo, reading.now]
  const among = (column: string, list: readonly (string | number)[]) => {
    where.push(`${column} IN (SELECT value FROM json_each(?))`)
    values.push(JSON.stringify(list))
  }
  const since = filter.since ?? 0
  const until = Math.min(
    filter.until ?? Number.MAX_SAFE_INTEGER,
    reading.after?.createdAt ?? Number.MAX_SAFE_INTEGER,
  )
  if (filter.ids) among('id', filter.ids)
  if (filter.authors) among('pubkey', filter.authors)
  if (filter.kinds) among('kind', filter.kinds)
  for (const key of Object.keys(filter)) {
    if (key[0] !== '#') continue
    const inTags = [`name = ?`, 'value IN (SELECT value FROM json_each(?))', 'created_at BETWEEN ? AND ?']
    values.push(key.slice(1), JSON.stringify(filter[key as `#${string}`] ?? []), since, until)
    if (filter.kinds) {
      inTags.push('kind IN (SELECT value FROM json_each(?))')
      values.push(JSON.stringify(filter.kinds))
    }
    where.push(`seq IN (SELECT event FROM tag WHERE ${inTags.join(' AND ')})`)
  }
  where.push('created_at BETWEEN ? AND ?')
  values.push(since, until)
  if (reading.after) {
    where.push('(created_at < ? OR id > ?)')
    values.push(reading.after.createdAt, reading.after.id)
  }
  const sql = `SELECT seq, id, created_at, json FROM event WHERE ${where.join(' AND ')}
    ORDER BY created_at DESC, id LIMIT ?`
  return { sql, values: [...values, reading.limit] }
}
