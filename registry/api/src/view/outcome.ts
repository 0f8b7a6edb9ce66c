import type { ChainEvent } from '@understudy/chain/log'
import {
  bondedMirrors,
  type ChainApp,
  type ChainSettlement,
  rulesAt,
  stateBelow,
} from '@understudy/chain/state'
import { bundleOf } from '@understudy/protocol/bundle'
import { epochEnd } from '@understudy/protocol/epoch'
import { type Bundle, type Outcome, outcomeOf } from '@understudy/protocol/outcome'
import { pubkeyOf, type Rules } from '@understudy/protocol/rules'
import type { Inputs, NamedCommitment } from '@understudy/protocol/settlement'
import type { Evidence } from '../db/queries.ts'

/** The complete bundles of the rules' attesters. One that committed twice is left out. */
export function bundlesOf(rules: Rules, evidence: Evidence): Bundle[] {
  return rules.keys.flatMap((key) => {
    const commitments = evidence.commitments.filter((c) => c.attester === pubkeyOf(key))
    const roots = new Set(commitments.map((c) => c.root))
    return roots.size === 1 ? (bundleOf(commitments[0]!, evidence.attestations) ?? []) : []
  })
}

/** What these bundles come to, on the chain as it stood below the end of the epoch. */
export function outcomeAt(
  events: readonly ChainEvent[],
  app: ChainApp,
  epoch: number,
  rules: Rules,
  bundles: readonly Bundle[],
  former: readonly Bundle[] = [],
): Outcome {
  const own = events.filter((event) => event.app === app.id)
  const before = stateBelow(own, epochEnd(app.schedule, epoch)).apps.get(app.id)
  if (!before) throw new Error(`app ${app.id} was not registered before the end of epoch ${epoch}`)
  const mirrors = bondedMirrors(before, epoch)
  return outcomeOf({ rules, free: before.pool.free, mirrors, bundles, former })
}

export type Recomputed =
  | { readonly state: 'same'; readonly outcome: Outcome }
  | { readonly state: 'differs' | 'incomplete' }

/**
 * The payouts of a settled epoch from public data alone. `evidence`: by epoch. `inputs`: the commitments that the settlement's hash stands for,
 * where a signed outcome told them; without them every complete bundle is tried. Whatever is tried, only the chain's own root makes it `same`.
 */
export function recompute(
  events: readonly ChainEvent[],
  app: ChainApp,
  settlement: ChainSettlement,
  evidence: ReadonlyMap<number, Evidence>,
  inputs: Pick<Inputs, 'commitments' | 'former'> | undefined,
): Recomputed {
  const rules = rulesAt(app, settlement.epoch)
  if (!rules) return { state: 'incomplete' }
  const { epoch } = settlement
  const heldOf = ({ key, root }: NamedCommitment, of: number) => {
    const { commitments, attestations } = evidence.get(of) ?? { commitments: [], attestations: [] }
    const found = commitments.find((c) => c.attester === pubkeyOf(key) && c.root === root)
    return found ? (bundleOf(found, attestations) ?? []) : []
  }
  const { commitments, former } = inputs ?? { commitments: [], former: [] }
  const bundles = inputs
    ? commitments.flatMap((named) => heldOf(named, epoch))
    : bundlesOf(rules, evidence.get(epoch)!)
  const formerBundles = former.flatMap((named) => heldOf(named, named.epoch))
  if (inputs && (bundles.length < commitments.length || formerBundles.length < former.length))
    return { state: 'incomplete' }
  const outcome = outcomeAt(events, app, epoch, rules, bundles, formerBundles)
  const same =
    outcome.root === settlement.root &&
    outcome.allocated === settlement.allocated &&
    outcome.count === settlement.count
  if (same) return { state: 'same', outcome }
  return { state: inputs ? 'differs' : 'incomplete' }
}
