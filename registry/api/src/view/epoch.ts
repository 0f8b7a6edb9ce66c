import { type ChainApp, isPayable, rulesAt } from '@understudy/chain/state'
import type { EpochDetail, EpochView, LeafProof } from '@understudy/protocol/api'
import { epochEnd, settleBefore } from '@understudy/protocol/epoch'
import { merkleProof, payoutLeafHash } from '@understudy/protocol/merkle'
import { attesterKey } from '@understudy/protocol/rules'
import type { Published } from '../db/queries.ts'
import type { Recomputed } from './outcome.ts'

export interface Heights {
  readonly burnHeight: number
  /** Stacks height. */
  readonly height: number
}

export function epochView(
  app: ChainApp,
  epoch: number,
  heights: Heights,
  published: readonly Published[],
): EpochView {
  const settlement = app.settlements.get(epoch)
  const keys = new Set(rulesAt(app, epoch)?.keys)
  const counted = published.filter((p) => p.epoch === epoch && keys.has(attesterKey(p.attester)))
  return {
    epoch,
    state: stateOf(app, epoch, heights),
    endsAt: epochEnd(app.schedule, epoch),
    commitments: counted.filter((p) => p.commitments > 0).length,
    attestations: counted.reduce((sum, p) => sum + p.attestations, 0),
    allocated: (settlement?.allocated ?? 0n).toString(),
    paid: (settlement?.paid ?? 0n).toString(),
    root: settlement?.root ?? '',
    count: settlement?.count ?? 0,
    settleTxid: settlement?.txid ?? null,
    payableAt: settlement ? settlement.burn + settlement.challenge : null,
  }
}

function stateOf(app: ChainApp, epoch: number, heights: Heights): EpochView['state'] {
  const settlement = app.settlements.get(epoch)
  if (settlement) return isPayable(settlement, heights) ? 'payable' : 'settled'
  if (heights.burnHeight < epochEnd(app.schedule, epoch)) return 'running'
  const rules = rulesAt(app, epoch)
  const open = rules && heights.burnHeight < settleBefore(app.schedule, rules, epoch, 0)
  return open ? 'closing' : 'lapsed'
}

export function epochDetail(view: EpochView, app: ChainApp, recomputed: Recomputed | undefined): EpochDetail {
  const claims = app.settlements.get(view.epoch)?.claims
  const leaves = recomputed?.state === 'same' ? recomputed.outcome.leaves : []
  return {
    ...view,
    recomputed: recomputed?.state ?? 'none',
    payouts: leaves.map(({ index, mirror, recipient, amount }) => ({
      index,
      mirror,
      recipient,
      amount: amount.toString(),
      claimTxid: claims?.get(index)?.txid ?? null,
    })),
  }
}

/** What `claim` takes for one leaf; undefined where the outcome has no such leaf. */
export function leafProof(
  app: ChainApp,
  epoch: number,
  index: number,
  heights: Heights,
  recomputed: Recomputed | undefined,
): LeafProof | undefined {
  const settlement = app.settlements.get(epoch)
  if (!settlement || recomputed?.state !== 'same') return undefined
  const { leaves } = recomputed.outcome
  const leaf = leaves[index]
  if (!leaf) return undefined
  return {
    app: app.id,
    epoch,
    root: settlement.root,
    leaf: { ...leaf, amount: leaf.amount.toString() },
    proof: merkleProof(leaves.map(payoutLeafHash), index),
    payable: isPayable(settlement, heights),
    claimTxid: settlement.claims.get(index)?.txid ?? null,
  }
}
