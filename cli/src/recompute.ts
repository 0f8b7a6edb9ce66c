import type { ChainEvent } from '@understudy/chain/log'
import {
  bondedMirrors,
  type ChainApp,
  type ChainSettlement,
  projectChain,
  rulesAt,
} from '@understudy/chain/state'
import { epochTag, parseAttestation } from '@understudy/protocol/attestation'
import { bundleOf } from '@understudy/protocol/bundle'
import { parseCommitment } from '@understudy/protocol/commitment'
import { epochEnd } from '@understudy/protocol/epoch'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { type Bundle, type Outcome, outcomeOf } from '@understudy/protocol/outcome'
import { pubkeyOf } from '@understudy/protocol/rules'
import { type Inputs, parseSignedOutcome } from '@understudy/protocol/settlement'
import type { Relays } from '@understudy/relays/relays'
import { Failure } from './failure.ts'

/** What a stranger finds who computes an epoch's payout again. */
export interface Recomputed {
  readonly inputs: Inputs
  readonly bundles: readonly Bundle[]
  readonly outcome: Outcome
  /** Whether it is what the chain settled, bit for bit. */
  readonly same: boolean
}

const epochKinds = [kinds.commitment, kinds.attestation, kinds.proposal, kinds.coSignature]

/** Everything that relays hold of one epoch. */
export function epochEvents(
  relays: Pick<Relays, 'query'>,
  app: string,
  epoch: number,
): Promise<NostrEvent[]> {
  return relays.query(epochKinds.map((kind) => ({ kinds: [kind], '#d': [epochTag(app, epoch)] })))
}

/**
 * Computes an epoch's payout from public data alone: the chain's log, and the events that the settlement's `inputs` name. Throws `Failure`
 * when relays do not hold all of them.
 */
export function recompute(
  log: readonly ChainEvent[],
  app: ChainApp,
  settlement: ChainSettlement,
  events: readonly NostrEvent[],
  chainId: number,
): Recomputed {
  const { epoch } = settlement
  const signed = events
    .filter((event) => event.kind === kinds.proposal || event.kind === kinds.coSignature)
    .map((event) => parseSignedOutcome(event, chainId))
    .find((read) => read.ok && read.value.message.inputs === settlement.inputs)
  if (!signed?.ok) throw missing(`no proposal with the inputs that epoch ${epoch} was settled by`)
  const { inputs } = signed.value

  const commitments = events.flatMap((event) => {
    const read = event.kind === kinds.commitment ? parseCommitment(event, chainId) : undefined
    return read?.ok ? [read.value] : []
  })
  const attestations = events.flatMap((event) => {
    const read = event.kind === kinds.attestation ? parseAttestation(event) : undefined
    return read?.ok ? [{ ...read.value, createdAt: event.created_at }] : []
  })
  const bundles = inputs.commitments.map(({ key, root }) => {
    const commitment = commitments.find((c) => c.attester === pubkeyOf(key) && c.root === root)
    if (!commitment) throw missing(`no commitment ${root.slice(0, 12)} of ${pubkeyOf(key).slice(0, 12)}`)
    const bundle = bundleOf(commitment, attestations)
    if (!bundle)
      throw missing(`not all of the ${commitment.count} attestations of ${pubkeyOf(key).slice(0, 12)}`)
    return bundle
  })

  const anchored = projectChain(log.filter((event) => event.burn < epochEnd(app.schedule, epoch))).apps.get(
    app.id,
  )
  const rules = anchored && rulesAt(anchored, epoch)
  if (!anchored || !rules) throw new Failure('no-rules', `no rules govern epoch ${epoch}`)
  const outcome = outcomeOf({
    rules,
    free: anchored.pool.free,
    mirrors: bondedMirrors(anchored, epoch),
    bundles,
  })
  const { root, allocated, count } = settlement
  const same = outcome.root === root && outcome.allocated === allocated && outcome.count === count
  return { inputs, bundles, outcome, same }
}

const missing = (what: string): Failure =>
  new Failure('incomplete', `these relays hold ${what}`, 'name more relays with --relays')
