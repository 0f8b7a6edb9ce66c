import type { Database } from '@understudy/attester/db/database'
import * as schema from '@understudy/attester/db/schema'
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/pg-proxy'
import Sqlite from 'libsql'

/** An attester's disk: what survives a crash of the program that uses it. */
export interface Disk {
  /** A connection of one life of the program. */
  connect(): Connection
  /** For an adversary that rewrites what its own program remembers. */
  run(sql: string, ...params: readonly (string | number)[]): void
  rows(sql: string, ...params: readonly (string | number)[]): Record<string, unknown>[]
  close(): void
}

export interface Connection {
  readonly db: Database
  /** Ends this life: an open transaction is undone, and no query is ever answered again. */
  crash(): void
  /** Crashes before the n-th statement from now on, wherever in the program that may be. */
  crashAfter(statements: number, crashed: () => void): void
}

const tables = Object.values(schema) as PgTable[]

/** The attester's tables in SQLite's words. */
function ddl(table: PgTable): string {
  const { name, columns, primaryKeys } = getTableConfig(table)
  const parts = columns.map((column) => {
    if (column.getSQLType() === 'bigserial') return `"${column.name}" integer primary key autoincrement`
    const key = column.primary ? ' primary key' : ''
    const value = column.default === undefined ? '' : ` default ${literal(column.default)}`
    return `"${column.name}" ${affinity(column.getSQLType())}${column.notNull ? ' not null' : ''}${key}${value}`
  })
  const keys = primaryKeys.map((key) => `primary key (${key.columns.map((c) => `"${c.name}"`).join(', ')})`)
  return `create table "${name}" (${[...parts, ...keys].join(', ')})`
}

const affinity = (type: string) => (/int|boolean/.test(type) ? 'integer' : 'text')
const literal = (value: unknown): string => {
  if (typeof value === 'number') return String(value)
  if (typeof value === 'boolean') return value ? '1' : '0'
  return `'${typeof value === 'string' ? value : JSON.stringify(value)}'`
}

const defaults = new Map(
  tables.map((table) => {
    const { name, columns } = getTableConfig(table)
    return [
      name,
      new Map(columns.map((c) => [c.name, c.default === undefined ? 'null' : literal(c.default)])),
    ]
  }),
)

const translated = new Map<string, string>()

/** Postgres' words as SQLite's: the few that the attester's queries use and SQLite spells otherwise. */
function translate(sql: string): string {
  const known = translated.get(sql)
  if (known) return known
  let out = sql.replace(/ for update skip locked$/, '').replace(/\$(\d+)/g, '?$1')
  const first = /^select distinct on \((.+?)\) (.+?) from "(\w+)"( where .+?)? order by (.+)$/.exec(out)
  if (first) {
    const [, on, wanted, table, where = '', order] = first
    out = `select ${wanted} from (select *, row_number() over (partition by ${on} order by ${order}) as "rank" from "${table}"${where}) as "${table}" where "rank" = 1`
  }
  const insert = /^insert into "(\w+)" \((.+?)\) values (.+?)( on conflict.*| returning.*)?$/s.exec(out)
  if (insert) {
    const [, table, names, values, rest = ''] = insert
    const columns = names!.split(', ').map((name) => name.slice(1, -1))
    const of = defaults.get(table!)!
    let at = 0
    const filled = values!.replace(/\?\d+|default/g, (value) => {
      const column = columns[at++ % columns.length]!
      return value === 'default' ? of.get(column)! : value
    })
    out = `insert into "${table}" (${names}) values ${filled}${rest}`
  }
  translated.set(sql, out)
  return out
}

type Statement = ReturnType<Sqlite.Database['prepare']>

export function createDisk(): Disk {
  const sqlite = new Sqlite(':memory:')
  for (const table of tables) sqlite.exec(ddl(table))
  sqlite.exec('create index "events_by_epoch" on "events" ("app", "kind", "epoch")')
  const prepared = new Map<string, Statement>()
  const statement = (sql: string) => {
    const known = prepared.get(sql)
    if (known) return known
    const made = sqlite.prepare(sql)
    prepared.set(sql, made)
    return made
  }
  return {
    connect: () => connection(sqlite, statement),
    run: (sql, ...params) => void sqlite.prepare(sql).run(...params),
    rows: (sql, ...params) => sqlite.prepare(sql).all(...params) as Record<string, unknown>[],
    close: () => void sqlite.close(),
  }
}

function connection(sqlite: Sqlite.Database, statement: (sql: string) => Statement): Connection {
  let dead = false
  let left = Number.POSITIVE_INFINITY
  let crashed: () => void = () => {}
  /** Held while a transaction is open. */
  let lock: Promise<void> | undefined
  const never = new Promise<never>(() => {})

  function crash(): void {
    if (dead) return
    dead = true
    if (lock) sqlite.exec('rollback')
    crashed()
  }

  const query = async (inside: boolean, sql: string, params: unknown[], method: string) => {
    while (!inside && lock && !dead) await lock
    if (dead || left-- <= 0) {
      crash()
      return never
    }
    const bound = params.map((value) => (typeof value === 'boolean' ? Number(value) : value))
    const prepared = statement(translate(sql))
    if (method === 'all') return { rows: prepared.raw().all(bound) as unknown[] }
    prepared.run(bound)
    return { rows: [] }
  }

  const handle = (inside: boolean): Database => {
    const proxied = drizzle((sql, params, method) => query(inside, sql, params, method), { schema })
    return Object.assign(proxied, {
      async transaction<T>(work: (tx: Database) => Promise<T>): Promise<T> {
        if (inside) return work(handle(true))
        while (lock && !dead) await lock
        if (dead) return never
        let release: () => void = () => {}
        lock = new Promise((resolve) => {
          release = resolve
        })
        sqlite.exec('begin')
        try {
          const result = await work(within)
          if (!dead) sqlite.exec('commit')
          return result
        } catch (error) {
          if (!dead) sqlite.exec('rollback')
          throw error
        } finally {
          lock = undefined
          release()
        }
      },
    }) as unknown as Database
  }
  const within = handle(true)

  return {
    db: handle(false),
    crash,
    crashAfter(statements, then) {
      left = statements
      crashed = then
    },
  }
}
