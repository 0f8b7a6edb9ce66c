import { cvToString } from '@stacks/transactions'
import { createStacksClient } from '@understudy/chain/client'
import { refusalInWords } from './refusal.ts'
import type { Fate } from './sent.ts'

// Loaded only where there is a transaction to ask for.

/** What became of a transaction; pending while the chain does not know it. Throws `ChainError` when nobody can tell. */
export async function fateOf(stacksUrl: string, txid: string): Promise<Fate> {
  const transaction = await createStacksClient({ url: stacksUrl, attempts: 1 }).transaction(txid)
  if (transaction === undefined || transaction.status === 'pending') return { state: 'pending' }
  const { status, height, result } = transaction
  if (status === 'success') return height === null ? { state: 'pending' } : { state: 'confirmed', height }
  return {
    state: 'failed',
    why: refusalInWords(status, result ? cvToString(result) : undefined).slice(0, 300),
  }
}
