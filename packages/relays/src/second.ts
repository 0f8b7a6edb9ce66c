import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { Filter } from './filter.ts'
import { createItemSet, type ItemSet, initiate, reconcile } from './negentropy.ts'
import type { Question, Relay } from './relay.ts'

/** Most ids that we let a relay name of one second. */
const maxNeeded = 100_000
/** Longest message, bytes: twice as long in hex, it fits the frames of most relays. */
const maxBytes = 30_000

export interface ComparisonsOptions {
  send(frame: string): void
  readonly ask: Relay['ask']
  /** Silence after which a comparison counts as not answered, ms. */
  readonly silenceMs: number
}

/** What a question is put for, and where its events go. */
export interface Reader {
  readonly question: Question
}

/** Reads those events of one second that a relay has and we have not (NIP-77), over a connection that is the caller's. */
export interface Comparisons {
  /**
   * `filter`: its `since` and `until` are that second. `known`: ids that we have of it. `done`: what the relay named has come; `complete`:
   * and it has named all.
   */
  read(reader: Reader, filter: Filter, known: readonly string[], done: (complete: boolean) => void): void
  /** Takes a frame of the relay; false when it is not for us. */
  take(type: string, id: string, text: string): boolean
  /** Forgets what is read for this one. */
  leave(reader: Reader): void
  /** The connection is gone. */
  clear(): void
}

/** Ids asked for at once. */
const pageSize = 500

interface Comparison {
  readonly id: string
  readonly reader: Reader
  readonly filter: Filter
  readonly items: ItemSet
  readonly needed: string[]
  readonly done: (complete: boolean) => void
  deadline?: ReturnType<typeof setTimeout>
}

/** Handed to `openRelays` by those who want it: a page that reads little need not carry it. */
export function createComparisons({ send, ask, silenceMs }: ComparisonsOptions): Comparisons {
  /** The first one is under way: relays allow few at once. */
  let queue: Comparison[] = []
  /** Whether the relay speaks NIP-77; unknown until it has been tried. */
  let speaks: boolean | undefined
  let serial = 0
  /** Those whose events are on their way, and how to leave them. */
  const fetching = new Map<Reader, { close(): void }>()
  const say = (...frame: unknown[]) => send(JSON.stringify(frame))

  function begin(): void {
    const [current] = queue
    if (!current) return
    say('NEG-OPEN', current.id, current.filter, bytesToHex(initiate(current.items)))
    wait(current)
  }

  function wait(comparison: Comparison): void {
    clearTimeout(comparison.deadline)
    comparison.deadline = setTimeout(end, silenceMs, comparison, false)
  }

  function end(comparison: Comparison, complete: boolean): void {
    if (!drop(comparison)) return
    speaks ??= complete
    fetch(comparison, comparison.needed, complete)
  }

  function fetch(comparison: Comparison, ids: readonly string[], complete: boolean) {
    const { reader, filter, done } = comparison
    fetching.delete(reader)
    if (ids.length === 0) return done(complete)
    const wanted = new Set(ids.slice(0, pageSize))
    const asked = wanted.size
    const { question } = reader
    const asking = ask({
      filter: { ...filter, ids: [...wanted] },
      live: false,
      single: true,
      known: (id) => {
        wanted.delete(id)
        return question.known(id)
      },
      onEvent: (event) => question.onEvent(event),
      onCaughtUp() {
        fetching.get(reader)?.close()
        // It may hand out fewer than we ask for. If it has none of them they are gone.
        const left = wanted.size < asked ? [...wanted] : []
        fetch(comparison, [...left, ...ids.slice(pageSize)], complete)
      },
      onFailed() {
        fetching.get(reader)?.close()
        fetching.delete(reader)
        done(false)
      },
    })
    fetching.set(reader, asking)
  }

  function drop(comparison: Comparison): boolean {
    clearTimeout(comparison.deadline)
    const at = queue.indexOf(comparison)
    if (at < 0) return false
    queue.splice(at, 1)
    if (at > 0) return true
    say('NEG-CLOSE', comparison.id)
    begin()
    return true
  }

  function answer(comparison: Comparison, message: string) {
    const { items, needed, filter } = comparison
    try {
      const { reply, need } = reconcile(items, hexToBytes(message), { asks: true, maxBytes })
      speaks = true
      if (needed.length + need.length > maxNeeded) return end(comparison, false)
      needed.push(...need.filter((one) => filter.ids?.includes(one) ?? true))
      if (!reply) return end(comparison, true)
      say('NEG-MSG', comparison.id, bytesToHex(reply))
      wait(comparison)
    } catch {
      // What is no message.
      end(comparison, false)
    }
  }

  return {
    read(reader, { limit: _, ...filter }, known, done) {
      if (speaks === false) return done(false)
      const ids = [...new Set(known)]
      const times = new Array<number>(ids.length).fill(filter.since ?? 0)
      const items = createItemSet(times, hexToBytes(ids.join('')))
      queue.push({ id: `n${++serial}`, reader, filter, items, needed: [], done })
      if (queue.length === 1) begin()
    },
    take(type, id, text) {
      const [current] = queue
      if (!current) return false
      if (current.id === id && type === 'NEG-MSG') answer(current, text)
      else if (current.id === id) end(current, false)
      // Who does not know NIP-77 says so in this way, if at all.
      else if (type === 'NOTICE' && speaks === undefined) end(current, false)
      return current.id === id
    },
    leave(reader) {
      fetching.get(reader)?.close()
      fetching.delete(reader)
      // The one under way last: its end begins the next.
      for (const comparison of queue.filter((one) => one.reader === reader).reverse()) drop(comparison)
    },
    clear() {
      clearTimeout(queue[0]?.deadline)
      queue = []
      for (const asking of fetching.values()) asking.close()
      fetching.clear()
    },
  }
}
