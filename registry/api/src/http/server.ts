import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'
import type { Board } from '../badge/board.ts'

/**
 * The server. Badges are what strangers' pages load: one that was asked for before is answered from the board, ahead of the router.
 */
export function createHttpServer(app: Hono, board: Pick<Board, 'hot'>): Server {
  const listener = getRequestListener(app.fetch)
  return createServer({ requestTimeout: 30_000, headersTimeout: 15_000 }, (request, response) => {
    const badge = request.method === 'GET' ? board.hot(request.url ?? '') : undefined
    if (!badge) return void listener(request, response)
    if (request.headers['if-none-match'] === badge.etag) {
      const { 'content-length': _, 'content-type': __, ...headers } = badge.headers
      response.writeHead(304, headers)
      response.end()
      return
    }
    response.writeHead(200, badge.headers)
    response.end(badge.body)
  })
}

/** Listens and returns the base URL. */
export function listenOn(server: Server, port: number, host: string): Promise<string> {
  return new Promise((done, failed) => {
    server.once('error', failed)
    server.listen(port, host, () => {
      const address = server.address()
      if (!address || typeof address === 'string') return failed(new Error('not listening on TCP'))
      const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
      done(`http://${name}:${address.port}`)
    })
  })
}
