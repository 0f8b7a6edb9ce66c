import { kinds } from '@understudy/protocol/kinds'
import { attesterKey, threshold } from '@understudy/protocol/rules'
import { parseSignedOutcome, type SignedOutcome } from '@understudy/protocol/settlement'
import { enqueueSettlement, outboxOf } from '../db/epochs.ts'
import { eventsOfEpoch } from '../db/events.ts'
import type { Stage } from '../desk.ts'
import { hashOf } from './propose.ts'

/** Once M attesters signed one outcome: it goes to the outbox. Its proposer sends at once, others when nobody else seems to. */
export const gather: Stage = async (desk, { app, rules, row, round }) => {
  if (await outboxOf(desk.db, app.id, row.epoch, round)) return row
  const outcomes = new Map<string, SignedOutcome[]>()
  for (const kind of [kinds.proposal, kinds.coSignature]) {
    for (const { event } of await eventsOfEpoch(desk.db, kind, app.id, row.epoch)) {
      const read = parseSignedOutcome(event, desk.identity.chainId)
      if (!read.ok || read.value.message.pool !== desk.contracts.pool) continue
      // A banned key's signature counts no more on chain.
      if (read.value.message.round !== round || app.banned.has(attesterKey(event.pubkey))) continue
      const hash = hashOf(desk, read.value.message)
      outcomes.set(hash, [...(outcomes.get(hash) ?? []), read.value])
    }
  }
  for (const signed of outcomes.values()) {
    const signatures = rules.keys.map(
      (key) => signed.find((s) => attesterKey(s.attester) === key)?.signature ?? null,
    )
    const given = signatures.filter((signature) => signature !== null).length
    if (given < threshold(rules.keys)) continue
    const proposer = signed[0]!.attester === desk.identity.pubkey
    const pause = proposer ? 0 : desk.deltaMs * (2 + 3 * desk.random())
    await enqueueSettlement(desk.db, signed[0]!.message, signatures, desk.now() + pause)
    desk.log.info(
      { app: app.id, epoch: row.epoch, round, signatures: given, proposer },
      'signatures gathered',
    )
    return row
  }
  return row
}
