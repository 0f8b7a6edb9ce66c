import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import type { Metrics } from '@understudy/host/metrics'
import type { Hono } from 'hono'
import { releaseOf, unpin } from './pin.ts'
import { informationType } from './relay/information.ts'
import { failed, type Serve, say } from './serve.ts'
import type { Site } from './site.ts'

export interface ListenerParts {
  readonly site: Site
  readonly serve: Serve
  /** Answers what is no file of the release. */
  readonly own: Hono<{ Bindings: HttpBindings }>
  readonly metrics: Pick<Metrics, 'counter'>
  onError(error: Error): void
}

/**
 * What the node's HTTP server does with each request. A release's file is answered here and now: most requests want nothing else.
 * A file hides an operator's path of the same name, but never `/.well-known/understudy*`.
 */
export function createListener(parts: ListenerParts): RequestListener {
  const { site, serve } = parts
  const own = getRequestListener((request, env) => parts.own.fetch(request, env as HttpBindings))
  const counter = parts.metrics.counter('http_responses_total', 'HTTP answers', ['status'])
  const counters = new Map<number, { inc(): void }>()

  /** Answers with a file of the release that is asked for; false where there is none. */
  function answeredWithFile(request: IncomingMessage, response: ServerResponse): boolean {
    if (isOwn(request)) return false
    const release = releaseOf(request, site)
    if (release === 'gone') gone(response)
    return release === 'gone' || (release !== undefined && serve(request, response, release))
  }

  function count(this: ServerResponse): void {
    let one = counters.get(this.statusCode)
    if (!one) {
      one = counter.labels({ status: String(this.statusCode) })
      counters.set(this.statusCode, one)
    }
    one.inc()
  }

  return (request, response) => {
    try {
      if (!answeredWithFile(request, response)) own(request, response).catch(fail)
    } catch (error) {
      fail(error as Error)
    }
    // Most answers are complete by now, and cost no listener.
    if (response.writableEnded) count.call(response)
    else response.on('finish', count)

    function fail(error: Error): void {
      parts.onError(error)
      if (response.headersSent) response.destroy()
      else failed(response)
    }
  }
}

/** Whether no file of a release can be the answer. */
function isOwn({ method, url = '', headers }: IncomingMessage): boolean {
  if (method !== 'GET' && method !== 'HEAD') return true
  if (url.startsWith('/.well-known/understudy')) return true
  return url === '/' && headers.accept?.includes(informationType) === true
}

const gone = (response: ServerResponse) =>
  say(response, 410, 'the release that this page came from is no longer kept; load the page again', [
    'set-cookie',
    unpin,
  ])

/** Answers that the release has no such file; that there is none yet when there is none. */
export function answerMissing(
  request: IncomingMessage,
  response: ServerResponse,
  site: Site,
  serve: Serve,
): void {
  const release = releaseOf(request, site)
  if (release === 'gone') gone(response)
  else if (release) serve.missing(request, response, release)
  else say(response, 503, 'no release is verified yet')
}
