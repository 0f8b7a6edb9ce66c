import { Cl, ClarityType } from '@stacks/transactions'
import type { PrintedEntry, StacksClient } from './client.ts'
import type { Contracts } from './contracts.ts'
import {
  type ChainEvent,
  LogError,
  type LogHead,
  type Source,
  type SourcedEntry,
  verifyComplete,
  verifyLog,
} from './log.ts'

/** Reads the log of one deployment again and again, asking only for what is new. */
export interface LogReader {
  /** All events up to now, verified and in order. Throws `LogError` or `ChainError`; what was read before stays. */
  read(): Promise<readonly ChainEvent[]>
}

const sources: readonly Source[] = ['quorum', 'registry', 'pool']
const pageSize = 50

/** What was read and verified so far. */
interface Held {
  readonly events: readonly ChainEvent[]
  readonly keys: ReadonlySet<string>
  /** Key of each contract's newest event. */
  readonly newest: ReadonlyMap<Source, string>
}

const nothing: Held = { events: [], keys: new Set(), newest: new Map() }

const keyOf = (entry: PrintedEntry): string => `${entry.txid}:${entry.index}`

/**
 * @param maxEvents per contract, a bound on what an API can make the reader hold. Default 1,000,000.
 */
export function createLogReader(
  client: Pick<StacksClient, 'contractEvents'>,
  contracts: Contracts,
  maxEvents = 1_000_000,
): LogReader {
  let held: Held = nothing
  let reading: Promise<readonly ChainEvent[]> | undefined

  /** Prints of one contract that are newer than those whose keys are held (oldest first), newest first. */
  async function newer(source: Source, keys: ReadonlySet<string>, newest: string | undefined) {
    const fresh = new Map<string, SourcedEntry>()
    for (let offset = 0; offset <= maxEvents; offset += pageSize) {
      const page = await client.contractEvents(contracts[source], { limit: pageSize, offset })
      for (const entry of page) {
        const key = keyOf(entry)
        if (!keys.has(key)) fresh.set(key, { ...entry, source })
        // What was the newest must still come next: otherwise a fork of the chain took events back.
        else if (key === newest) return fresh
        else throw new LogError('conflicting', `${source}: an event that was read is gone`)
      }
      if (page.length < pageSize) {
        if (newest) throw new LogError('conflicting', `${source}: the events that were read are gone`)
        return fresh
      }
    }
    throw new LogError('malformed', `${source}: more than ${maxEvents} events`)
  }

  async function extend(before: Held): Promise<Held> {
    const fresh = await Promise.all(
      sources.map((source) => newer(source, before.keys, before.newest.get(source))),
    )
    const newest = new Map(before.newest)
    for (const [at, source] of sources.entries()) {
      const first = fresh[at]!.keys().next()
      if (!first.done) newest.set(source, first.value)
    }
    return {
      events: verifyLog(
        fresh.flatMap((entries) => [...entries.values()]),
        before.events,
      ),
      keys: new Set([...before.keys, ...fresh.flatMap((entries) => [...entries.keys()])]),
      newest,
    }
  }

  async function readOnce(): Promise<readonly ChainEvent[]> {
    try {
      held = await extend(held)
    } catch (error) {
      if (!(error instanceof LogError) || held === nothing) throw error
      // The chain may have forked below what was read: read it as a whole before giving up.
      held = await extend(nothing)
    }
    return held.events
  }

  return {
    read() {
      reading ??= readOnce().finally(() => {
        reading = undefined
      })
      return reading
    },
  }
}

/** Where an app's log stands in one contract, read from the chain's state. */
export async function logHead(
  client: Pick<StacksClient, 'callReadOnly'>,
  contract: string,
  app: string,
): Promise<LogHead> {
  const value = await client.callReadOnly(contract, 'get-log', [Cl.bufferFromHex(app)])
  const fields = value.type === ClarityType.Tuple ? value.value : {}
  const { seq, head } = fields
  if (seq?.type !== ClarityType.UInt || head?.type !== ClarityType.Buffer)
    throw new LogError('malformed', `${contract}: get-log gave no head`)
  return { seq: Number(seq.value), head: head.value }
}

/** Reads an app's whole log and proves by three reads of the chain's state that nothing was left out, the end included. */
export async function readComplete(
  client: Pick<StacksClient, 'callReadOnly'>,
  contracts: Contracts,
  reader: LogReader,
  app: string,
): Promise<readonly ChainEvent[]> {
  // Heads first: whatever happens in between can only make the log longer.
  const heads = await Promise.all(sources.map((source) => logHead(client, contracts[source], app)))
  const events = await reader.read()
  for (const [at, source] of sources.entries()) verifyComplete(events, source, app, heads[at]!)
  return events.filter((event) => event.app === app)
}
