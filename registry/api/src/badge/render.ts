import { createHash } from 'node:crypto'
import { makeBadge } from 'badge-maker'
import type { Badge } from './badge.ts'

/** A badge as it goes over the wire. */
export interface RenderedBadge {
  readonly body: Buffer
  readonly etag: string
  readonly headers: Readonly<Record<string, string>>
}

export type BadgeFormat = 'svg' | 'json'

/** Seconds that a badge may be cached: one that says nothing, for a shorter time. */
const cacheSeconds = (badge: Badge) => (badge.message === 'unknown' ? 60 : 300)

/** badge-maker escapes what it is given, and gives the picture its role, label and title. */
export function renderBadge(badge: Badge, format: BadgeFormat): RenderedBadge {
  const seconds = cacheSeconds(badge)
  const { label, message, color } = badge
  const text =
    format === 'svg'
      ? makeBadge({ label, message, color })
      : JSON.stringify({ schemaVersion: 1, ...badge, cacheSeconds: seconds })
  const body = Buffer.from(text)
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`
  return {
    body,
    etag,
    headers: {
      'content-type': format === 'svg' ? 'image/svg+xml; charset=utf-8' : 'application/json; charset=utf-8',
      'content-length': String(body.length),
      'cache-control': `public, max-age=${seconds}`,
      etag,
      'access-control-allow-origin': '*',
      // An image that is opened as a page may run nothing.
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
      'x-content-type-options': 'nosniff',
    },
  }
}
