import { appId } from '@understudy/protocol/app'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import type { Filter } from '@understudy/relays/filter'
import type { Relays } from '@understudy/relays/relays'
import type { Relay } from './relay/relay.ts'

/**
 * The other relays and our own as one. What all of those have lost, a sibling may have brought to ours: a release before the newest,
 * without which a node that serves an older one could not go on.
 */
export function everywhere(
  relays: Pick<Relays, 'subscribe'>,
  own: Pick<Relay, 'subscribe' | 'query'>,
): Pick<Relays, 'subscribe'> {
  return {
    subscribe(filters, { onEvent, onCaughtUp }) {
      const seen = new Set<string>()
      let closed = false
      const hear = (event: NostrEvent) => {
        if (closed || seen.has(event.id)) return
        seen.add(event.id)
        onEvent(event)
      }
      const live = own.subscribe(filters, hear)
      const stored = own.query(filters).then(
        (events) => events.forEach(hear),
        // The store is being closed.
        () => {},
      )
      const elsewhere = relays.subscribe(filters, {
        onEvent: hear,
        onCaughtUp: (answered) => void stored.then(() => closed || onCaughtUp?.(answered)),
      })
      return {
        close() {
          closed = true
          live.close()
          elsewhere.close()
        },
      }
    },
  }
}

/** What a node takes over from the other relays: who its siblings are, and the releases, so that no relay's loss is the app's. */
export const keptOf = (coordinate: string): Filter[] => [
  { kinds: [kinds.mirror], '#d': [appId(coordinate)] },
  { kinds: [kinds.release, kinds.releaseSnapshot], '#a': [coordinate] },
]
