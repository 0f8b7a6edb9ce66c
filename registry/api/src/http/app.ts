import type { NetworkView } from '@understudy/protocol/api'
import { check } from '@understudy/protocol/schema'
import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import { etag } from 'hono/etag'
import type * as z from 'zod/mini'
import type { Board } from '../badge/board.ts'
import type { Registry } from '../view/registry.ts'
import { openApiOf } from './openapi.ts'
import type { Pages } from './pages.ts'
import { Problem, problemOf } from './problem.ts'
import { type Given, parameters, type Route, routesOf } from './routes.ts'

/** GET /readyz */
export interface Readiness {
  readonly ok: boolean
  readonly burnHeight: number
  readonly stacksHeight: number
  readonly relaysConnected: number
}

export interface AppParts {
  readonly registry: Registry
  readonly board: Board
  /** Undefined until the chain was seen. */
  readonly network: () => NetworkView | undefined
  readonly ready: () => Promise<Readiness>
  readonly metrics: { readonly contentType: string; text(): Promise<string> }
  readonly publicUrl: string
  readonly pages?: Pages
  readonly onError: (error: unknown, path: string) => void
}

/** Everything that the registry answers over HTTP. */
export function buildApp(parts: AppParts): Hono {
  const { registry, board, network, ready, metrics, pages } = parts
  const app = new Hono()
  const routes = routesOf(registry, network)
  const openApi = openApiOf(routes, parts.publicUrl)

  app.onError((error, c) => {
    const problem = problemOf(error)
    if (problem.status >= 500) parts.onError(error, c.req.path)
    c.header('cache-control', 'no-store')
    return c.json({ error: { code: problem.code, message: problem.message } }, problem.status)
  })
  app.notFound((c) => {
    throw new Problem(404, 'not-found', `there is nothing at ${c.req.path.slice(0, 200)}`)
  })

  app.use(cors({ origin: '*', allowMethods: ['GET', 'HEAD'], exposeHeaders: ['ETag'], maxAge: 86_400 }))
  app.use(async (c, next) => {
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD') {
      c.header('allow', 'GET, HEAD, OPTIONS')
      throw new Problem(405, 'method', 'this registry is only read')
    }
    await next()
    c.header('x-content-type-options', 'nosniff')
  })

  app.get('/healthz', (c) => c.json({ ok: true }))
  app.get('/readyz', async (c) => {
    const readiness = await ready()
    return c.json(readiness, readiness.ok ? 200 : 503)
  })
  app.get('/metrics', async (c) => c.body(await metrics.text(), 200, { 'content-type': metrics.contentType }))
  app.get('/openapi.json', etag(), (c) => c.json(openApi, 200, revalidated))

  for (const route of routes) {
    app.get(route.path, etag(), async (c) => {
      const answer = await route.answer(givenOf(route, c))
      if (answer !== undefined) return c.json(answer as object, 200, revalidated)
      // Without parameters a view is only missing until the chain was seen.
      if (route.takes.length === 0) throw new Problem(503, 'starting', 'the chain was not read yet')
      throw new Problem(404, 'not-found', 'there is no such thing on the chain')
    })
  }

  app.get('/badge/*', async (c) => {
    const badge = await board.badge(c.req.path)
    if (!badge) throw new Problem(404, 'not-found', 'there is no badge of that name')
    if (c.req.header('if-none-match') === badge.etag) return c.body(null, 304, badge.headers)
    return c.body(new Uint8Array(badge.body), 200, badge.headers)
  })

  if (pages) {
    app.get('*', (c) => {
      const page = pages.get(c.req.path)
      if (!page) return c.notFound()
      const headers = { etag: page.etag, 'cache-control': page.cacheControl }
      if (c.req.header('if-none-match') === page.etag) return c.body(null, 304, headers)
      return c.body(page.body, 200, { ...headers, 'content-type': page.type })
    })
  }
  return app
}

/** Kept by caches, and asked about each time: an ETag answers with a few bytes. */
const revalidated = { 'cache-control': 'public, no-cache' }

function givenOf(route: Route, c: Context): Given {
  const given = route.takes.map((name) => {
    const text = c.req.param(name) ?? c.req.query(name)
    const value = check(parameters[name] as z.ZodMiniType, text)
    if (!value.ok) throw new Problem(400, 'bad-parameter', `${name}: ${value.reason.replace(/^value: /, '')}`)
    return [name, value.value] as const
  })
  return Object.fromEntries(given) as unknown as Given
}
