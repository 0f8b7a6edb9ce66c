import type { Worker } from 'node:worker_threads'
import type { NostrEvent } from '@understudy/protocol/event'
import { startThread } from './thread.ts'

/** Whoever hands events in: each has its turn, however much another sends. */
export type Lane = object

export interface Verification {
  /** `json`: the event as JSON. */
  verify(event: NostrEvent, json?: string, lane?: Lane): Promise<boolean>
  close(): Promise<void>
}

/** Events that a thread is sent at once: some 10 ms of work. */
const batchSize = 24
/** Batches that a thread has, so that it need not wait for the next. */
const ahead = 2
/** Events of one lane in a row. */
const turn = 8

/** More than it takes to find the one event that kills. */
const maxDeaths = 20

interface Task {
  readonly json: string
  readonly settle: (genuine: boolean) => void
}

/** Checks signatures on this many threads. A thread that dies is replaced, and what it had is checked again. */
export function startVerification(threads: number): Verification {
  const lanes = new Map<Lane, Task[]>()
  const anybody: Lane = {}
  /** What every live thread is at work on, oldest first. */
  const working = new Map<Worker, Task[][]>()
  /** Batches that a thread died of, in halves: one bad event must not take others with it. */
  const suspects: Task[][] = []
  /** Threads that died since one last answered. */
  let deaths = 0
  let cause: unknown
  let scheduled = false
  let closed = false

  function start(): void {
    const thread = startThread('verification')
    const batches: Task[][] = []
    working.set(thread, batches)
    thread.on('message', (verdicts: Uint8Array) => {
      const batch = batches.shift()!
      deaths = 0
      hand()
      for (const [i, { settle }] of batch.entries()) settle(verdicts[i] === 1)
    })
    // The reason follows as 'exit'.
    thread.on('error', (error) => {
      cause = error
    })
    thread.on('exit', () => {
      working.delete(thread)
      if (closed) return
      if (++deaths > maxDeaths) throw new Error('threads that check signatures do not live', { cause })
      const [first = [], ...others] = batches
      if (first.length === 1) first[0]!.settle(false)
      else if (first.length > 1)
        suspects.push(first.slice(0, first.length >> 1), first.slice(first.length >> 1))
      suspects.push(...others)
      start()
      hand()
    })
  }

  function next(): Task[] {
    const suspect = suspects.shift()
    if (suspect) return suspect
    const batch: Task[] = []
    for (const [lane, tasks] of lanes) {
      // To the end of the queue of lanes, unless it is done.
      lanes.delete(lane)
      batch.push(...tasks.splice(0, Math.min(turn, batchSize - batch.length)))
      if (tasks.length > 0) lanes.set(lane, tasks)
      if (batch.length >= batchSize) break
    }
    return batch
  }

  /** Gives work to the threads that have least. */
  function hand(): void {
    scheduled = false
    for (let depth = 0; depth < ahead; depth++) {
      for (const [thread, batches] of working) {
        if (batches.length > depth) continue
        const batch = next()
        if (batch.length === 0) return
        batches.push(batch)
        thread.postMessage(batch.map(({ json }) => json))
      }
    }
  }

  for (let i = 0; i < threads; i++) start()

  return {
    verify: (event, json = JSON.stringify(event), lane = anybody) =>
      new Promise((settle) => {
        if (closed) return settle(false)
        const tasks = lanes.get(lane)
        if (tasks) tasks.push({ json, settle })
        else lanes.set(lane, [{ json, settle }])
        if (scheduled) return
        scheduled = true
        // What came in one turn goes out in few messages.
        setImmediate(hand)
      }),
    async close() {
      closed = true
      const left = [...suspects, ...lanes.values(), ...[...working.values()].flat()].flat()
      lanes.clear()
      await Promise.all([...working.keys()].map((thread) => thread.terminate()))
      for (const { settle } of left) settle(false)
    },
  }
}
