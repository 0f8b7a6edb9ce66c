import { expiration, type NostrEvent } from '@understudy/protocol/event'
import type { Filter } from '@understudy/relays/filter'
import { createItemSet, type ItemSet } from '@understudy/relays/negentropy'
import Database from 'libsql'
import { addressOf, deletionKind, deletionTargets, indexedTags, isDeletable } from './semantics.ts'

/** What became of an event: `replaced` means that a newer one holds its address, `deleted` that its author took it back. */
export type Insertion = 'stored' | 'duplicate' | 'replaced' | 'deleted'

/** What to look for, and as of when. */
export interface Search {
  /** Only events stored up to this one: `head()` of the moment at which the question came. */
  readonly upTo: number
  /** Seconds since 1970; what has expired by then is left out. */
  readonly now: number
  readonly limit: number
}

/** An event, and the same as JSON. */
export interface Entry {
  readonly event: NostrEvent
  readonly json: string
}

/** Signed events in SQLite. What `insert` answered is on disk, and in what is found from then on. */
export interface Store {
  /** Where it is; `:memory:` when nowhere. */
  readonly file: string
  /** One transaction, fsynced; the result is in the order of the events. Throws or rejects when it cannot be written. */
  insert(events: readonly Entry[]): Insertion[] | Promise<Insertion[]>
  /** The numbers (`seq`) of events, newest first, then by lowest id. The filter's own limit is the caller's to apply. */
  find(filter: Filter, search: Search): number[]
  /** The events of these numbers as JSON, in that order; those deleted meanwhile are left out. */
  load(seqs: readonly number[]): string[]
  has(id: string): boolean
  /** `seq` of the last event stored. */
  head(): number
  count(): number
  /** Deletes up to `most` events that have expired; returns how many. */
  sweep(now: number, most: number): number | Promise<number>
  /** Keys whose events are refused, with the operator's reason. */
  readonly bans: ReadonlyMap<string, string>
  ban(pubkey: string, reason: string): void
  unban(pubkey: string): void
  close(): void | Promise<void>
}

/** A store that the calling thread reads and writes itself. */
export interface OwnStore extends Store {
  insert(events: readonly Entry[]): Insertion[]
  sweep(now: number, most: number): number
  close(): void
}

// An event's own columns are what filters and replacement need; the rest lives in `json`. A tombstone outlives the request that
// made it: events of `pubkey` with that id, or at that address and created no later than `until`, are never taken again.
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
  CREATE INDEX IF NOT EXISTS event_by_author ON event (pubkey, kind, created_at);
  CREATE INDEX IF NOT EXISTS event_by_expiry ON event (expires_at) WHERE expires_at IS NOT NULL;
  CREATE UNIQUE INDEX IF NOT EXISTS event_by_address ON event (address) WHERE address IS NOT NULL;
  CREATE TABLE IF NOT EXISTS tag (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (name, value, created_at, event)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS tombstone (
    target TEXT NOT NULL,
    pubkey TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (target, pubkey)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS ban (
    pubkey TEXT PRIMARY KEY,
    reason TEXT NOT NULL
  ) WITHOUT ROWID;`

interface Row {
  seq: number
  id: string
  created_at: number
  json: string
}

/** Opens (or creates) the store in this file; `:memory:` keeps nothing. */
export function openStore(file: string): OwnStore {
  const db = new Database(file)
  // Another connection may be at the end of a transaction, or copy what it wrote from the log into the file.
  db.pragma('busy_timeout = 10000')
  db.pragma('journal_mode = WAL')
  // In WAL mode only FULL syncs at every commit: an acknowledged event outlives power loss.
  db.pragma('synchronous = FULL')
  db.exec(tables)

  const insertEvent = db.prepare(
    `INSERT INTO event (seq, id, pubkey, kind, created_at, expires_at, address, json)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
  )
  const insertTag = db.prepare('INSERT INTO tag (name, value, created_at, event) VALUES (?, ?, ?, ?)')
  const deleteEvent = db.prepare('DELETE FROM event WHERE seq = ?')
  const deleteTag = db.prepare(
    'DELETE FROM tag WHERE name = ? AND value = ? AND created_at = ? AND event = ?',
  )
  const byAddress = db.prepare('SELECT seq, id, created_at, json FROM event WHERE address = ?')
  const byId = db.prepare('SELECT 1 FROM event WHERE id = ?')
  const bySeq = db.prepare(
    'SELECT event.json FROM json_each(?) AS wanted CROSS JOIN event ON event.seq = wanted.value ORDER BY wanted.key',
  )
  const expired = db.prepare('SELECT seq, json FROM event WHERE expires_at <= ? LIMIT ?')
  const counted = db.prepare('SELECT count(*) AS n FROM event')
  const buried = db.prepare(
    'SELECT 1 FROM tombstone WHERE target IN (?, ?) AND pubkey = ? AND until >= ? LIMIT 1',
  )
  const bury = db.prepare(
    `INSERT INTO tombstone (target, pubkey, until) VALUES (?, ?, ?)
     ON CONFLICT (target, pubkey) DO UPDATE SET until = max(until, excluded.until)`,
  )
  const byIdInFull = db.prepare('SELECT seq, id, created_at, json FROM event WHERE id = ?')
  const insertBan = db.prepare('INSERT OR REPLACE INTO ban (pubkey, reason) VALUES (?, ?)')
  const deleteBan = db.prepare('DELETE FROM ban WHERE pubkey = ?')
  const bans = new Map(
    (db.prepare('SELECT pubkey, reason FROM ban').all() as { pubkey: string; reason: string }[]).map(
      ({ pubkey, reason }) => [pubkey, reason],
    ),
  )
  /** One per shape of filter. */
  const selects = new Map<string, Database.Statement>()
  let head = (db.prepare('SELECT max(seq) AS seq FROM event').get() as { seq: number | null }).seq ?? 0

  function remove(seq: number, json: string): void {
    const event = JSON.parse(json) as NostrEvent
    for (const [name, value] of indexedTags(event)) deleteTag.run(name, value, event.created_at, seq)
    deleteEvent.run(seq)
  }

  /** NIP-09: what the author names is removed, and whatever of it comes later is refused. */
  function obey(request: NostrEvent): void {
    const { pubkey, created_at } = request
    const { ids, addresses } = deletionTargets(request)
    for (const id of ids) {
      const held = byIdInFull.get(id) as Row | undefined
      const event = held && (JSON.parse(held.json) as NostrEvent)
      if (event && (event.pubkey !== pubkey || !isDeletable(event))) continue
      bury.run(id, pubkey, Number.MAX_SAFE_INTEGER)
      if (held) remove(held.seq, held.json)
    }
    for (const address of addresses) {
      bury.run(address, pubkey, created_at)
      const held = byAddress.get(address) as Row | undefined
      if (held && held.created_at <= created_at) remove(held.seq, held.json)
    }
  }

  function insertOne(event: NostrEvent, json: string): Insertion {
    const address = addressOf(event)
    if (isDeletable(event) && buried.get(event.id, address ?? event.id, event.pubkey, event.created_at))
      return 'deleted'
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
    for (const [name, value] of indexedTags(event)) insertTag.run(name, value, created_at, seq)
    if (kind === deletionKind) obey(event)
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
    file,
    insert: (events) => transaction(() => events.map(({ event, json }) => insertOne(event, json))),
    find(filter, search) {
      const { sql, values } = selection(filter, search)
      const select = selects.get(sql) ?? db.prepare(sql)
      if (selects.size < 500) selects.set(sql, select)
      return (select.all(...values) as Row[]).map((row) => row.seq)
    },
    load: (seqs) => (bySeq.all(JSON.stringify(seqs)) as Row[]).map((row) => row.json),
    has: (id) => byId.get(id) !== undefined,
    head: () => head,
    count: () => (counted.get() as { n: number }).n,
    sweep: (now, most) =>
      transaction(() => {
        const rows = expired.all(now, most) as Row[]
        for (const { seq, json } of rows) remove(seq, json)
        return rows.length
      }),
    bans,
    ban(pubkey, reason) {
      insertBan.run(pubkey, reason)
      bans.set(pubkey, reason)
    },
    unban(pubkey) {
      deleteBan.run(pubkey)
      bans.delete(pubkey)
    },
    close() {
      db.close()
    },
  }
}

/** A second, reading connection to a store's file: what another thread uses. */
export function openReader(file: string): { items(filter: Filter, search: Search): ItemSet; close(): void } {
  const db = new Database(file, { readonly: true })
  return {
    /** When and which the events of a filter are. */
    items(filter: Filter, search: Search): ItemSet {
      const { sql, values } = selection(filter, search)
      let ids = Buffer.alloc(32 * 1_024)
      const times: number[] = []
      // Row by row: half a million rows at once would be hundreds of megabytes.
      for (const { id, created_at } of db.prepare(sql).iterate(...values) as Iterable<Row>) {
        if (times.length * 32 === ids.length) ids = Buffer.concat([ids, Buffer.alloc(ids.length)])
        ids.write(id, times.length * 32, 'hex')
        times.push(created_at)
      }
      return createItemSet(times, ids)
    },
    close() {
      db.close()
    },
  }
}

type Value = string | number
interface Sql {
  readonly sql: string
  readonly values: readonly Value[]
}

/** Most parts of a search that are read in index order each; longer lists are sorted instead. */
const maxBranches = 64

/**
 * The SQL of a filter. One of its lists leads: each of its values is a range of an index that is in the answer's order already,
 * so that a branch stops at the limit instead of sorting all that there is; the other lists are checked row by row.
 */
function selection(filter: Filter, { upTo, now, limit }: Search): Sql {
  const since = filter.since ?? 0
  const until = filter.until ?? Number.MAX_SAFE_INTEGER
  const { ids, authors, kinds } = filter
  const tags = Object.keys(filter).flatMap((key) =>
    key[0] === '#' ? [{ name: key.slice(1), list: filter[key as `#${string}`] ?? [] }] : [],
  )
  const among = (column: string, list: readonly Value[] | undefined): Sql[] =>
    list ? [{ sql: `${column} IN (SELECT value FROM json_each(?))`, values: [JSON.stringify(list)] }] : []
  const hasTag = ({ name, list }: { name: string; list: readonly string[] }): Sql => ({
    sql: `EXISTS (SELECT 1 FROM tag WHERE name = ? AND value IN (SELECT value FROM json_each(?))
      AND created_at = e.created_at AND event = e.seq)`,
    values: [name, JSON.stringify(list)],
  })
  /** `ordered`: the table whose index gives the order. */
  const select = (from: string, where: readonly Sql[], ordered = 'e'): Sql => {
    const all = [
      ...where,
      { sql: 'e.created_at BETWEEN ? AND ?', values: [since, until] },
      { sql: 'e.seq <= ?', values: [upTo] },
      { sql: '(e.expires_at IS NULL OR e.expires_at > ?)', values: [now] },
    ]
    return {
      sql: `SELECT e.seq, e.created_at, e.id FROM ${from} WHERE ${all.map(({ sql }) => sql).join(' AND ')}
        ORDER BY ${ordered}.created_at DESC, e.id LIMIT ?`,
      values: [...all.flatMap(({ values }) => values), limit],
    }
  }
  const byAuthor = [...among('e.pubkey', authors), ...among('e.kind', kinds)]

  if (ids) return select('event e', [...among('e.id', ids), ...byAuthor, ...tags.map(hasTag)])
  const [lead, ...others] = tags.sort((a, b) => a.list.length - b.list.length)
  if (lead) {
    const rest = [...byAuthor, ...others.map(hasTag)]
    if (lead.list.length === 0 || lead.list.length > maxBranches) {
      const inTags = 'name = ? AND value IN (SELECT value FROM json_each(?)) AND created_at BETWEEN ? AND ?'
      const values = [lead.name, JSON.stringify(lead.list), since, until]
      return select('event e', [{ sql: `e.seq IN (SELECT event FROM tag WHERE ${inTags})`, values }, ...rest])
    }
    const branch = (value: string): Sql => ({
      sql: 't.name = ? AND t.value = ? AND t.created_at BETWEEN ? AND ?',
      values: [lead.name, value, since, until],
    })
    const from = 'tag t CROSS JOIN event e ON e.seq = t.event'
    return union(
      lead.list.map((value) => select(from, [branch(value), ...rest], 't')),
      limit,
    )
  }
  const pairs = authors && kinds ? authors.length * kinds.length : 0
  if (authors && kinds && pairs > 0 && pairs <= maxBranches) {
    const branch = (pubkey: string, kind: number): Sql => ({
      sql: 'e.pubkey = ? AND e.kind = ?',
      values: [pubkey, kind],
    })
    const all = authors.flatMap((pubkey) => kinds.map((kind) => branch(pubkey, kind)))
    return union(
      all.map((where) => select('event e INDEXED BY event_by_author', [where])),
      limit,
    )
  }
  if (!authors && kinds && kinds.length > 0 && kinds.length <= maxBranches) {
    const all = kinds.map((kind): Sql => ({ sql: 'e.kind = ?', values: [kind] }))
    return union(
      all.map((where) => select('event e INDEXED BY event_by_kind', [where])),
      limit,
    )
  }
  return select(authors || kinds ? 'event e' : 'event e INDEXED BY event_by_time', byAuthor)
}

/** The newest of several ordered searches; an event that more than one finds counts once. */
function union(branches: readonly Sql[], limit: number): Sql {
  const [only] = branches
  if (only && branches.length === 1) return only
  const sql = branches.map((branch) => `SELECT * FROM (${branch.sql})`).join(' UNION ')
  return {
    sql: `${sql} ORDER BY created_at DESC, id LIMIT ?`,
    values: [...branches.flatMap(({ values }) => values), limit],
  }
}
