import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { Filter } from './filter.ts'
import { createItemSet, type ItemSet, initiate, reconcile } from './negentropy.ts'
import type { PublishOutcome, Question, Relay, RelayOptions } from './relay.ts'

/** Most ids by which a relay and we may differ; with more it is not one of ours. */
const maxDifferences = 200_000
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

/** Sets compared with what a relay holds (NIP-77), over a connection that is the caller's. */
export interface Comparisons {
  /**
   * Compares what the relay holds under a filter with what we hold, `items`: ids that it lacks and ids that we lack come as they are found.
   * Not ok with a relay that refuses, is silent, does not know NIP-77 or loses the connection; what came until then is true all the same.
   */
  compare(
    filter: Filter,
    items: ItemSet,
    onDifference: (have: readonly string[], need: readonly string[]) => void,
  ): Promise<PublishOutcome>
  /**
   * Reads those events of one second that the relay has and we have not. `filter`: its `since` and `until` are that second. `known`: ids that
   * we have of it. `done`: what the relay named has come; `complete`: and it has named all.
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
  readonly filter: Filter
  readonly items: ItemSet
  readonly onDifference: (have: readonly string[], need: readonly string[]) => void
  readonly done: (outcome: PublishOutcome) => void
  /** Ids named so far. */
  differences: number
  deadline?: ReturnType<typeof setTimeout>
}

/** Handed to `openRelays` by those who want it: a page that reads little need not carry it. */
export function createComparisons({ send, ask, silenceMs }: ComparisonsOptions): Comparisons {
  /** The first one is under way: relays allow few at once. */
  let queue: Comparison[] = []
  /** Whether the relay speaks NIP-77; unknown until it has been tried on this connection. */
  let speaks: boolean | undefined
  let serial = 0
  /** Those that read, and how to leave what is under way for them. */
  const reading = new Map<Reader, () => void>()
  const say = (...frame: unknown[]) => send(JSON.stringify(frame))
  const refused = (reason: string): PublishOutcome => ({ ok: false, reason })

  function start(comparison: Omit<Comparison, 'id' | 'differences' | 'deadline'>): Comparison {
    const queued = { ...comparison, id: `n${++serial}`, differences: 0 }
    queue.push(queued)
    if (queue.length === 1) begin()
    return queued
  }

  function begin(): void {
    const [current] = queue
    if (!current) return
    say('NEG-OPEN', current.id, current.filter, bytesToHex(initiate(current.items)))
    wait(current)
  }

  function wait(comparison: Comparison): void {
    clearTimeout(comparison.deadline)
    comparison.deadline = setTimeout(end, silenceMs, comparison, refused('no answer'))
  }

  function end(comparison: Comparison, outcome: PublishOutcome): void {
    if (!drop(comparison)) return
    speaks ??= outcome.ok
    comparison.done(outcome)
  }

  /** Asks for these, then says whether they came. */
  function fetch(
    reader: Reader,
    filter: Filter,
    ids: readonly string[],
    done: (came: boolean) => void,
  ): void {
    reading.delete(reader)
    if (ids.length === 0) {
      done(true)
      return
    }
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
        reading.get(reader)?.()
        // It may hand out fewer than we ask for. If it has none of them they are gone.
        const left = wanted.size < asked ? [...wanted] : []
        fetch(reader, filter, [...left, ...ids.slice(pageSize)], done)
      },
      // Perhaps before `ask` returns.
      onFailed() {
        reading.get(reader)?.()
        reading.delete(reader)
        done(false)
      },
    })
    reading.set(reader, () => asking.close())
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
    try {
      const { reply, have, need } = reconcile(comparison.items, hexToBytes(message), { asks: true, maxBytes })
      speaks = true
      comparison.differences += have.length + need.length
      if (comparison.differences > maxDifferences) return end(comparison, refused('too many differences'))
      comparison.onDifference(have, need)
      if (!reply) return end(comparison, { ok: true })
      say('NEG-MSG', comparison.id, bytesToHex(reply))
      wait(comparison)
    } catch {
      end(comparison, refused('what is no message of NIP-77'))
    }
  }

  return {
    compare: (filter, items, onDifference) =>
      new Promise((done) => {
        if (speaks === false) done(refused('it does not speak NIP-77'))
        else start({ filter, items, onDifference, done })
      }),
    read(reader, { limit: _, ...filter }, known, done) {
      if (speaks === false) return done(false)
      const ids = [...new Set(known)]
      const times = new Array<number>(ids.length).fill(filter.since ?? 0)
      const needed: string[] = []
      const comparison = start({
        filter,
        items: createItemSet(times, hexToBytes(ids.join(''))),
        onDifference: (_, need) => needed.push(...need.filter((one) => filter.ids?.includes(one) ?? true)),
        done: ({ ok }) => fetch(reader, filter, needed, (came) => done(came && ok)),
      })
      reading.set(reader, () => drop(comparison))
    },
    take(type, id, text) {
      const [current] = queue
      if (!current) return false
      if (current.id === id && type === 'NEG-MSG') answer(current, text)
      else if (current.id === id) end(current, refused((text || 'refused').slice(0, 200)))
      // Who does not know NIP-77 says so in this way, if at all.
      else if (type === 'NOTICE' && speaks === undefined) end(current, refused(id.slice(0, 200)))
      return current.id === id
    },
    leave(reader) {
      reading.get(reader)?.()
      reading.delete(reader)
    },
    clear() {
      // A question is asked again on the next connection; whoever compares sees that this one is gone.
      for (const leave of reading.values()) leave()
      reading.clear()
      const lost = queue
      queue = []
      clearTimeout(lost[0]?.deadline)
      for (const { done } of lost) done(refused('connection lost'))
      speaks = undefined
    },
  }
}

/** Options of `openRelays` for a program with a log: crowded seconds are read whole, and where they cannot be the log says so. */
export const readWhole = (log: { warn(fields: object, text: string): void }) =>
  ({
    comparisons: createComparisons,
    onIncomplete: (gap) => log.warn(gap, 'a relay has more events of one second than it hands out'),
  }) satisfies Pick<RelayOptions, 'comparisons' | 'onIncomplete'>
