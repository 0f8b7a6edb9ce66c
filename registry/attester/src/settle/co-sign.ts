import { attemptAt, epochEnd, proposerOf } from '@understudy/protocol/epoch'
import { kinds } from '@understudy/protocol/kinds'
import { attesterKey } from '@understudy/protocol/rules'
import type { SignedOutcome } from '@understudy/protocol/settlement'
import type { Desk, EpochAt, Stage } from '../desk.ts'
import { heldBundles } from './bundles.ts'
import { absentKeys, heldFormer } from './former.ts'
import {
  admissibleBundles,
  computeOutcome,
  demandedBundles,
  formerRefused,
  inputsRefused,
} from './outcome.ts'
import { hashOf, outcomesSigned, signOutcome } from './propose.ts'
import { signedOutcomes } from './signed.ts'

/** Recomputes what others proposed in their turn, and signs it too when it is the same, and only then. */
export const coSign: Stage = async (desk, at) => {
  const { app, rules, row, round, burnHeight } = at
  const open = attemptAt(app.schedule, row.epoch, burnHeight)
  if (row.cutOffAt === 0 || open < 0) return row
  const signed = await outcomesSigned(desk, at)
  for await (const proposal of signedOutcomes(desk, at.app.id, row.epoch, [kinds.proposal])) {
    const { attester, attempt, message } = proposal
    // What was proposed for a round that is over was settled in it, or never will be.
    if (message.round < round) continue
    if (attester === desk.identity.pubkey || signed.has(hashOf(desk, message))) continue
    const turn = attempt <= open && proposerOf(rules.keys, row.epoch, attempt) === attesterKey(attester)
    const reason =
      message.round > round
        ? 'a round that has not begun'
        : turn
          ? await refusal(desk, at, proposal)
          : 'not its turn'
    if (reason && desk.once(`${proposal.eventId}:${reason}`)) {
      const what = { app: app.id, epoch: row.epoch, attempt, proposal: proposal.eventId, reason }
      desk.log.warn(what, 'not co-signing')
    }
  }
  return row
}

/** Signs the proposal, or says why not. */
async function refusal(desk: Desk, at: EpochAt, proposal: SignedOutcome): Promise<string | undefined> {
  const { rules, row } = at
  const held = await heldBundles(desk, at)
  const basis = await desk.chain.basisBelow(at.app.id, epochEnd(at.app.schedule, row.epoch))
  const admissible = admissibleBundles(held, row, desk.deltaMs)
  const demanded = demandedBundles(held, row, desk.now(), desk.deltaMs)
  const expected = { rulesVersion: rules.version, anchor: basis.anchor }
  const { inputs } = proposal
  const refused = inputsRefused(inputs, expected, demanded, admissible)
  if (refused) return refused
  const formers = await heldFormer(desk, at, basis.app, absentKeys(at, inputs.commitments))
  const formerRefusal = formerRefused(inputs, formers, row.cutOffAt)
  if (formerRefusal) return formerRefusal
  const chosen = admissible.filter((h) => inputs.commitments.some((c) => c.key === h.key))
  const former = formers.filter((h) => inputs.former.some((f) => f.key === h.key && f.epoch === h.epoch))
  const computed = computeOutcome(desk, at, basis, chosen, former)
  if (hashOf(desk, computed.message) !== hashOf(desk, proposal.message)) return 'another outcome than ours'
  await signOutcome(desk, at, computed, kinds.coSignature, proposal.attempt)
  return undefined
}
