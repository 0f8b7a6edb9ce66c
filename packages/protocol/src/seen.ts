import { type EventTemplate, isHex32, type NostrEvent, type Parsed, parsed, refused, tag } from './event.ts'
import { kinds } from './kinds.ts'

/** One attester's word for the burn height at which it first saw a release. */
export interface Seen {
  readonly attester: string
  readonly app: string
  /** Event id of the release snapshot. */
  readonly release: string
  readonly burnHeight: number
}

export function seenTemplate(seen: Omit<Seen, 'attester'>, createdAt: number): EventTemplate {
  return {
    kind: kinds.seen,
    created_at: createdAt,
    tags: [
      ['d', seen.app],
      ['e', seen.release],
      ['burn', String(seen.burnHeight)],
    ],
    content: '',
  }
}

export function parseSeen(event: NostrEvent): Parsed<Seen> {
  if (event.kind !== kinds.seen) return refused('not a seen event')
  const app = tag(event, 'd') ?? ''
  const release = tag(event, 'e') ?? ''
  const burn = tag(event, 'burn') ?? ''
  if (!isHex32(app)) return refused('d: not an app id')
  if (!isHex32(release)) return refused('e: not an event id')
  if (!/^\d{1,9}$/.test(burn)) return refused('burn: not a burn height')
  return parsed({ attester: event.pubkey, app, release, burnHeight: Number(burn) })
}

/**
 * The burn height from which a release's age runs: the M-th smallest height among the attesters' `seen` events, each
 * attester counted once by its smallest. `undefined` when fewer than M saw it: it is still in grace.
 */
export function releasedAt(
  seen: readonly Seen[],
  release: string,
  keys: ReadonlySet<string>,
  m: number,
): number | undefined {
  const first = new Map<string, number>()
  for (const s of seen) {
    if (s.release !== release || !keys.has(s.attester)) continue
    first.set(s.attester, Math.min(s.burnHeight, first.get(s.attester) ?? Number.POSITIVE_INFINITY))
  }
  return [...first.values()].sort((a, b) => a - b)[m - 1]
}
