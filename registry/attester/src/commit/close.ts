import { bondedMirrors } from '@understudy/chain/state'
import { attestationTemplate } from '@understudy/protocol/attestation'
import { type CommitmentHeader, commitmentTemplate, commitTo } from '@understudy/protocol/commitment'
import { epochEnd } from '@understudy/protocol/epoch'
import type { NostrEvent } from '@understudy/protocol/event'
import { reportsOf } from '../attest/reports.ts'
import { updateEpoch } from '../db/epochs.ts'
import { keepEvent } from '../db/events.ts'
import { keepEvidence, observationsOfEpoch } from '../db/observations.ts'
import { type Stage, seconds, sign } from '../desk.ts'
import { missedIn } from '../observation/downtime.ts'
import { discountBlackouts, networksThatPassed } from '../observation/observation.ts'

/**
 * At the end of an epoch: attestations from what was observed, held back, and one commitment to them, published. All of it is stored in
 * one transaction before anything leaves, so that after a crash the same is said again and never something else.
 */
export const closeEpoch: Stage = async (desk, { app, row, burnHeight }) => {
  if (row.commitment || row.abstained || burnHeight < epochEnd(app.schedule, row.epoch)) return row
  const { db, identity, contracts } = desk
  const raw = await observationsOfEpoch(db, app.id, row.epoch)
  if (raw.length === 0 && bondedMirrors(app, row.epoch).length > 0) {
    // Nothing was seen although there was something to see: our memory is gone, or we were.
    const abstained = 'no observations'
    await updateEpoch(db, row, { abstained })
    desk.log.warn({ app: app.id, epoch: row.epoch, reason: abstained }, 'abstaining')
    return { ...row, abstained }
  }
  const before = networksThatPassed(await observationsOfEpoch(db, app.id, row.epoch - 1))
  const about = { attester: identity.pubkey, app: app.id, epoch: row.epoch }
  const counted = reportsOf(discountBlackouts(raw, before, desk.roundMs), about, (made) =>
    missedIn(app.schedule, row.downBlocks, made),
  )
  const at = seconds(desk)
  const header: CommitmentHeader = {
    stx: identity.payee,
    latitude: Math.round(desk.latitude * 1e6),
    longitude: Math.round(desk.longitude * 1e6),
    seed: identity.seedOf(app.id, row.epoch),
  }
  const { root, attested } = commitTo(
    header,
    counted.map(({ report }) => report),
  )
  const attestations: NostrEvent[] = []
  for (const { report, proof } of attested)
    attestations.push(await sign(desk, attestationTemplate(app.id, row.epoch, report, at, proof)))
  const message = { pool: contracts.pool, app: app.id, epoch: row.epoch, root, count: attested.length }
  const commitment = await sign(
    desk,
    commitmentTemplate(message, header, identity.chainId, identity.secretKey, at),
  )
  const place = { app: app.id, epoch: row.epoch, receivedAt: desk.now() }
  await db.transaction(async (tx) => {
    const evidence = counted.flatMap(({ report: { mirror, evidence: hash }, text }) =>
      hash ? [{ hash, app: app.id, epoch: row.epoch, mirror, text }] : [],
    )
    await keepEvidence(tx, evidence)
    for (const event of attestations) await keepEvent(tx, event, { ...place, outgoing: 'held' })
    await keepEvent(tx, commitment, { ...place, outgoing: 'due' })
    await updateEpoch(tx, row, { commitment: commitment.id })
  })
  desk.log.info(
    {
      app: app.id,
      epoch: row.epoch,
      attestations: attested.length,
      observations: raw.length,
      down: row.downBlocks,
      root,
    },
    'committed',
  )
  return { ...row, commitment: commitment.id }
}
