import type { PrintedEntry, StacksClient } from '@understudy/chain/client'
import type { Contracts } from '@understudy/chain/contracts'
import {
  type ChainEvent,
  decodeEvent,
  type Source,
  type SourcedEntry,
  verifyLog,
} from '@understudy/chain/log'
import { createLogReader } from '@understudy/chain/logReader'
import { type ChainState, projectChain } from '@understudy/chain/state'
import type { Print } from '../archive/archive.ts'

/** The chain as it was last seen. */
export interface ChainSnapshot {
  readonly burnHeight: number
  /** Stacks height. */
  readonly height: number
  readonly events: readonly ChainEvent[]
  readonly state: ChainState
}

/** Where the contracts' log is kept. */
export interface LogKeeper {
  record(prints: readonly Print[]): Promise<void>
  forget(events: readonly ChainEvent[]): Promise<void>
}

export interface Follower {
  snapshot(): ChainSnapshot
  /** Reads what is new, hands it to the keeper, then lets it count. Throws `ChainError` or `LogError`. */
  tick(): Promise<ChainSnapshot>
}

const placeOf = (event: ChainEvent): string => `${event.source} ${event.app} ${event.seq} ${event.head}`

/** Starts from `kept`: the prints that the keeper has from an earlier run. Ones that make no log are read anew. */
export function createFollower(
  client: Pick<StacksClient, 'contractEvents' | 'info'>,
  contracts: Contracts,
  keeper: LogKeeper,
  kept: readonly Print[],
): Follower {
  const captured: SourcedEntry[] = []
  const sourceOf = new Map<string, Source>([
    [contracts.quorum, 'quorum'],
    [contracts.registry, 'registry'],
    [contracts.pool, 'pool'],
  ])
  const reader = createLogReader(
    {
      async contractEvents(contract, page) {
        const entries = await client.contractEvents(contract, page)
        captured.push(
          ...entries.map((entry: PrintedEntry) => ({ ...entry, source: sourceOf.get(contract)! })),
        )
        return entries
      },
    },
    contracts,
  )
  let held = new Map(kept.map((print) => decodeEvent(print)).map((event) => [placeOf(event), event]))
  let snapshot = startOf(kept)
  let read = false

  return {
    snapshot: () => snapshot,
    async tick() {
      // Heights first: an event that is read afterwards can only be newer.
      const { burnHeight, height } = await client.info()
      // Nothing can be printed without a Stacks block.
      if (read && height === snapshot.height) {
        snapshot = { ...snapshot, burnHeight }
        return snapshot
      }
      const before = captured.length
      const events = await reader.read().catch((error) => {
        // A read that failed is read again as a whole.
        captured.length = before
        throw error
      })
      if (events !== snapshot.events) {
        const there = new Map(events.map((event) => [placeOf(event), event]))
        const fresh = new Map<string, Print>()
        for (const entry of captured) {
          const place = placeOf(decodeEvent(entry))
          const { source, txid, index, hex } = entry
          if (there.has(place) && !held.has(place)) fresh.set(place, { source, txid, index, hex })
        }
        const gone = [...held].filter(([place]) => !there.has(place)).map(([, event]) => event)
        if (gone.length > 0) await keeper.forget(gone)
        if (fresh.size > 0) await keeper.record([...fresh.values()])
        held = there
      }
      captured.length = 0
      snapshot =
        events === snapshot.events
          ? { ...snapshot, burnHeight, height }
          : { burnHeight, height, events, state: projectChain(events) }
      read = true
      return snapshot
    },
  }
}

function startOf(kept: readonly Print[]): ChainSnapshot {
  try {
    const events = verifyLog(kept)
    const last = events.at(-1)
    return { burnHeight: last?.burn ?? 0, height: last?.height ?? 0, events, state: projectChain(events) }
  } catch {
    return { burnHeight: 0, height: 0, events: [], state: { apps: new Map() } }
  }
}
