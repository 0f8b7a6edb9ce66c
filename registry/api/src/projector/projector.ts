import { decodeEvent } from '@understudy/chain/log'
import type { ChainState } from '@understudy/chain/state'
import type { NostrEvent, Verify } from '@understudy/protocol/event'
import {
  type Archive,
  type ArchiveRecord,
  decodeRecords,
  encodeRecords,
  type Print,
} from '../archive/archive.ts'
import { type Db, isDataError } from '../db/database.ts'
import { markProjected, projectEvent, projectPrint } from '../db/project.ts'
import { knownEvents, projectedBlobs } from '../db/queries.ts'
import { type Home, judge, type RefusalCode, readFact } from './accept.ts'

export interface ProjectorParts {
  readonly archive: Archive
  readonly db: Db
  readonly verify: Verify
  readonly home: Home
  /** What the chain says now: who may speak. */
  readonly chain: () => ChainState
  /** Seconds since 1970. */
  readonly now: () => number
  readonly random: () => number
  /** Told of what went wrong and is being tried again. */
  readonly onTrouble: (what: string, error: unknown) => void
  /** How long an event may wait for others to share its blob, ms. */
  readonly lingerMs: number
}

export type Offered =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: RefusalCode | 'duplicate' | 'busy'; readonly reason: string }

export interface Projector {
  /** Judges an event and queues it; the row follows the archive. */
  offer(input: unknown): Offered
  /** Archives and projects prints of the contracts. Throws when the archive cannot take them. */
  record(prints: readonly Print[]): Promise<void>
  /** Projects every blob of the archive that is not projected yet. Throws when the database is away. */
  catchUp(): Promise<{ blobs: number; records: number }>
  /** Resolves when everything offered so far has been archived, and projected or left for `catchUp`. */
  idle(): Promise<void>
  /** Grows with every change of the rows. */
  revision(): number
  close(): Promise<void>
}

const maxQueue = 20_000
const batchSize = 500
/** Ids remembered, so that what several relays send is judged once. */
const maxRecent = 50_000

/**
 * Archive first: an event is a row only after its raw bytes are on disk for good. A crash between the two is healed by `catchUp`, and a
 * rebuild is a `catchUp` from nothing.
 */
export function createProjector(parts: ProjectorParts): Projector {
  const { archive, db, verify, home, now, random, onTrouble, lingerMs } = parts
  const recent = new Set<string>()
  let queue: NostrEvent[] = []
  let revision = 0
  let flushing: Promise<void> | undefined
  let behind: NodeJS.Timeout | undefined
  let failures = 0
  let closed = false

  const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
  const backoff = () => Math.min(30_000, 500 * 2 ** Math.min(failures++, 10)) * (0.5 + random() / 2)

  function remember(id: string): void {
    recent.add(id)
    if (recent.size > maxRecent) recent.delete(recent.values().next().value!)
  }

  function offer(input: unknown): Offered {
    const id = (input as { readonly id?: unknown } | null)?.id
    if (typeof id === 'string' && recent.has(id))
      return { ok: false, code: 'duplicate', reason: 'it is here already' }
    if (queue.length >= maxQueue)
      return { ok: false, code: 'busy', reason: `${maxQueue} events wait already` }
    const judged = judge(input, { home, chain: parts.chain(), now: now(), verify })
    if (!judged.ok) return judged
    remember(judged.event.id)
    queue.push(judged.event)
    flushing ??= flush().finally(() => {
      flushing = undefined
    })
    return { ok: true }
  }

  async function flush(): Promise<void> {
    if (lingerMs > 0) await pause(lingerMs)
    while (queue.length > 0) {
      const batch = queue.slice(0, batchSize)
      const fresh = await unknown(batch)
      try {
        if (fresh.length > 0) await keep(fresh.map((event) => ({ event })))
        queue = queue.slice(batch.length)
      } catch (error) {
        onTrouble('archive', error)
        if (closed) return
        await pause(backoff())
      }
    }
  }

  /** Those without a row. With the database away all of them: a second copy in the archive harms nobody. */
  async function unknown(batch: readonly NostrEvent[]): Promise<readonly NostrEvent[]> {
    try {
      const known = await knownEvents(
        db,
        batch.map((event) => event.id),
      )
      return batch.filter((event) => !known.has(event.id))
    } catch (error) {
      onTrouble('database', error)
      return batch
    }
  }

  async function keep(records: readonly ArchiveRecord[]): Promise<void> {
    const address = await archive.put(encodeRecords(records))
    try {
      await project(address, records)
    } catch (error) {
      onTrouble('database', error)
      later()
    }
  }

  function later(): void {
    if (closed) return
    behind ??= setTimeout(async () => {
      behind = undefined
      try {
        await catchUp()
      } catch (error) {
        onTrouble('database', error)
        later()
      }
    }, backoff())
  }

  async function project(address: string, records: readonly ArchiveRecord[]): Promise<void> {
    try {
      await write(address, records, false)
    } catch (error) {
      if (!isDataError(error)) throw error
      // One of them is more than a row can hold: write the others.
      await write(address, records, true)
    }
    failures = 0
    revision++
  }

  async function write(address: string, records: readonly ArchiveRecord[], apart: boolean): Promise<void> {
    await db.transaction(async (tx) => {
      for (const record of records) {
        try {
          if (apart) await tx.transaction((inner) => projectRecord(inner, record, home))
          else await projectRecord(tx, record, home)
        } catch (error) {
          if (!apart || !isDataError(error)) throw error
          onTrouble('record', error)
        }
      }
      await markProjected(tx, address)
    })
  }

  async function catchUp(): Promise<{ blobs: number; records: number }> {
    const done = await projectedBlobs(db)
    let blobs = 0
    let count = 0
    for await (const address of archive.list()) {
      if (done.has(address)) continue
      const bytes = await archive.get(address).catch((error) => onTrouble('archive', error))
      if (!bytes) continue
      const records = decodeRecords(bytes).flatMap((record) => {
        if (record.ok && (!('event' in record.value) || verify(record.value.event))) return [record.value]
        onTrouble(
          'archive',
          new Error(`${address}: ${record.ok ? 'a signature does not match' : record.reason}`),
        )
        return []
      })
      await project(address, records)
      for (const record of records) if ('event' in record) remember(record.event.id)
      blobs++
      count += records.length
    }
    return { blobs, records: count }
  }

  return {
    offer,
    record: (prints) => keep(prints.map((print) => ({ print }))),
    catchUp,
    idle: async () => {
      while (flushing) await flushing
    },
    revision: () => revision,
    async close() {
      closed = true
      clearTimeout(behind)
      await flushing
    },
  }
}

async function projectRecord(db: Db, record: ArchiveRecord, home: Home): Promise<void> {
  if ('print' in record) return projectPrint(db, decodeEvent(record.print), record.print)
  const fact = readFact(record.event, home)
  if (fact.ok) await projectEvent(db, record.event, fact.value)
}
