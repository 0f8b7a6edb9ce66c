import { createConnection } from 'node:net'
import { createMetrics } from '@understudy/host/metrics'
import { afterEach, expect, test } from 'vitest'
import { author, connect, startRelay, testTime } from './fixture.ts'

const alice = await author(1)
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(options: Parameters<typeof startRelay>[0] = {}) {
  const metrics = createMetrics('test')
  const log: unknown[] = []
  const started = await startRelay({
    metrics,
    log: { error() {}, debug: (fields: unknown) => log.push(fields) } as never,
    ...options,
  })
  cleanups.push(started.stop)
  const refused = async (name = 'refusals'): Promise<Record<string, number>> =>
    Object.fromEntries(
      [
        ...(await metrics.text()).matchAll(
          new RegExp(`^understudy_relay_${name}_total\\{reason="(.*)",program="test"\\} (\\d+)$`, 'gm'),
        ),
      ].map(([, reason, count]) => [reason, Number(count)]),
    )
  const open = async () => {
    const client = await connect(started.url)
    cleanups.push(client.close)
    return client
  }
  return { ...started, log, refused, open }
}

test('every refusal is counted and logged by its reason', async () => {
  const { refused, open, url, relay, log } = await start({
    limits: { eventBurst: 60, eventsPerSecond: 0, requestBurst: 7, requestsPerSecond: 0, connections: 1 },
  })
  const client = await open()
  const event = alice.sign({})
  const expired = alice.sign({ tags: [['expiration', String(testTime - 1)]] })
  client.send('EVENT', { ...event, sig: '0'.repeat(128) })
  client.send('EVENT', alice.sign({ kind: 1 }))
  client.send('EVENT', alice.sign({ created_at: testTime + 10_000 }))
  client.send('EVENT', expired)
  client.send('EVENT', alice.sign({ tags: [['-']] }))
  await client.next('AUTH')
  client.send('AUTH', alice.sign({ kind: 22_242 }))
  client.send('EVENT', { id: 1 })
  client.say('rubbish')
  client.send('REQ', 'q', { kinds: ['x'] })
  client.send('NEG-OPEN', 'n', {}, '6100000200')
  client.send('REQ', 'live', { limit: 0 })
  await client.next('EOSE')
  client.send('NEG-OPEN', 'n', {}, '6100000200')
  for (let i = 0; i < 60; i++) client.send('EVENT', event)
  await client.until(() =>
    client.frames.find(([, , , message]) => message === 'rate-limited: too many events'),
  )
  await expect(connect(url)).rejects.toThrow('503')
  await expect(connect(`${url}elsewhere`)).rejects.toThrow('404')
  await relay.publish(expired)

  const counts = await refused()
  expect(counts).toMatchObject({
    'invalid: bad id or signature': 1,
    'blocked: kind N is none that this relay keeps': 1,
    'invalid: created_at is more than N min in the future': 1,
    'invalid: expired': 2,
    'auth-required: a protected event is taken from its author alone': 1,
    'invalid: not JSON': 1,
    'invalid: kinds: holds a value that cannot be one': 1,
    'blocked: this relay reconciles nothing': 1,
    'blocked: too many questions': 1,
    'rate-limited: too many events': expect.any(Number),
    'upgrade: too many connections': 1,
    'upgrade: no such path': 1,
  })
  for (const reason of Object.keys(counts).filter((key) => !key.includes('N')))
    expect(log).toContainEqual({ reason })
})

test('whatever peers make us quote, the metrics tell a bounded number of reasons apart', async () => {
  const { refused, open } = await start({ limits: { requestBurst: 1e9 } })
  const client = await open()
  const letters = (n: number) =>
    [...n.toString(26)].map((c) => 'abcdefghijklmnopqrstuvwxyz'[Number.parseInt(c, 26)])
  for (let i = 0; i < 500; i++) client.send('REQ', 'q', { [`x${letters(i).join('')}`]: [] })
  client.send('REQ', 'last', { limit: 0 })
  await client.next('EOSE')
  const counts = await refused()
  expect(Object.keys(counts).length).toBeLessThanOrEqual(201)
  expect(Object.values(counts).reduce((a, b) => a + b, 0)).toBe(500)
})

test('a connection that is given up is counted by its reason', async () => {
  const { refused, open } = await start({ limits: { strikes: 1 } })
  const client = await open()
  for (let i = 0; i < 3; i++) client.say('rubbish')
  await client.closed()
  expect(await refused('dropped')).toMatchObject({ 'too many bad messages': expect.any(Number) })
})

test('deflate keeps no context on either side, and what is small is sent as it is', async () => {
  const { store, port } = await start()
  const [small, large] = [
    alice.sign({ content: 'x' }),
    alice.sign({ content: 'x'.repeat(20_000), tags: [['d', 'l']] }),
  ]
  store.insert([small, large].map((event) => ({ event, json: JSON.stringify(event) })))
  const socket = createConnection(port, '127.0.0.1')
  cleanups.push(() => socket.destroy())
  let heard = Buffer.alloc(0)
  const enough = (look: () => boolean) =>
    new Promise<void>((resolve) => {
      const listen = () => {
        if (!look()) return
        socket.off('data', listen)
        resolve()
      }
      socket.on('data', listen)
    })
  socket.on('data', (data) => {
    heard = Buffer.concat([heard, data])
  })
  socket.write(
    `GET / HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n`,
  )
  await enough(() => heard.includes('\r\n\r\n'))
  const [, extensions] = /sec-websocket-extensions: (.*)\r\n/i.exec(heard.toString('latin1')) ?? []
  expect(extensions).toContain('server_no_context_takeover')
  expect(extensions).toContain('client_no_context_takeover')

  /** The first byte and the length of the one frame that answers; the compressed bit is 0x40. */
  async function answered(filter: object): Promise<{ first: number; length: number }> {
    heard = Buffer.alloc(0)
    const text = Buffer.from(JSON.stringify(['REQ', 'q', filter]))
    expect(text.length).toBeLessThan(126)
    socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]))
    await enough(() => heard.includes('["EOSE","q"]'))
    const [first = 0, short = 0] = heard
    return { first, length: short === 126 ? heard.readUInt16BE(2) : short }
  }
  const asIs = await answered({ kinds: [4617], limit: 1, '#d': [] })
  expect(asIs.first).toBe(0x81)
  const whole = await answered({ ids: [small.id] })
  expect(whole).toEqual({ first: 0x81, length: expect.any(Number) })
  expect(whole.length).toBeGreaterThan(300)
  const deflated = await answered({ '#d': ['l'] })
  expect(deflated.first).toBe(0xc1)
  expect(deflated.length).toBeLessThan(2_000)
})
