import type { ChainSettlement } from '@understudy/chain/state'
import { epochDetailSchema } from '@understudy/protocol/api'
import {
  merkleProof,
  merkleRoot,
  type PayoutLeaf,
  type ProofStep,
  payoutLeafHash,
} from '@understudy/protocol/merkle'
import { parseJson } from '@understudy/protocol/schema'
import { Failure } from './failure.ts'

/** A leaf, ready to be claimed. */
export interface Claimable {
  readonly leaf: PayoutLeaf
  readonly proof: readonly ProofStep[]
}

const largestAnswer = 4 * 1024 * 1024
const timeoutMs = 10_000

/** The leaves of an epoch as an API tells them. It is not trusted: `claimable` checks them against the chain. */
export async function leavesFromApi(api: string, app: string, epoch: number): Promise<PayoutLeaf[]> {
  const url = `${api.replace(/\/+$/, '')}/api/apps/${app}/epochs/${epoch}`
  let text: string
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
    if (!response.ok)
      throw new Failure('no-leaves', `${url} answered ${response.status}`, 'try another --api')
    text = await response.text()
  } catch (cause) {
    if (cause instanceof Failure) throw cause
    throw new Failure('no-api', `${url} does not answer`, 'is --api right?', { cause })
  }
  const read = parseJson(epochDetailSchema, text, largestAnswer)
  if (!read.ok) throw new Failure('bad-api', `${url}: ${read.reason}`, 'try another --api')
  return read.value.payouts.map(({ index, mirror, recipient, amount }) => ({
    index,
    mirror,
    recipient,
    amount: BigInt(amount),
  }))
}

/** The leaves that are still to be paid, with their proofs. Throws `Failure` when they are not those of the settlement. */
export function claimable(
  settlement: Pick<ChainSettlement, 'root' | 'count' | 'claims'>,
  leaves: readonly PayoutLeaf[],
): Claimable[] {
  const ordered = [...leaves].sort((a, b) => a.index - b.index)
  const hashes = ordered.map(payoutLeafHash)
  const inOrder = ordered.every((leaf, at) => leaf.index === at)
  if (!inOrder || ordered.length !== settlement.count || merkleRoot(hashes) !== settlement.root) {
    throw new Failure('wrong-leaves', 'the leaves do not make up the root on chain', 'try another --api')
  }
  return ordered
    .filter((leaf) => !settlement.claims.has(leaf.index))
    .map((leaf) => ({ leaf, proof: merkleProof(hashes, leaf.index) }))
}
