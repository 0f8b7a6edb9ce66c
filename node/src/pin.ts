import type { IncomingMessage } from 'node:http'
import type { PreparedRelease } from './preparation.ts'
import type { Site } from './site.ts'

/** Names a release by the sha256 of its manifest: on every answer with a file, and on a request that wants that release. */
export const releaseHeader = 'x-understudy-release'
const cookieName = 'understudy-release'

/**
 * The release that a request belongs to: the one that it names; for what a page loads, the page's own, as its cookie says; for a
 * page itself and for whoever names none, the current one. `gone`: it names one that is kept no longer. decisions/0015.
 */
export function releaseOf({ headers }: IncomingMessage, site: Site): PreparedRelease | 'gone' | undefined {
  const named = headers[releaseHeader]
  const manifest = typeof named === 'string' ? named : isPage(headers) ? undefined : cookieOf(headers)
  if (manifest === undefined) return site.current()
  return site.named(manifest) ?? 'gone'
}

/** The `Set-Cookie` by which a page's files come from the page's release; nothing when the browser has it already, or asks for no page. */
export function pinOf({ headers }: IncomingMessage, manifest: string): string | undefined {
  if (!isPage(headers) || cookieOf(headers) === manifest) return undefined
  return `${cookieName}=${manifest}; Path=/; HttpOnly; SameSite=Lax`
}

/** What comes with an answer that the release is gone, so that the next request begins anew. */
export const unpin = `${cookieName}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0`

/** Whether a browser asks for what will stand in its address bar. Over plain HTTP only `Accept` tells. */
function isPage(headers: IncomingMessage['headers']): boolean {
  const dest = headers['sec-fetch-dest']
  return dest === undefined ? headers.accept?.startsWith('text/html') === true : dest === 'document'
}

function cookieOf({ cookie }: IncomingMessage['headers']): string | undefined {
  if (cookie === undefined) return undefined
  return /(?:^|;\s*)understudy-release=([0-9a-f]{64})(?:;|$)/.exec(cookie)?.[1]
}
