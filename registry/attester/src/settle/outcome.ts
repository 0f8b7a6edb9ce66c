import { bondedMirrors } from '@understudy/chain/state'
import { type Outcome, outcomeOf } from '@understudy/protocol/outcome'
import { type Anchor, type Inputs, inputsHash, type SettlementMessage } from '@understudy/protocol/settlement'
import type { Basis } from '../chain-view.ts'
import type { Desk, EpochAt } from '../desk.ts'
import type { HeldBundle } from './bundles.ts'
import type { HeldFormer } from './former.ts'

export interface ComputedOutcome {
  readonly inputs: Inputs
  readonly message: SettlementMessage
  readonly outcome: Outcome
}

/** The outcome of an epoch from these bundles, and from former ones of whoever is absent: a pure function of what `inputs` names, on the chain's state at the anchor. */
export function computeOutcome(
  desk: Pick<Desk, 'contracts'>,
  { app, rules, row, round }: Pick<EpochAt, 'app' | 'rules' | 'row' | 'round'>,
  { anchor, app: below }: Basis,
  chosen: readonly HeldBundle[],
  former: readonly HeldFormer[],
): ComputedOutcome {
  const outcome = outcomeOf({
    rules,
    free: below.pool.free,
    mirrors: bondedMirrors(below, row.epoch),
    bundles: chosen.flatMap((held) => (held.bundle ? [held.bundle] : [])),
    former: former.map((held) => held.bundle),
  })
  const inputs: Inputs = {
    rulesVersion: rules.version,
    anchor,
    commitments: chosen.map(({ key, root }) => ({ key, root })),
    former: former.map(({ key, epoch, root }) => ({ key, epoch, root })),
  }
  const { root, allocated, count } = outcome
  const message = {
    ...{ pool: desk.contracts.pool, app: app.id, epoch: row.epoch, round },
    ...{ inputs: inputsHash(inputs), root, allocated, count },
  }
  return { inputs, message, outcome }
}

/** The commitments that nobody may leave out: held at the cut-off, complete for Δ. */
export function demandedBundles(
  held: readonly HeldBundle[],
  row: EpochAt['row'],
  now: number,
  deltaMs: number,
): HeldBundle[] {
  return held.filter(
    (h) => row.demanded.includes(`${h.key}:${h.root}`) && h.bundle && h.completeAt + deltaMs <= now,
  )
}

/** The commitments that may take part: complete, and first seen no later than cut-off + Δ. */
export function admissibleBundles(
  held: readonly HeldBundle[],
  row: EpochAt['row'],
  deltaMs: number,
): HeldBundle[] {
  return held.filter((h) => h.bundle && h.receivedAt <= row.cutOffAt + deltaMs)
}

/** Why an outcome must not be signed: its inputs are not what a signer accepts. Undefined when they are. */
export function inputsRefused(
  inputs: Inputs,
  expected: { readonly rulesVersion: number; readonly anchor: Anchor },
  demanded: readonly HeldBundle[],
  admissible: readonly HeldBundle[],
): string | undefined {
  if (inputs.rulesVersion !== expected.rulesVersion) return 'other rules'
  const { height, hash } = inputs.anchor
  if (height !== expected.anchor.height || hash !== expected.anchor.hash) return 'other anchor'
  const named = inputs.commitments.map((c) => `${c.key}:${c.root}`)
  if (new Set(inputs.commitments.map((c) => c.key)).size !== named.length) return 'a key twice'
  const unknown = named.find((name) => !admissible.some((h) => `${h.key}:${h.root}` === name))
  if (unknown) return `a commitment that we do not hold: ${unknown.slice(0, 12)}`
  const missing = demanded.find((h) => !named.includes(`${h.key}:${h.root}`))
  return missing ? `leaves out a commitment: ${missing.key.slice(0, 12)}` : undefined
}

/**
 * Why the former commitments of a proposal must not be signed. `held`: those of every attester that it leaves out, as `heldFormer` finds them.
 * Undefined when each is one of them, and none is missing that we held at our cut-off.
 */
export function formerRefused(
  { commitments, former }: Inputs,
  held: readonly HeldFormer[],
  cutOffAt: number,
): string | undefined {
  const keys = [...commitments, ...former].map(({ key }) => key)
  if (new Set(keys).size !== keys.length) return 'a key twice'
  const unknown = former.find(
    (f) => !held.some((h) => h.key === f.key && h.epoch === f.epoch && h.root === f.root),
  )
  if (unknown) return `a former commitment that we do not hold: ${unknown.key.slice(0, 12)}`
  const missing = held.find((h) => h.completeAt <= cutOffAt && !keys.includes(h.key))
  return missing ? `leaves out a former commitment: ${missing.key.slice(0, 12)}` : undefined
}
