import { Hono } from 'hono'

/** What the attester shows of itself. */
export function statusApp(status: {
  ready(): { readonly ok: boolean; readonly why: Readonly<Record<string, unknown>> }
  readonly metrics: { readonly contentType: string; text(): Promise<string> }
  /** What a report of ours counts, by the sha256 that the report names. */
  evidence(hash: string): Promise<string | undefined>
}): Hono {
  const app = new Hono()
  app.get('/healthz', (c) => c.text('ok'))
  app.get('/readyz', (c) => {
    const { ok, why } = status.ready()
    return c.json(why, ok ? 200 : 503)
  })
  app.get('/evidence/:hash{[0-9a-f]{64}}', async (c) => {
    const text = await status.evidence(c.req.param('hash'))
    c.header('access-control-allow-origin', '*')
    if (text === undefined) return c.json({ error: { code: 'unknown', message: 'no such evidence' } }, 404)
    // What a hash names never changes.
    c.header('cache-control', 'public, max-age=31536000, immutable')
    return c.body(text, 200, { 'content-type': 'application/json' })
  })
  app.get('/metrics', async (c) =>
    c.body(await status.metrics.text(), 200, { 'content-type': status.metrics.contentType }),
  )
  return app
}
