import type { EpochDetail } from '@understudy/protocol/api'
import type { PayoutLeaf } from '@understudy/protocol/merkle'
import type { Match } from '@understudy/protocol/verify'

/** What the registry has this page show of a settled epoch. */
export type Shown = Pick<EpochDetail, 'root' | 'allocated' | 'payouts'>

/**
 * Where what the registry shows is not what follows from relays and chain: a sentence, or undefined where all of it does. A payment that the
 * registry does not show as paid yet is no contradiction: it may be behind.
 */
export function contradictionOf(
  { root, allocated, payouts }: Shown,
  { facts, outcome }: { readonly facts: Pick<Match['facts'], 'claims'>; readonly outcome: Match['outcome'] },
): string | undefined {
  if (root !== outcome.root)
    return `the registry shows root ${root.slice(0, 12)}…, it is ${outcome.root.slice(0, 12)}…`
  if (BigInt(allocated) !== outcome.allocated)
    return `the registry shows ${allocated} allocated, it is ${outcome.allocated}`
  if (payouts.length > 0 && payouts.length !== outcome.leaves.length)
    return `the registry shows ${payouts.length} payments, there are ${outcome.leaves.length}`
  for (const payout of payouts) {
    const leaf = outcome.leaves[payout.index]
    const same =
      leaf?.mirror === payout.mirror &&
      leaf.recipient === payout.recipient &&
      leaf.amount === BigInt(payout.amount)
    if (!same)
      return `the registry shows payment ${payout.index} as ${described({ ...payout, amount: BigInt(payout.amount) })}, it is ${leaf ? described(leaf) : 'none'}`
    if (payout.claimTxid !== null && !facts.claims.some(({ index }) => index === payout.index))
      return `the registry shows payment ${payout.index} as paid, which it is not`
  }
  return undefined
}

const described = ({ mirror, recipient, amount }: Omit<PayoutLeaf, 'index'>) =>
  `${amount} to ${recipient} for ${mirror === 0 ? 'attesting' : `mirror ${mirror}`}`
