import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'

export interface TamperingOptions {
  readonly address: string
  /** 0 for any. */
  readonly port: number
  readonly target: { readonly host: string; readonly port: number }
  /** Path of the entry page, and of whatever else shows it. */
  readonly paths: readonly string[]
}

/** What a thief would put into somebody else's page. */
const theft = '<script>/* sends what you type to somebody else */</script>'
const largestPage = 16 * 1024 * 1024
const timeoutMs = 30_000

/** The bytes of a page with a script slipped in before its body ends. Never the same as before. */
export function tamper(page: Buffer): Buffer {
  const at = page.lastIndexOf('</body>')
  if (at < 0) return Buffer.concat([page, Buffer.from(theft)])
  return Buffer.concat([page.subarray(0, at), Buffer.from(theft), page.subarray(at)])
}

/** A reverse proxy before a genuine node that lets everything through but the entry page, which it alters. */
export function openTamperingProxy(
  options: TamperingOptions,
): Promise<{ port: number; close(): Promise<void> }> {
  const { target } = options
  const sockets = new Set<Socket>()

  const server = createServer((incoming, outgoing) => {
    const altered =
      incoming.method === 'GET' && options.paths.includes((incoming.url ?? '').replace(/[?#].*$/, ''))
    const headers = { ...incoming.headers }
    if (altered) {
      for (const name of ['range', 'if-none-match', 'if-modified-since', 'accept-encoding'])
        delete headers[name]
    }
    const forwarded = request(
      { ...target, method: incoming.method, path: incoming.url, headers, timeout: timeoutMs },
      (answer) => (altered && answer.statusCode === 200 ? alter(answer, outgoing) : pass(answer, outgoing)),
    )
    forwarded.on('timeout', () => forwarded.destroy(new Error('timeout')))
    forwarded.on('error', () => {
      if (outgoing.headersSent) outgoing.destroy()
      else outgoing.writeHead(502).end()
    })
    incoming.pipe(forwarded)
  })

  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (incoming: IncomingMessage, socket: Socket, head: Buffer) => {
    const upstream = connect(target, () => {
      const lines = []
      for (let i = 0; i < incoming.rawHeaders.length; i += 2)
        lines.push(`${incoming.rawHeaders[i]}: ${incoming.rawHeaders[i + 1]}`)
      upstream.write(`${incoming.method} ${incoming.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
      upstream.write(head)
      socket.pipe(upstream).pipe(socket)
    })
    for (const [end, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      end.on('error', () => other.destroy())
      end.on('close', () => other.destroy())
    }
  })

  return new Promise((settle, fail) => {
    server.once('error', fail)
    server.listen(options.port, options.address, () => {
      settle({
        port: (server.address() as { port: number }).port,
        close: () => {
          for (const socket of sockets) socket.destroy()
          return new Promise((done) => server.close(() => done()))
        },
      })
    })
  })
}

function pass(answer: IncomingMessage, outgoing: ServerResponse): void {
  outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
  answer.pipe(outgoing)
}

function alter(answer: IncomingMessage, outgoing: ServerResponse): void {
  const chunks: Buffer[] = []
  let size = 0
  answer.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    size += chunk.length
    if (size > largestPage) answer.destroy(new Error('too large'))
  })
  answer.on('error', () => outgoing.destroy())
  answer.on('end', () => {
    const body = tamper(Buffer.concat(chunks))
    const headers = { ...answer.headers, 'content-length': String(body.length) }
    // It would give the change away to nobody who does not look for it, but it no longer is the file's.
    delete headers.etag
    delete headers['content-encoding']
    delete headers['transfer-encoding']
    outgoing.writeHead(200, headers).end(body)
  })
}
