import { type EventTemplate, type NostrEvent, type Parsed, parsed, refused, tag } from './event.ts'
import { kinds } from './kinds.ts'

/** An attester's announcement, after NIP-66 kind 10166. */
export interface AttesterAnnouncement {
  readonly pubkey: string
  /** Seconds between two probes of one mirror. */
  readonly frequency: number
  /** Deadline of one content fetch, ms. */
  readonly timeout: number
  /** Kinds of check: `content`, `possession`, `freshness`, `place`. */
  readonly checks: readonly string[]
  readonly geohash: string
  /** Principal that its fee goes to. */
  readonly stx: string
  /** Base URL under which it serves what its reports count; empty when it says none. */
  readonly evidence: string
}

export function attesterTemplate(
  attester: Omit<AttesterAnnouncement, 'pubkey'>,
  createdAt: number,
): EventTemplate {
  return {
    kind: kinds.attester,
    created_at: createdAt,
    tags: [
      ['frequency', String(attester.frequency)],
      ['timeout', String(attester.timeout)],
      ...attester.checks.map((name) => ['c', name]),
      ['g', attester.geohash],
      ['stx', attester.stx],
      ...(attester.evidence ? [['evidence', attester.evidence]] : []),
    ],
    content: '',
  }
}

export function parseAttester(event: NostrEvent): Parsed<AttesterAnnouncement> {
  if (event.kind !== kinds.attester) return refused('not an attester announcement')
  const frequency = Number(tag(event, 'frequency'))
  const timeout = Number(tag(event, 'timeout'))
  if (!(frequency > 0 && timeout > 0)) return refused('frequency, timeout: not positive numbers')
  return parsed({
    pubkey: event.pubkey,
    frequency,
    timeout,
    checks: event.tags.flatMap((t) => (t[0] === 'c' && t[1] ? [t[1]] : [])).slice(0, 16),
    geohash: (tag(event, 'g') ?? '').slice(0, 12),
    stx: (tag(event, 'stx') ?? '').slice(0, 128),
    evidence: baseUrl(tag(event, 'evidence')),
  })
}

function baseUrl(text: string | undefined): string {
  const url = text && text.length <= 300 ? URL.parse(text) : null
  return url && /^https?:$/.test(url.protocol) ? url.href.replace(/\/+$/, '') : ''
}
