import { attemptAt, epochEnd, proposerOf } from '@understudy/protocol/epoch'
import { kinds } from '@understudy/protocol/kinds'
import { threshold } from '@understudy/protocol/rules'
import {
  type SettlementMessage,
  settlementHash,
  signedOutcomeTemplate,
} from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import { claimOutcome, outboxOf } from '../db/epochs.ts'
import { keepEvent } from '../db/events.ts'
import { type Desk, type EpochAt, type Stage, seconds, sign } from '../desk.ts'
import { heldBundles } from './bundles.ts'
import { absentKeys, heldFormer, newestFormer } from './former.ts'
import { admissibleBundles, type ComputedOutcome, computeOutcome } from './outcome.ts'
import { signedOutcomes } from './signed.ts'

/** When it is our turn: computes the outcome from everything admissible that we hold, signs it and says so. */
export const propose: Stage = async (desk, at) => {
  const { app, rules, row, round, burnHeight } = at
  const attempt = attemptAt(app.schedule, row.epoch, burnHeight)
  if (row.cutOffAt === 0 || attempt < 0) return row
  if (proposerOf(rules.keys, row.epoch, attempt) !== desk.identity.key) return row
  // M signatures are held: another outcome would only be noise.
  if (await outboxOf(desk.db, app.id, row.epoch, round)) return row
  const chosen = admissibleBundles(await heldBundles(desk, at), row, desk.deltaMs)
  const what = { app: app.id, epoch: row.epoch, round, attempt, bundles: chosen.length }
  if (chosen.length < threshold(rules.keys)) {
    if (desk.once(`${app.id}:${row.epoch}:${round}:${attempt}`))
      desk.log.warn(what, 'too few bundles to propose')
    return row
  }
  const basis = await desk.chain.basisBelow(app.id, epochEnd(app.schedule, row.epoch))
  const former = newestFormer(await heldFormer(desk, at, basis.app, absentKeys(at, chosen)))
  const computed = computeOutcome(desk, at, basis, chosen, former)
  // Where we co-signed this very outcome already, our signature is out and saying it again helps nobody.
  if ((await outcomesSigned(desk, at)).has(hashOf(desk, computed.message))) return row
  await signOutcome(desk, at, computed, kinds.proposal, attempt)
  return row
}

/** The hash that a signature under this outcome covers, hex. */
export const hashOf = (desk: Pick<Desk, 'identity'>, message: SettlementMessage): string =>
  Buffer.from(settlementHash(message, desk.identity.chainId)).toString('hex')

/** Hashes of the outcomes that we signed for this epoch. */
export async function outcomesSigned(desk: Desk, { app, row }: EpochAt): Promise<ReadonlySet<string>> {
  const hashes = new Set<string>()
  for await (const { attester, message } of signedOutcomes(desk, app.id, row.epoch))
    if (attester === desk.identity.pubkey) hashes.add(hashOf(desk, message))
  return hashes
}

/** Signs an outcome and stores the signature before it leaves; never a second outcome for the same inputs. */
export async function signOutcome(
  desk: Desk,
  { app, row }: Pick<EpochAt, 'app' | 'row'>,
  { inputs, message }: ComputedOutcome,
  kind: typeof kinds.proposal | typeof kinds.coSignature,
  attempt: number,
): Promise<boolean> {
  const hash = hashOf(desk, message)
  const signature = signHash(Buffer.from(hash, 'hex'), desk.identity.secretKey)
  const template = signedOutcomeTemplate(kind, { attempt, inputs, message, signature }, seconds(desk))
  const event = await sign(desk, template)
  const signed = await desk.db.transaction(async (tx) => {
    if (!(await claimOutcome(tx, message, hash))) return false
    const place = { app: app.id, epoch: row.epoch, receivedAt: desk.now() }
    await keepEvent(tx, event, { ...place, outgoing: 'due' })
    return true
  })
  const { round, root, allocated, count } = message
  const what = { app: app.id, epoch: row.epoch, round, attempt, root, allocated: String(allocated), count }
  if (!signed) desk.log.error(what, 'another outcome was signed for these inputs; not signing this one')
  else desk.log.info(what, kind === kinds.proposal ? 'proposed' : 'co-signed')
  return signed
}
