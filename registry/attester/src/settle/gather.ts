import { attesterKey, threshold } from '@understudy/protocol/rules'
import type { SignedOutcome } from '@understudy/protocol/settlement'
import { enqueueSettlement, outboxOf } from '../db/epochs.ts'
import type { Stage } from '../desk.ts'
import { hashOf } from './propose.ts'
import { signedOutcomes } from './signed.ts'

/** Once M attesters signed one outcome: it goes to the outbox. Its proposer sends at once, others when nobody else seems to. */
export const gather: Stage = async (desk, { app, rules, row, round }) => {
  if (await outboxOf(desk.db, app.id, row.epoch, round)) return row
  const outcomes = new Map<string, SignedOutcome[]>()
  for await (const signed of signedOutcomes(desk, app.id, row.epoch)) {
    // A banned key's signature counts no more on chain.
    if (signed.message.round !== round || app.banned.has(attesterKey(signed.attester))) continue
    const hash = hashOf(desk, signed.message)
    outcomes.set(hash, [...(outcomes.get(hash) ?? []), signed])
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
