import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { challengePath } from '@understudy/protocol/challenge'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly body: string
}

export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: Uint8Array
}

/** What a mirror does in the place of a node's server; undefined answers nothing but an error. */
export interface Lies {
  content(asked: Asked): Promise<Answer | undefined>
  challenge(asked: Asked): Promise<Answer | undefined>
}

export interface Thief {
  readonly port: number
  close(): void
}

const maxBodyBytes = 65_536

/** An HTTP server on this machine that answers visitors and challenges as it likes. */
export async function openThief(lies: Lies): Promise<Thief> {
  const server = createServer((request, response) => {
    const answered = async () => {
      const asked = { method: request.method ?? 'GET', path: request.url ?? '/', body: await bodyOf(request) }
      const answer = await (asked.path === challengePath ? lies.challenge(asked) : lies.content(asked))
      if (!answer) return void response.writeHead(502).end()
      response.writeHead(answer.status, { 'content-type': answer.type, 'access-control-allow-origin': '*' })
      response.end(answer.body)
    }
    answered().catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** The same request to another server. */
export async function ask(url: string, { method, path, body }: Asked): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    ...(body ? { body, headers: { 'content-type': 'application/json' } } : {}),
    redirect: 'manual',
    signal: AbortSignal.timeout(10_000),
  })
  const type = response.headers.get('content-type') ?? 'application/octet-stream'
  return { status: response.status, type, body: new Uint8Array(await response.arrayBuffer()) }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += (chunk as Buffer).length
    if (size > maxBodyBytes) throw new Error('too large a request')
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString()
}
