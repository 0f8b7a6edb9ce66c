import type { ChainEvent } from '@understudy/chain/log'
import { bondAt, type ChainApp, type ChainSettlement, rulesAt, stateBelow } from '@understudy/chain/state'
import type { Attestation } from '@understudy/protocol/attestation'
import { type Commitment, commitmentRoot } from '@understudy/protocol/commitment'
import { epochEnd, epochStart } from '@understudy/protocol/epoch'
import { type Bundle, type Outcome, outcomeOf } from '@understudy/protocol/outcome'
import { attesterKey, pubkeyOf, type Rules } from '@understudy/protocol/rules'
import type { Inputs } from '@understudy/protocol/settlement'
import type { Evidence } from '../db/queries.ts'

/** An attester's attestations, proven by its commitment to be all that it made. */
export interface HeldBundle extends Bundle {
  readonly root: string
  readonly attestations: readonly Attestation[]
}

/** The bundles of the rules' attesters that are complete. One that committed twice is left out. */
export function bundlesOf(rules: Rules, evidence: Evidence): HeldBundle[] {
  return rules.keys.flatMap((key) => {
    const commitments = evidence.commitments.filter((c) => c.attester === pubkeyOf(key))
    const roots = new Set(commitments.map((c) => c.root))
    return roots.size === 1 ? (bundleOf(commitments[0]!, evidence) ?? []) : []
  })
}

function bundleOf(commitment: Commitment, evidence: Evidence): HeldBundle | undefined {
  const { attester, header, root, count } = commitment
  const attestations = evidence.attestations
    .filter((a) => a.attester === attester)
    .sort((a, b) => a.report.mirror - b.report.mirror)
  if (attestations.length !== count || commitmentRoot(header, attestations) !== root) return undefined
  const reports = attestations.map((a) => a.report)
  return { key: attesterKey(attester), header, reports, root, attestations }
}

/** What these bundles come to, on the chain as it stood below the end of the epoch. */
export function outcomeAt(
  events: readonly ChainEvent[],
  app: ChainApp,
  epoch: number,
  rules: Rules,
  bundles: readonly Bundle[],
): Outcome {
  const end = epochEnd(app.schedule, epoch)
  const start = epochStart(app.schedule, epoch)
  const before = stateBelow(
    events.filter((event) => event.app === app.id),
    end,
  ).apps.get(app.id)
  const mirrors = [...(before?.mirrors.values() ?? [])]
    .map((m) => ({
      mirror: m.id,
      nodeKey: m.nodeKey,
      owner: m.owner,
      bond: bondAt(m, start),
      since: m.since,
    }))
    .filter((m) => m.bond > 0n)
  return outcomeOf({ rules, free: before?.pool.free ?? 0n, mirrors, bundles })
}

export type Recomputed =
  | { readonly state: 'same'; readonly outcome: Outcome }
  | { readonly state: 'differs' | 'incomplete' }

/**
 * The payouts of a settled epoch from public data alone. `inputs`: the commitments that the settlement's hash stands for, where a signed
 * outcome told them; without them every complete bundle is tried. Whatever is tried, only the chain's own root makes it `same`.
 */
export function recompute(
  events: readonly ChainEvent[],
  app: ChainApp,
  settlement: ChainSettlement,
  evidence: Evidence,
  inputs: Inputs['commitments'] | undefined,
): Recomputed {
  const rules = rulesAt(app, settlement.epoch)
  if (!rules) return { state: 'incomplete' }
  const held = inputs
    ? inputs.flatMap(({ key, root }) => {
        const of = evidence.commitments.find((c) => c.attester === pubkeyOf(key) && c.root === root)
        return of ? (bundleOf(of, evidence) ?? []) : []
      })
    : bundlesOf(rules, evidence)
  if (inputs && held.length < inputs.length) return { state: 'incomplete' }
  const outcome = outcomeAt(events, app, settlement.epoch, rules, held)
  const same =
    outcome.root === settlement.root &&
    outcome.allocated === settlement.allocated &&
    outcome.count === settlement.count
  if (same) return { state: 'same', outcome }
  return { state: inputs ? 'differs' : 'incomplete' }
}
