import type { Worker } from 'node:worker_threads'
import type { Filter } from '@understudy/relays/filter'
import type { Reconciled } from '@understudy/relays/negentropy'
import { maxFrameBytes } from './frame.ts'
import type { Search, Store } from './store.ts'
import { startThread } from './thread.ts'

export type ReconciliationOrder =
  | {
      readonly type: 'open'
      readonly session: number
      readonly filter: Filter
      readonly search: Omit<Search, 'limit'>
      readonly asks: boolean
      /** The other side's first message; empty when we ask. */
      readonly message: Uint8Array
    }
  | { readonly type: 'message'; readonly session: number; readonly message: Uint8Array }
  | { readonly type: 'close'; readonly session: number }

/** A refusal has the prefix that NIP-77 wants. */
export type ReconciliationAnswer =
  | ({ readonly ok: true } & Reconciled)
  | { readonly ok: false; readonly reason: string }

export interface Session {
  /** Answers the other side's next message. */
  answer(message: Uint8Array): Promise<ReconciliationAnswer>
  close(): void
}

export interface Reconciliation {
  /** Compares the events of a filter, as of now, with another's; `message` is what that one said first. Undefined: too many at once. */
  open(filter: Filter, message: Uint8Array): Opened | undefined
  /** The same, but it is us who ask: the first answer's reply opens. */
  ask(filter: Filter): Opened | undefined
  close(): Promise<void>
}
interface Opened {
  readonly session: Session
  readonly first: Promise<ReconciliationAnswer>
}

export interface ReconciliationOptions {
  /** ms */
  readonly now: () => number
  /** Events that one session compares at most. */
  readonly maxItems?: number
  /** Sessions at once. */
  readonly maxSessions?: number
}

/** Longest message as bytes: twice as long in hex, it still fits a frame. */
const maxMessageBytes = Math.floor(maxFrameBytes / 2) - 512

/** NIP-77's arithmetic for both roles, on a thread of its own that starts with the first session. */
export function createReconciliation(store: Store, options: ReconciliationOptions): Reconciliation {
  const { now, maxItems = 500_000, maxSessions = 32 } = options
  const open = new Set<number>()
  let serial = 0
  let thread: Worker | undefined
  /** In the order of the orders. */
  const waiting: ((answer: ReconciliationAnswer) => void)[] = []

  function running(): Worker {
    if (thread) return thread
    const started = startThread('reconciliation', { file: store.file, maxBytes: maxMessageBytes, maxItems })
    started.on('message', (answer: ReconciliationAnswer) => waiting.shift()?.(answer))
    started.on('error', () => {})
    started.on('exit', () => {
      if (thread === started) thread = undefined
      open.clear()
      for (const settle of waiting.splice(0)) settle({ ok: false, reason: 'closed: the session was lost' })
    })
    started.unref()
    thread = started
    return started
  }

  const order = (what: ReconciliationOrder): Promise<ReconciliationAnswer> =>
    new Promise((settle) => {
      waiting.push(settle)
      running().postMessage(what)
    })

  function begin(filter: Filter, asks: boolean, message: Uint8Array): Opened | undefined {
    if (open.size >= maxSessions) return undefined
    const session = ++serial
    open.add(session)
    const search = { upTo: store.head(), now: Math.floor(now() / 1000) }
    return {
      first: order({ type: 'open', session, filter, search, asks, message }),
      session: {
        answer: (reply) => order({ type: 'message', session, message: reply }),
        close() {
          if (open.delete(session)) thread?.postMessage({ type: 'close', session })
        },
      },
    }
  }

  return {
    open: (filter, message) => begin(filter, false, message),
    ask: (filter) => begin(filter, true, new Uint8Array()),
    async close() {
      await thread?.terminate()
    },
  }
}
