import type { EventSigner, EventTemplate, NostrEvent } from '@understudy/protocol/event'
import type { Relays } from '@understudy/relays/relays'
import type { Io } from './command.ts'
import { Failure } from './failure.ts'

/** Signs an event and publishes it to every relay that takes it. Throws `Failure` when no relay takes it; says which ones refused. */
export async function publish(
  relays: Pick<Relays, 'publish' | 'status'>,
  signer: EventSigner,
  template: EventTemplate,
  io: Io,
): Promise<NostrEvent> {
  const event = await signer.signEvent(template)
  const everywhere = await relays.publish(event, { quorum: relays.status().length })
  // One refusal ends the wait for all: then any acceptance will do.
  const outcome = everywhere.ok ? everywhere : await relays.publish(event)
  for (const { url, reason } of outcome.refused) io.say(`kind ${event.kind}: ${url} refused it: ${reason}`)
  if (!outcome.ok) {
    throw new Failure('not-published', `no relay took the event of kind ${event.kind}`, 'is --relays right?')
  }
  io.say(`kind ${event.kind}: ${event.id} is on ${outcome.accepted.join(', ')}`)
  return event
}
