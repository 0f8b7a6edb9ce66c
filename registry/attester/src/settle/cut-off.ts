import { cutOffBlocks, epochEnd } from '@understudy/protocol/epoch'
import { kinds } from '@understudy/protocol/kinds'
import { threshold } from '@understudy/protocol/rules'
import { updateEpoch } from '../db/epochs.ts'
import { releaseEvents } from '../db/events.ts'
import type { Stage } from '../desk.ts'
import { heldBundles, sayingsOf } from './bundles.ts'

/**
 * Three burn blocks after the end, or later, once M commitments are held: remembers which ones, and reveals our attestations. From here
 * nobody can fit what it says to what others said.
 */
export const cutOff: Stage = async (desk, at) => {
  const { app, rules, row, burnHeight } = at
  if (row.cutOffAt > 0 || row.abstained || !row.commitment) return row
  if (burnHeight < epochEnd(app.schedule, row.epoch) + cutOffBlocks) return row
  const held = await heldBundles(desk, at)
  if (held.length < threshold(rules.keys)) return row
  const change = { cutOffAt: desk.now(), demanded: held.map(({ key, root }) => `${key}:${root}`) }
  await desk.db.transaction(async (tx) => {
    await releaseEvents(tx, sayingsOf(at, [kinds.attestation]))
    await updateEpoch(tx, row, change)
  })
  desk.log.info({ app: app.id, epoch: row.epoch, commitments: held.length }, 'cut off, attestations revealed')
  return { ...row, ...change }
}
