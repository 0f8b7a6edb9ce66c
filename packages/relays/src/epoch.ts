import { epochTag } from '@understudy/protocol/attestation'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import type { Relays } from './relays.ts'

/** The kinds of which every event belongs to one epoch. */
export const epochKinds = [kinds.commitment, kinds.attestation, kinds.proposal, kinds.coSignature]

/** Everything that relays hold of one epoch, by these authors where they are named: what a verifier needs beside the chain. */
export function epochEvents(
  relays: Pick<Relays, 'query'>,
  app: string,
  epoch: number,
  authors?: readonly string[],
): Promise<NostrEvent[]> {
  const by = authors && { authors: [...authors] }
  return relays.query(epochKinds.map((kind) => ({ kinds: [kind], '#d': [epochTag(app, epoch)], ...by })))
}
