import { appId, parseCoordinate } from '@understudy/protocol/app'
import { kinds } from '@understudy/protocol/kinds'
import { parseRelease, type Release } from '@understudy/protocol/release'
import type { Relays } from '@understudy/relays/relays'

/** The release of the highest sequence number that relays hold, signed by the release key; the snapshot where both kinds exist. */
export async function newestRelease(
  relays: Pick<Relays, 'query'>,
  coordinate: string,
  releaseKey: string,
): Promise<Release | undefined> {
  const read = parseCoordinate(coordinate)
  if (!read.ok) return undefined
  const events = await relays.query([
    { kinds: [kinds.release, kinds.releaseSnapshot], authors: [releaseKey], '#d': [read.value.d] },
  ])
  return events
    .flatMap((event) => {
      const release = parseRelease(event)
      return release.ok && release.value.app === appId(coordinate) ? [release.value] : []
    })
    .sort((a, b) => b.seq - a.seq || a.kind - b.kind)[0]
}
