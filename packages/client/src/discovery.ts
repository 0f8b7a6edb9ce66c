import { appId, parseCoordinate } from '@understudy/protocol/app'
import { type NostrEvent, type Parsed, parsed, refused } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { type MirrorAnnouncement, parseMirror } from '@understudy/protocol/mirror'
import { parseRelease, type Release } from '@understudy/protocol/release'
import type { Relays } from '@understudy/relays/relays'
import type { AppConfig } from './config.ts'

/** Signed events that are enough to open the app again; they are verified again on the way back in. */
export interface Discovery {
  readonly release: NostrEvent
  readonly mirrors: readonly NostrEvent[]
}

/** What a discovery says once read. */
export interface Discovered {
  readonly release: Release
  readonly mirrors: readonly MirrorAnnouncement[]
}

/** Most mirrors that a page keeps. */
const maxMirrors = 64

/** Asks relays for the newest release and for the mirrors. Events come verified from `relays`. */
export async function discover(relays: Pick<Relays, 'query'>, config: AppConfig): Promise<Parsed<Discovery>> {
  const coordinate = parseCoordinate(config.coordinate)
  if (!coordinate.ok) return coordinate
  const events = await relays.query([
    { kinds: [kinds.release], authors: [config.releaseKey], '#d': [coordinate.value.d], limit: 20 },
    { kinds: [kinds.mirror], '#d': [appId(config.coordinate)], limit: 500 },
  ])
  const releases = events.filter((event) => event.kind === kinds.release)
  const release = releases.reduce<NostrEvent | undefined>(
    (best, event) => newer(event, best, config),
    undefined,
  )
  if (!release) return refused('no relay has a signed release of this app')
  const mirrors = events.filter((event) => event.kind === kinds.mirror)
  return parsed({ release, mirrors: newestOfEach(mirrors).slice(0, maxMirrors) })
}

function newer(event: NostrEvent, best: NostrEvent | undefined, config: AppConfig): NostrEvent | undefined {
  const read = readRelease(event, config)
  if (!read) return best
  const current = best && readRelease(best, config)
  return !current || read.seq > current.seq ? event : best
}

function readRelease(event: NostrEvent, config: AppConfig): Release | undefined {
  const read = parseRelease(event)
  if (!read.ok || read.value.pubkey !== config.releaseKey || read.value.app !== appId(config.coordinate))
    return undefined
  return read.value
}

function newestOfEach(events: readonly NostrEvent[]): NostrEvent[] {
  const newest = new Map<string, NostrEvent>()
  for (const event of events) {
    const held = newest.get(event.pubkey)
    if (!held || event.created_at > held.created_at) newest.set(event.pubkey, event)
  }
  return [...newest.values()]
}

/** Reads a discovery; mirrors that are malformed or of another app are left out. Expired ones stay, as a last resort. */
export function readDiscovery(discovery: Discovery, config: AppConfig): Parsed<Discovered> {
  const release = readRelease(discovery.release, config)
  if (!release) return refused('the release is not one of this app')
  const app = appId(config.coordinate)
  const mirrors = discovery.mirrors.flatMap((event) => {
    const read = parseMirror(event)
    return read.ok && read.value.app === app ? [read.value] : []
  })
  return parsed({ release, mirrors })
}
