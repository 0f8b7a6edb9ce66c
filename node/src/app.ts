import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Metrics } from '@understudy/host/metrics'
import { challengePath } from '@understudy/protocol/challenge'
import { isHex32 } from '@understudy/protocol/event'
import { manifestPath } from '@understudy/protocol/release'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { ChallengeDesk, Refusal } from './challenges.ts'
import { answerMissing } from './listener.ts'
import { releaseHeader } from './pin.ts'
import { type Admin, adminType, isAdminCall, maxAdminBytes } from './relay/admin.ts'
import { informationType } from './relay/information.ts'
import type { Relay } from './relay/relay.ts'
import { commonHeaders, type Serve } from './serve.ts'
import type { Site } from './site.ts'

export interface AppParts {
  readonly app: string
  readonly coordinate: string
  readonly nodeKey: string
  readonly stx: string
  readonly relayUrl: string
  readonly version: string
  readonly site: Site
  readonly serve: Serve
  readonly desk: ChallengeDesk
  readonly relay: Pick<Relay, 'information'>
  readonly metrics: Metrics
  /** Who may administer the relay may do so at its URL, http(s) for ws(s). */
  readonly admin?: Admin | undefined
  /** Why visitors should not be sent here just now; empty when they may. */
  unready(): readonly string[]
  /** Who sent the request, as far as can be seen: a bucket for rate limits, nothing more. */
  senderOf(c: Context): string
  onError(error: Error): void
}

/** Bytes of a challenge: an event of some ten short tags. */
const maxChallengeBytes = 16_384

const statusOf: Record<Refusal['code'], ContentfulStatusCode> = {
  malformed: 400,
  'not-addressed': 400,
  stale: 400,
  'bad-signature': 400,
  'not-an-attester': 403,
  'not-served': 409,
  'too-many': 429,
}

/** What a node answers over HTTP besides the files of the release: its own few paths. */
export function buildApp(parts: AppParts): Hono<{ Bindings: HttpBindings }> {
  const { site, desk, relay, metrics } = parts
  const app = new Hono<{ Bindings: HttpBindings }>()
  const fail = (c: Context, status: ContentfulStatusCode, code: string, message: string) =>
    c.json({ error: { code, message } }, status, { 'cache-control': 'no-store' })

  app.use(async (c, next) => {
    // Before the answer is made: Hono rebuilds a finished one for every header that is added to it.
    for (const [name, value] of Object.entries(commonHeaders)) c.header(name, value)
    await next()
  })

  app.options('*', (c) =>
    c.body(null, 204, {
      'access-control-allow-methods': 'GET, HEAD, POST, OPTIONS',
      'access-control-allow-headers': `authorization, content-type, range, if-range, if-none-match, ${releaseHeader}`,
      'access-control-max-age': '86400',
    }),
  )

  app.get('/.well-known/understudy.json', (c) => {
    const release = site.current()?.release
    return c.json(
      {
        app: parts.app,
        coordinate: parts.coordinate,
        nodeKey: parts.nodeKey,
        stx: parts.stx,
        relay: parts.relayUrl,
        commit: release?.commit ?? null,
        seq: release?.seq ?? null,
        release: release?.eventId ?? null,
        manifest: release?.manifest ?? null,
        version: parts.version,
      },
      200,
      { 'cache-control': 'no-cache' },
    )
  })

  app.get(manifestPath(':sha256'), (c) => {
    const sha256 = c.req.param('sha256') ?? ''
    if (!isHex32(sha256)) return fail(c, 400, 'malformed', 'expected a sha256 as lower-case hex')
    const manifest = site.named(sha256)?.manifest
    if (!manifest) return fail(c, 404, 'not-found', 'no such manifest is served here')
    return c.body(manifest, 200, {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'public, max-age=31536000, immutable',
      etag: `"${sha256}"`,
    })
  })

  app.post(
    challengePath,
    bodyLimit({
      maxSize: maxChallengeBytes,
      onError: (c) => fail(c, 413, 'too-large', `a challenge has at most ${maxChallengeBytes} bytes`),
    }),
    async (c) => {
      const input: unknown = await c.req.json().catch(() => undefined)
      if (input === undefined) return fail(c, 400, 'malformed', 'not JSON')
      const answered = await desk.answer(input, parts.senderOf(c))
      if (!answered.ok) return fail(c, statusOf[answered.code], answered.code, answered.message)
      return c.json(answered.event, 200, { 'cache-control': 'no-store' })
    },
  )

  const { admin } = parts
  if (admin)
    app.post('/', bodyLimit({ maxSize: maxAdminBytes }), async (c, next) => {
      if (!isAdminCall(c.req.header('content-type'))) return next()
      const answered = await admin.answer({
        method: 'POST',
        url: parts.relayUrl.replace(/^ws/, 'http'),
        authorization: c.req.header('authorization'),
        body: new Uint8Array(await c.req.arrayBuffer()),
      })
      return c.body(JSON.stringify(answered.body), answered.status, {
        'content-type': adminType,
        'cache-control': 'no-store',
      })
    })

  app.all('/.well-known/understudy/*', (c) => fail(c, 404, 'not-found', 'no such path'))

  app.get('/', async (c, next) => {
    if (!c.req.header('accept')?.includes(informationType)) return next()
    return c.json(relay.information(), 200, { 'content-type': informationType })
  })
  app.get('/healthz', (c) => c.text('ok\n'))
  app.get('/readyz', ready)
  app.get('/metrics', async (c) => c.body(await metrics.text(), 200, { 'content-type': metrics.contentType }))

  app.get('*', (c) => {
    answerMissing(c.env.incoming as IncomingMessage, c.env.outgoing as ServerResponse, site, parts.serve)
    return RESPONSE_ALREADY_SENT
  })

  function ready(c: Context) {
    const reasons = parts.unready()
    return c.json({ ok: reasons.length === 0, reasons }, reasons.length === 0 ? 200 : 503, {
      'cache-control': 'no-store',
    })
  }

  app.notFound((c) => {
    c.header('allow', 'GET, HEAD, OPTIONS')
    return fail(c, 405, 'method-not-allowed', `${c.req.method} is not allowed here`)
  })

  app.onError((error, c) => {
    parts.onError(error)
    return fail(c, 500, 'internal', 'this node failed to answer')
  })

  return app
}
