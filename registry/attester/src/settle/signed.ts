import { kinds } from '@understudy/protocol/kinds'
import { parseSignedOutcome, type SignedOutcome } from '@understudy/protocol/settlement'
import { eventsOfEpoch } from '../db/events.ts'
import type { Desk } from '../desk.ts'

/** Proposals and then co-signatures of an epoch that we hold and that are about our pool, first held first; read one by one: each costs a check of its signature. */
export async function* signedOutcomes(
  { db, identity, contracts }: Pick<Desk, 'db' | 'identity' | 'contracts'>,
  app: string,
  epoch: number,
  of: readonly number[] = [kinds.proposal, kinds.coSignature],
): AsyncGenerator<SignedOutcome> {
  for (const kind of of) {
    for (const { event } of await eventsOfEpoch(db, kind, app, epoch)) {
      const read = parseSignedOutcome(event, identity.chainId)
      if (read.ok && read.value.message.pool === contracts.pool) yield read.value
    }
  }
}
