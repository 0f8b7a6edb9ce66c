import { attemptAt, proposerOf } from '@understudy/protocol/epoch'
import { kinds } from '@understudy/protocol/kinds'
import { threshold } from '@understudy/protocol/rules'
import { parseSignedOutcome, settlementHash, signedOutcomeTemplate } from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import { claimOutcome } from '../db/epochs.ts'
import { eventsOfEpoch, keepEvent } from '../db/events.ts'
import { type Desk, type EpochAt, type Stage, seconds, sign } from '../desk.ts'
import { heldBundles } from './bundles.ts'
import { admissibleBundles, type ComputedOutcome, computeOutcome } from './outcome.ts'

/** When it is our turn: computes the outcome from everything admissible that we hold, signs it and says so. */
export const propose: Stage = async (desk, at) => {
  const { app, rules, row, burnHeight } = at
  const attempt = attemptAt(app.schedule, row.epoch, burnHeight)
  if (row.cutOffAt === 0 || attempt < 0) return row
  if (proposerOf(rules.keys, row.epoch, attempt) !== desk.identity.key) return row
  if (await hasProposed(desk, at, attempt)) return row
  const chosen = admissibleBundles(await heldBundles(desk, at), row, desk.deltaMs)
  if (chosen.length < threshold(rules.keys)) {
    desk.log.warn(
      { app: app.id, epoch: row.epoch, attempt, bundles: chosen.length },
      'too few bundles to propose',
    )
    return row
  }
  const anchor = await desk.client.anchorBelow(anchorHeight(at))
  const computed = await computeOutcome(desk, at, anchor, chosen)
  await signOutcome(desk, at, computed, kinds.proposal, attempt)
  return row
}

/** Burn height that the anchor lies below: the epoch's end. */
export const anchorHeight = ({ app, row }: Pick<EpochAt, 'app' | 'row'>): number =>
  app.schedule.start + (row.epoch + 1) * app.schedule.length

async function hasProposed(desk: Desk, { app, row }: EpochAt, attempt: number): Promise<boolean> {
  const proposals = await eventsOfEpoch(desk.db, kinds.proposal, app.id, row.epoch)
  return proposals.some(({ event }) => {
    if (event.pubkey !== desk.identity.pubkey) return false
    const read = parseSignedOutcome(event, desk.identity.chainId)
    return read.ok && read.value.attempt === attempt
  })
}

/** Signs an outcome and stores the signature before it leaves; never a second outcome for the same inputs. */
export async function signOutcome(
  desk: Desk,
  { app, row }: Pick<EpochAt, 'app' | 'row'>,
  { inputs, message }: ComputedOutcome,
  kind: typeof kinds.proposal | typeof kinds.coSignature,
  attempt: number,
): Promise<boolean> {
  const hash = settlementHash(message, desk.identity.chainId)
  const signature = signHash(hash, desk.identity.secretKey)
  const template = signedOutcomeTemplate(kind, { attempt, inputs, message, signature }, seconds(desk))
  const event = await sign(desk, template)
  const signed = await desk.db.transaction(async (tx) => {
    if (!(await claimOutcome(tx, message, Buffer.from(hash).toString('hex')))) return false
    const place = { app: app.id, epoch: row.epoch, receivedAt: desk.now() }
    await keepEvent(tx, event, { ...place, outgoing: 'due' })
    return true
  })
  const { root, allocated, count } = message
  const what = { app: app.id, epoch: row.epoch, attempt, root, allocated: String(allocated), count }
  if (!signed) desk.log.error(what, 'another outcome was signed for these inputs; not signing this one')
  else desk.log.info(what, kind === kinds.proposal ? 'proposed' : 'co-signed')
  return signed
}
