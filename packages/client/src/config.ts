import { parseCoordinate } from '@understudy/protocol/app'
import { isHex32, type Parsed, parsed, refused } from '@understudy/protocol/event'

/** What an app carries to survive: `understudy.json` at the root of a release. */
export interface AppConfig {
  /** `30617:<pubkey>:<d>` */
  readonly coordinate: string
  /** Nostr key that signs releases, hex. The root of trust of this page. */
  readonly releaseKey: string
  /** Relays to ask, ws or wss. */
  readonly relays: readonly string[]
}

/** Reads an `understudy.json` that has been parsed from JSON. */
export function parseConfig(input: unknown): Parsed<AppConfig> {
  if (typeof input !== 'object' || input === null) return refused('understudy.json: not an object')
  const { coordinate, releaseKey, relays } = input as Record<string, unknown>
  if (typeof coordinate !== 'string' || !parseCoordinate(coordinate).ok) {
    return refused('understudy.json: coordinate must be 30617:<pubkey>:<identifier>')
  }
  if (!isHex32(releaseKey)) return refused('understudy.json: releaseKey must be 32 bytes as hex')
  if (!Array.isArray(relays) || relays.length === 0 || relays.length > 16 || !relays.every(isRelayUrl)) {
    return refused('understudy.json: relays must be 1 to 16 ws(s) URLs')
  }
  return parsed({ coordinate, releaseKey, relays })
}

const isRelayUrl = (value: unknown): boolean =>
  typeof value === 'string' && /^wss?:\/\/[^\s]{1,290}$/.test(value)
