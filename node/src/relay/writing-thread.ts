import { parentPort, workerData } from 'node:worker_threads'
import type { NostrEvent } from '@understudy/protocol/event'
import { openStore } from './store.ts'
import type { WritingAnswer, WritingOrder } from './writing.ts'

/** Writes what the event loop would have to wait for: transactions, their fsync, and the log's way into the file. */
const store = openStore((workerData as { file: string }).file)

function carryOut(order: WritingOrder): WritingAnswer['result'] {
  if (order.type === 'sweep') return store.sweep(order.now, order.most)
  return store.insert(order.events.map((json) => ({ json, event: JSON.parse(json) as NostrEvent })))
}

parentPort!.on('message', (order: WritingOrder | { readonly type: 'close' }) => {
  if (order.type === 'close') {
    store.close()
    return parentPort!.close()
  }
  let answer: WritingAnswer
  try {
    answer = { result: carryOut(order), head: store.head() }
  } catch (error) {
    answer = { error: (error as Error).message, head: store.head() }
  }
  parentPort!.postMessage(answer)
})
