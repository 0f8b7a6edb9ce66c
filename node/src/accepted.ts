import { parseEvent, type Verify } from '@understudy/protocol/event'
import { parseRelease } from '@understudy/protocol/release'
import { readJson, writeWhole } from './preparation.ts'
import type { SignedRelease } from './releases.ts'

/** The release that an earlier run served, from its file; nothing when it is none of this app, or not genuine. */
export async function readAccepted(
  path: string,
  app: string,
  verify: Verify,
): Promise<SignedRelease | undefined> {
  const json = await readJson(path)
  const event = json.ok ? parseEvent(json.value) : json
  if (!event.ok || !verify(event.value)) return undefined
  const release = parseRelease(event.value)
  return release.ok && release.value.app === app ? { release: release.value, event: event.value } : undefined
}

/** Remembers what is served, so that a restart serves it again even when chain, relays and fork are gone. */
export function writeAccepted(path: string, { event }: SignedRelease): Promise<void> {
  return writeWhole(path, JSON.stringify(event))
}
