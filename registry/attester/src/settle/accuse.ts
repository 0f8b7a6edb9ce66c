import { parseCommitment } from '@understudy/protocol/commitment'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { attesterKey } from '@understudy/protocol/rules'
import { parseSignedOutcome } from '@understudy/protocol/settlement'
import { keepAccusation } from '../db/accusations.ts'
import { eventsOfEpoch } from '../db/events.ts'
import type { Desk } from '../desk.ts'

const signedKinds = [kinds.proposal, kinds.coSignature] as const

/**
 * Holds an event against what its author signed before. Two commitments for one epoch, or two outcomes for one round and set of inputs,
 * are kept as an accusation, for `reportAccused` to bring before the chain. design: Settlement.
 */
export async function accuse(desk: Desk, event: NostrEvent, app: string, epoch: number): Promise<void> {
  const contrary = await contradictionOf(desk, event, app, epoch)
  if (!contrary) return
  if (event.pubkey === desk.identity.pubkey) {
    // Somebody else holds our key, or our memory was restored from an old copy.
    desk.log.error({ app, epoch, events: [contrary.id, event.id] }, 'our own key contradicts itself')
    return
  }
  const key = attesterKey(event.pubkey)
  // Everyone who knows will report: whoever is late finds it done.
  const notBefore = desk.now() + desk.deltaMs * 3 * desk.random()
  if (await keepAccusation(desk.db, { app, key, epoch, events: [contrary, event], notBefore }))
    desk.log.warn({ app, epoch, key, events: [contrary.id, event.id] }, 'equivocation')
}

async function contradictionOf(
  desk: Desk,
  event: NostrEvent,
  app: string,
  epoch: number,
): Promise<NostrEvent | undefined> {
  const own = async (kind: number) =>
    (await eventsOfEpoch(desk.db, kind, app, epoch, event.pubkey)).map((held) => held.event)
  const { chainId } = desk.identity
  if (event.kind === kinds.commitment) {
    const said = parseCommitment(event, chainId)
    if (!said.ok) return undefined
    return (await own(kinds.commitment)).find((other) => {
      const read = parseCommitment(other, chainId)
      if (!read.ok || read.value.pool !== said.value.pool) return false
      return read.value.root !== said.value.root || read.value.count !== said.value.count
    })
  }
  const said = parseSignedOutcome(event, chainId)
  if (!said.ok) return undefined
  const { pool, round, inputs, root, allocated, count } = said.value.message
  for (const kind of signedKinds) {
    const found = (await own(kind)).find((other) => {
      const read = parseSignedOutcome(other, chainId)
      if (!read.ok) return false
      const { message } = read.value
      if (message.pool !== pool || message.round !== round || message.inputs !== inputs) return false
      return message.root !== root || message.allocated !== allocated || message.count !== count
    })
    if (found) return found
  }
  return undefined
}
