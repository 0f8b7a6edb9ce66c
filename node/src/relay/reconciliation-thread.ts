import { parentPort, workerData } from 'node:worker_threads'
import { type ItemSet, initiate, reconcile } from '@understudy/relays/negentropy'
import type { ReconciliationAnswer, ReconciliationOrder } from './reconciliation.ts'
import { openReader } from './store.ts'

/** Range reconciliation beside the event loop, with a reading connection of its own to the store. */
const { file, maxBytes, maxItems } = workerData as { file: string; maxBytes: number; maxItems: number }
const reader = openReader(file)
const sessions = new Map<number, { readonly items: ItemSet; readonly asks: boolean }>()

function answer(order: Exclude<ReconciliationOrder, { type: 'close' }>): ReconciliationAnswer {
  if (order.type === 'open') {
    const items = reader.items(order.filter, { ...order.search, limit: maxItems + 1 })
    if (items.size > maxItems) return { ok: false, reason: 'blocked: too many events match' }
    const { asks } = order
    sessions.set(order.session, { items, asks })
    if (asks) return { ok: true, reply: initiate(items), have: [], need: [] }
    return { ok: true, ...reconcile(items, order.message, { asks, maxBytes }) }
  }
  const session = sessions.get(order.session)
  if (!session) return { ok: false, reason: 'closed: no such session' }
  return { ok: true, ...reconcile(session.items, order.message, { asks: session.asks, maxBytes }) }
}

parentPort!.on('message', (order: ReconciliationOrder) => {
  if (order.type === 'close') return void sessions.delete(order.session)
  let answered: ReconciliationAnswer
  try {
    answered = answer(order)
  } catch (error) {
    sessions.delete(order.session)
    answered = { ok: false, reason: `invalid: ${(error as Error).message}` }
  }
  parentPort!.postMessage(answered)
})
