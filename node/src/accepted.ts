import { parseEvent, type Verify } from '@understudy/protocol/event'
import { parseRelease } from '@understudy/protocol/release'
import { readJson, writeWhole } from './preparation.ts'
import type { SignedRelease } from './releases.ts'

/** The releases that an earlier run served, newest first, from its file; those that are none of this app, or not genuine, are left out. */
export async function readAccepted(path: string, app: string, verify: Verify): Promise<SignedRelease[]> {
  const json = await readJson(path)
  const events = json.ok && Array.isArray(json.value) ? (json.value as unknown[]) : []
  return events.flatMap((input) => {
    const event = parseEvent(input)
    if (!event.ok || !verify(event.value)) return []
    const release = parseRelease(event.value)
    return release.ok && release.value.app === app ? [{ release: release.value, event: event.value }] : []
  })
}

/** Remembers what is served and what was before, so that a restart serves it again even when chain, relays and fork are gone. */
export function writeAccepted(path: string, releases: readonly SignedRelease[]): Promise<void> {
  return writeWhole(path, JSON.stringify(releases.map(({ event }) => event)))
}
