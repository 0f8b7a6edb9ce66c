import type { Transaction } from './transaction.ts'

/** Transactions that wait for a block: one per sender and nonce. */
export interface Mempool {
  add(transaction: Transaction): void
  remove(transaction: Transaction): void
  at(sender: string, nonce: bigint): Transaction | undefined
  ofSender(sender: string): Transaction[]
  all(): Transaction[]
  readonly size: number
}

export function createMempool(): Mempool {
  const senders = new Map<string, Map<bigint, Transaction>>()
  let size = 0
  return {
    add(transaction) {
      const { sender, nonce } = transaction
      const queue = senders.get(sender) ?? new Map<bigint, Transaction>()
      if (!queue.has(nonce)) size++
      senders.set(sender, queue.set(nonce, transaction))
    },
    remove({ sender, nonce }) {
      const queue = senders.get(sender)
      if (queue?.delete(nonce)) size--
      if (queue?.size === 0) senders.delete(sender)
    },
    at: (sender, nonce) => senders.get(sender)?.get(nonce),
    ofSender: (sender) => [...(senders.get(sender)?.values() ?? [])],
    all: () => [...senders.values()].flatMap((queue) => [...queue.values()]),
    get size() {
      return size
    },
  }
}

/**
 * The transactions that a block may carry, in the order in which it carries them: each sender's without a gap from its
 * next nonce, senders in the order in which they came.
 */
export function minable(mempool: Mempool, nextNonce: (sender: string) => bigint): Transaction[] {
  const senders = new Set(mempool.all().map(({ sender }) => sender))
  return [...senders].flatMap((sender) => {
    const run: Transaction[] = []
    for (let nonce = nextNonce(sender); ; nonce++) {
      const transaction = mempool.at(sender, nonce)
      if (transaction === undefined) return run
      run.push(transaction)
    }
  })
}
