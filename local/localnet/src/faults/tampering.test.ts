import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTamperingProxy, tamper } from './tampering.ts'

const page = '<html><body>genuine</body></html>'
let node: Server
let proxy: { port: number; close(): Promise<void> }

beforeAll(async () => {
  node = createServer((request, response) => {
    if (request.url === '/missing') return void response.writeHead(404).end('missing')
    response.setHeader('etag', '"genuine"')
    response.setHeader('x-host', request.headers.host ?? '')
    if (request.headers['if-none-match']) return void response.writeHead(304).end()
    if (request.method === 'POST') return void request.pipe(response)
    response.setHeader('content-type', 'text/html')
    response.end(page)
  })
  node.on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n')
    socket.pipe(socket)
  })
  node.listen(0, '127.0.0.1')
  await once(node, 'listening')
  proxy = await openTamperingProxy({
    address: '127.0.0.1',
    port: 0,
    target: { host: '127.0.0.1', port: (node.address() as AddressInfo).port },
    paths: ['/', '/index.html'],
  })
})

afterAll(async () => {
  await proxy.close()
  node.closeAllConnections()
  node.close()
})

const get = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${proxy.port}${path}`, init)

test.each(['/', '/index.html', '/index.html?again'])(
  'the entry page %s is altered, and its length with it',
  async (path) => {
    const response = await get(path)
    const body = await response.text()
    expect(response.status).toBe(200)
    expect(body).not.toBe(page)
    expect(body).toContain('genuine')
    expect(response.headers.get('content-length')).toBe(String(body.length))
    expect(response.headers.get('content-type')).toBe('text/html')
  },
)

test('every other file is passed on byte for byte', async () => {
  const response = await get('/style.css')
  expect(await response.text()).toBe(page)
  expect(response.headers.get('etag')).toBe('"genuine"')
})

test('the entry page is altered also for those who have it already', async () => {
  const response = await get('/', { headers: { 'if-none-match': '"genuine"' } })
  expect(response.status).toBe(200)
  expect(response.headers.get('etag')).toBeNull()
})

test('requests with a body and answers that are no page pass through', async () => {
  const challenge = await get('/.well-known/understudy/challenge', { method: 'POST', body: 'a challenge' })
  expect(await challenge.text()).toBe('a challenge')
  expect((await get('/missing')).status).toBe(404)
})

test('WebSockets pass through', async () => {
  const socket = connect(proxy.port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n')
  const [head] = (await once(socket, 'data')) as [Buffer]
  expect(head.toString()).toContain('101 Switching Protocols')
  socket.write('frame')
  const [frame] = (await once(socket, 'data')) as [Buffer]
  expect(frame.toString()).toBe('frame')
  socket.destroy()
})

test('a page without a body is altered as well', () => {
  expect(tamper(Buffer.from('plain')).toString()).toMatch(/^plain<script>/)
  expect(tamper(Buffer.from('')).length).toBeGreaterThan(0)
})
