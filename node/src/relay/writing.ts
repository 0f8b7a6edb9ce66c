import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { type Insertion, openStore, type Store } from './store.ts'
import { startThread } from './thread.ts'

export type WritingOrder =
  | { readonly type: 'insert'; readonly events: readonly string[] }
  | { readonly type: 'sweep'; readonly now: number; readonly most: number }

/** In the order of the orders. `head`: the number of the last event stored, as of this answer. */
export interface WritingAnswer {
  readonly result?: Insertion[] | number
  readonly error?: string
  readonly head: number
}

interface Waiting {
  resolve(result: WritingAnswer['result']): void
  reject(error: Error): void
}

/**
 * Opens (or creates) the store in this file. A thread of its own writes; the caller's reads alone, so that its event loop never waits
 * for a disk. What the thread wrote is found once it is acknowledged, not before.
 */
export function startStore(file: string): Store {
  const reads = openStore(file)
  const waiting: Waiting[] = []
  let head = reads.head()
  let thread: Worker | undefined
  let closed = false

  function running(): Worker {
    if (thread) return thread
    const started = startThread('writing', { file })
    let cause: unknown
    started.on('message', (answer: WritingAnswer) => {
      head = answer.head
      const { resolve, reject } = waiting.shift()!
      if (answer.error === undefined) resolve(answer.result)
      else reject(new Error(answer.error))
    })
    // The reason follows as 'exit'.
    started.on('error', (error) => {
      cause = error
    })
    started.on('exit', () => {
      if (thread === started) thread = undefined
      for (const { reject } of waiting.splice(0)) reject(new Error('the thread that writes ended', { cause }))
    })
    thread = started
    return started
  }
  running()

  const order = <T>(what: WritingOrder): Promise<T> =>
    new Promise((resolve, reject) => {
      if (closed) return reject(new Error('the store is closed'))
      waiting.push({ resolve: (result) => resolve(result as T), reject })
      running().postMessage(what)
    })

  return {
    ...reads,
    insert: (events) => order<Insertion[]>({ type: 'insert', events: events.map(({ json }) => json) }),
    sweep: (now, most) => order<number>({ type: 'sweep', now, most }),
    head: () => head,
    async close() {
      closed = true
      reads.close()
      if (!thread) return
      const ended = once(thread, 'exit')
      thread.postMessage({ type: 'close' })
      await ended
    },
  }
}
