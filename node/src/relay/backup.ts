import { existsSync, renameSync, rmSync } from 'node:fs'
import type { Parsed } from '@understudy/protocol/event'
import { parsed, refused } from '@understudy/protocol/event'
import Database from 'libsql'

/** How many events a file holds; undefined when it is no sound store. */
function eventsIn(file: string): number | undefined {
  const db = new Database(file, { readonly: true })
  try {
    const { integrity_check } = db.prepare('PRAGMA integrity_check').get() as { integrity_check: string }
    if (integrity_check !== 'ok') return undefined
    return (db.prepare('SELECT count(*) AS n FROM event').get() as { n: number }).n
  } catch {
    return undefined
  } finally {
    db.close()
  }
}

/**
 * Copies a store, as of one moment, into a new file, while its relay goes on writing; resolves to the number of events. The copy is
 * complete or not there at all.
 */
export function backUp(store: string, copy: string): Parsed<number> {
  if (!existsSync(store)) return refused(`${store}: no such file`)
  if (existsSync(copy)) return refused(`${copy}: is there already`)
  const partial = `${copy}.partial`
  rmSync(partial, { force: true })
  const db = new Database(store)
  try {
    db.pragma('busy_timeout = 10000')
    db.prepare('VACUUM INTO ?').run(partial)
  } finally {
    db.close()
  }
  const events = eventsIn(partial)
  if (events === undefined) return refused(`${store}: its copy is not sound`)
  renameSync(partial, copy)
  return parsed(events)
}

/** Puts a copy in a store's place; resolves to the number of events. The relay must be stopped: a store that is there is not touched. */
export function restore(copy: string, store: string): Parsed<number> {
  for (const file of [store, `${store}-wal`, `${store}-shm`])
    if (existsSync(file)) return refused(`${file}: is there already; move it away first`)
  if (!existsSync(copy)) return refused(`${copy}: no such file`)
  if (eventsIn(copy) === undefined) return refused(`${copy}: not a sound copy of a store`)
  return backUp(copy, store)
}
