import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { createDrain } from './drain.ts'

const bytes = Buffer.alloc(64 * 1024 * 1024, 'more than the sockets between us can hold ')

test('an answer that has begun is sent whole; nobody new is let in; whoever reads nothing is cut off in the end', async () => {
  const server = createServer((_, response) => response.end(bytes)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const drain = createDrain(server)
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const ask = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      request(url, resolve).on('error', reject).end()
    })
  const [reader, idler] = await Promise.all([ask(), ask()])
  drain.begin()
  expect(drain.begun()).toBe(true)
  await expect(ask()).rejects.toThrow(/ECONNREFUSED/)
  let length = 0
  for await (const chunk of reader) length += (chunk as Buffer).length
  expect(length).toBe(bytes.length)
  const cut = once(idler, 'error')
  await drain.end(50)
  idler.resume()
  expect(String(await cut)).toMatch(/aborted/)
})
