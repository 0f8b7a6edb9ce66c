import { Hono } from 'hono'

/** What the attester shows of itself. */
export function statusApp(status: {
  ready(): { readonly ok: boolean; readonly why: Readonly<Record<string, unknown>> }
  readonly metrics: { readonly contentType: string; text(): Promise<string> }
}): Hono {
  const app = new Hono()
  app.get('/healthz', (c) => c.text('ok'))
  app.get('/readyz', (c) => {
    const { ok, why } = status.ready()
    return c.json(why, ok ? 200 : 503)
  })
  app.get('/metrics', async (c) =>
    c.body(await status.metrics.text(), 200, { 'content-type': status.metrics.contentType }),
  )
  return app
}
