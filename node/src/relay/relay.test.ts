import { createConnection } from 'node:net'
import type { NostrEvent } from '@understudy/protocol/event'
import { loadVerify } from '@understudy/relays/verify'
import { SimplePool, useWebSocketImplementation as usePoolSocket } from 'nostr-tools/pool'
import { finalizeEvent, verifyEvent } from 'nostr-tools/pure'
import { Relay, useWebSocketImplementation as useRelaySocket } from 'nostr-tools/relay'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { author, connect, startRelay, testTime } from './fixture.ts'

usePoolSocket(WebSocket)
useRelaySocket(WebSocket)

const alice = await author(1)
const bob = await author(2)
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(...[options]: Parameters<typeof startRelay>) {
  const started = await startRelay(options)
  cleanups.push(started.stop)
  return started
}

async function open(url: string) {
  const client = await connect(url)
  cleanups.push(client.close)
  return client
}

describe('with nostr-tools as the client', () => {
  test('Relay publishes, is answered and hears live and ephemeral events', async () => {
    const { url } = await start()
    const relay = await Relay.connect(url)
    cleanups.push(() => relay.close())
    const heard: string[] = []
    const stored = alice.sign({ tags: [['d', 'x']] })
    await relay.publish(stored)
    const listen = (oneose: () => void, onThird: () => void) =>
      relay.subscribe([{ kinds: [4617, 24617], '#d': ['x'] }], {
        onevent: (event) => void (heard.push(event.id) === 3 && onThird()),
        oneose,
      })
    let third = () => {}
    const all = new Promise<void>((resolve) => {
      third = resolve
    })
    await new Promise<void>((resolve) => listen(resolve, third))
    expect(heard).toEqual([stored.id])
    const live = alice.sign({ tags: [['d', 'x']], content: 'live' })
    const ephemeral = alice.sign({ kind: 24617, tags: [['d', 'x']] })
    await relay.publish(live)
    await relay.publish(ephemeral)
    await all
    expect(heard).toEqual([stored.id, live.id, ephemeral.id])
  })

  test('SimplePool queries, and a refused publication is rejected with our reason', async () => {
    const { url } = await start()
    const pool = new SimplePool()
    cleanups.push(() => pool.close([url]))
    const event = alice.sign({ kind: 35128, tags: [['d', 'site']] })
    await Promise.all(pool.publish([url], event))
    expect(await pool.querySync([url], { kinds: [35128], '#d': ['site'] })).toMatchObject([{ id: event.id }])
    const refused = pool.publish([url], alice.sign({ kind: 1 }))
    await expect(Promise.all(refused)).rejects.toThrow('blocked: kind 1 is none that this relay keeps')
  })
})

describe('bad input has a clear reason, and nothing is stored', () => {
  const good = alice.sign({ content: 'good' })
  const cases: [string, unknown, string][] = [
    ['a changed content', { ...good, content: 'other' }, 'invalid: bad id or signature'],
    ['no signature', { ...good, sig: undefined }, 'invalid: sig: expected 64 bytes as lower-case hex'],
    ['a signature of zeros', { ...good, sig: '0'.repeat(128) }, 'invalid: bad id or signature'],
    ["another's key", { ...good, pubkey: bob.pubkey }, 'invalid: bad id or signature'],
    ['a kind outside the scope', alice.sign({ kind: 1 }), 'blocked: kind 1 is none that this relay keeps'],
    ['a kind that cannot be', { ...good, kind: 70_000 }, 'invalid: kind: expected 0 to 65535'],
    ['tags that are no lists', { ...good, tags: ['d'] }, 'invalid: tags: expected lists of at most 64'],
    ['numbers in tags', { ...good, tags: [['d', 1]] }, 'invalid: tags: expected strings'],
    [
      'a date in the future',
      alice.sign({ created_at: testTime + 15 * 60 + 1 }),
      'invalid: created_at is more than 15 min in the future',
    ],
    ['an expiry in the past', alice.sign({ tags: [['expiration', String(testTime)]] }), 'invalid: expired'],
    [
      'a content of 70 kB',
      alice.sign({ content: 'x'.repeat(70_000) }),
      'invalid: content: not a string, or too long',
    ],
    [
      'more bytes than characters',
      alice.sign({ content: '\u20ac'.repeat(30_000) }),
      'invalid: larger than 65536 bytes',
    ],
    [
      '300 indexed tags',
      alice.sign({ tags: Array.from({ length: 300 }, (_, i) => ['e', String(i)]) }),
      'invalid: more than 256 one-letter tags',
    ],
    [
      'a long indexed tag',
      alice.sign({ tags: [['d', 'x'.repeat(2_000)]] }),
      'invalid: a one-letter tag above 1024 characters',
    ],
  ]
  test.each(cases)('%s', async (_, event, reason) => {
    const { url, store } = await start()
    const client = await open(url)
    client.send('EVENT', event)
    expect(await client.next('OK')).toEqual(['OK', (event as NostrEvent).id, false, reason])
    expect(store.count()).toBe(0)
    client.send('EVENT', good)
    expect(await client.next('OK')).toEqual(['OK', good.id, true, ''])
  })

  test.each([
    ['no JSON', '{', 'not JSON'],
    ['no list', '{}', 'expected a list'],
    ['an unknown verb', '["HELLO"]', 'expected EVENT, REQ, CLOSE, AUTH or NEG-…'],
    ['an event without an id', '["EVENT",{}]', 'id: expected 32 bytes as lower-case hex'],
    ['an event that is null', '["EVENT",null]', 'not an event'],
    ['100,000 nested lists', `${'['.repeat(100_000)}`, 'not JSON'],
    [
      '50,000 nested lists that end',
      `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
      'expected EVENT, REQ, CLOSE, AUTH or NEG-…',
    ],
    ['a deep event', `["EVENT",${'['.repeat(50_000)}${']'.repeat(50_000)}]`, 'id: expected 32 bytes'],
    ['a REQ without an id', '["REQ"]', 'expected a subscription id'],
    ['a REQ with a long id', `["REQ","${'x'.repeat(65)}",{}]`, 'expected a subscription id'],
    ['200 kB', `["EVENT","${'x'.repeat(200_000)}"]`, 'a message larger than 131072 bytes'],
  ])('%s: a NOTICE, and the connection goes on', async (_, text, reason) => {
    const { url, store } = await start()
    const client = await open(url)
    client.say(text)
    expect((await client.next('NOTICE'))[1]).toContain(reason)
    expect(store.count()).toBe(0)
    client.send('EVENT', good)
    expect(await client.next('OK')).toEqual(['OK', good.id, true, ''])
  })

  test.each([
    ['no filter', [], 'expected 1 to 16 filters'],
    ['17 filters', Array(17).fill({}), 'expected 1 to 16 filters'],
    ['a filter that is a list', [[]], 'a filter is an object'],
    ['1,001 ids', [{ ids: Array(1_001).fill(good.id) }], 'ids: expected a list of at most 1000'],
    ['an id prefix', [{ ids: ['abcd'] }], 'ids: holds a value that cannot be one'],
    ['a search', [{ search: 'x' }], 'search: unsupported in a filter'],
    ['a tag name of two letters', [{ '#dd': ['x'] }], '#dd: unsupported in a filter'],
    ['a negative limit', [{ limit: -1 }], 'limit: expected a whole number'],
    ['text as a kind', [{ kinds: ['4617'] }], 'kinds: holds a value that cannot be one'],
    ['SQL as a tag', [{ "#d'": ["') OR 1=1 --"] }], 'unsupported in a filter'],
  ])('a REQ with %s is CLOSED', async (_, filters, reason) => {
    const { url } = await start()
    const client = await open(url)
    client.send('REQ', 'q', ...filters)
    const [, id, message] = await client.next('CLOSED')
    expect(id).toBe('q')
    expect(message).toContain(reason)
  })

  test('a connection that sends nothing but rubbish is closed', async () => {
    const { url } = await start({ limits: { strikes: 3 } })
    const client = await open(url)
    for (let i = 0; i < 5; i++) client.say('rubbish')
    expect(await client.closed()).toEqual({ code: 1008 })
  })

  test('a frame of a megabyte closes its connection, and only that', async () => {
    const { url } = await start()
    const [bad, other] = [await open(url), await open(url)]
    bad.say(`["EVENT","${'x'.repeat(1_000_000)}"]`)
    expect(await bad.closed()).toEqual({ code: 1009 })
    other.send('EVENT', good)
    expect(await other.next('OK')).toEqual(['OK', good.id, true, ''])
  })

  test('an event that comes again is acknowledged as a duplicate and kept once', async () => {
    const { url, store } = await start()
    const client = await open(url)
    for (let i = 0; i < 2; i++) client.send('EVENT', good)
    expect(await client.next('OK')).toEqual(['OK', good.id, true, ''])
    expect(await client.next('OK')).toEqual(['OK', good.id, true, 'duplicate: already have this event'])
    expect(store.count()).toBe(1)
  })

  test('copies with a bad signature, before and after, never stand in the genuine event’s way', async () => {
    const { url, relay } = await start()
    const client = await open(url)
    const bad = { ...good, sig: alice.sign({ content: 'something else' }).sig }
    const changed = { ...good, content: 'something else' }
    const answers = []
    for (const event of [bad, changed, good, changed]) {
      client.send('EVENT', event)
      answers.push((await client.next('OK')).slice(2))
    }
    expect(answers).toEqual([
      [false, 'invalid: bad id or signature'],
      [false, 'invalid: bad id or signature'],
      [true, ''],
      [false, 'invalid: bad id or signature'],
    ])
    expect(await relay.query([{ ids: [good.id] }])).toEqual([good])
  })

  test('a store that cannot write refuses with a reason, and the relay lives', async () => {
    const started = await start()
    const client = await open(started.url)
    const insert = started.store.insert
    started.store.insert = () => {
      throw new Error('disk full')
    }
    client.send('EVENT', good)
    expect(await client.next('OK')).toEqual(['OK', good.id, false, 'error: the event could not be stored'])
    started.store.insert = insert
    client.send('EVENT', good)
    expect(await client.next('OK')).toEqual(['OK', good.id, true, ''])
  })
})

describe('subscriptions', () => {
  test('an event acknowledged around the moment of a question is delivered exactly once', async () => {
    const { url } = await start()
    const [writer, reader] = [await open(url), await open(url)]
    const events = Array.from({ length: 200 }, (_, i) => alice.sign({ content: String(i) }))
    events.forEach((event, i) => {
      writer.send('EVENT', event)
      if (i % 20 === 10) reader.send('REQ', `q${i}`, { kinds: [4617] })
    })
    await writer.until(() => writer.frames.filter(([type]) => type === 'OK').length === 200)
    const ids = new Set(events.map((event) => event.id))
    for (let i = 10; i < 200; i += 20) {
      const heard = () => reader.frames.filter(([type, id]) => type === 'EVENT' && id === `q${i}`)
      await reader.until(() => heard().length >= 200)
      expect(new Set(heard().map((frame) => (frame[2] as NostrEvent).id))).toEqual(ids)
      expect(heard()).toHaveLength(200)
    }
  })

  test('CLOSE ends one, and a REQ of the same id replaces one', async () => {
    const { url } = await start()
    const client = await open(url)
    client.send('REQ', 'a', { kinds: [4617] })
    client.send('REQ', 'b', { kinds: [4617] })
    client.send('REQ', 'b', { kinds: [4616] })
    client.send('CLOSE', 'a')
    client.send('EVENT', alice.sign({}))
    const wanted = alice.sign({ kind: 4616 })
    client.send('EVENT', wanted)
    await client.until(() => client.frames.filter(([type]) => type === 'OK').length === 2)
    expect(await client.next('EVENT')).toEqual(['EVENT', 'b', wanted])
    expect(client.frames.filter(([type]) => type === 'EVENT')).toEqual([])
  })

  test('limit 0 asks for live events only', async () => {
    const { url } = await start()
    const client = await open(url)
    client.send('EVENT', alice.sign({ content: 'before' }))
    await client.next('OK')
    client.send('REQ', 'q', { limit: 0 })
    await client.next('EOSE')
    const after = alice.sign({ content: 'after' })
    client.send('EVENT', after)
    expect(await client.next('EVENT')).toEqual(['EVENT', 'q', after])
  })

  test('ephemeral events reach those who listen and are not kept', async () => {
    const { url, store, relay } = await start()
    const client = await open(url)
    const inside: string[] = []
    const listening = relay.subscribe([{ kinds: [24617] }], (event) => inside.push(event.id))
    client.send('REQ', 'q', { kinds: [24617, 24618] })
    await client.next('EOSE')
    const [challenge, reply] = [alice.sign({ kind: 24617 }), alice.sign({ kind: 24618 })]
    client.send('EVENT', challenge)
    expect(await client.next('EVENT')).toEqual(['EVENT', 'q', challenge])
    expect(await relay.publish(reply)).toEqual({ id: reply.id, ok: true, message: '' })
    expect(await client.next('EVENT')).toEqual(['EVENT', 'q', reply])
    expect(inside).toEqual([challenge.id])
    listening.close()
    expect(store.count()).toBe(0)
  })

  test('a connection has its number of subscriptions, events and questions, and no more', async () => {
    const { url } = await start({
      limits: {
        subscriptionsPerConnection: 2,
        eventBurst: 2,
        eventsPerSecond: 0,
        requestBurst: 4,
        requestsPerSecond: 0,
      },
    })
    const client = await open(url)
    for (const id of ['a', 'b', 'c']) client.send('REQ', id, {})
    expect(await client.next('CLOSED')).toEqual(['CLOSED', 'c', 'rate-limited: too many subscriptions'])
    for (let i = 0; i < 3; i++) client.send('EVENT', alice.sign({ content: String(i) }))
    await client.until(() =>
      client.frames.find((f) => f[0] === 'OK' && f[2] === false && f[3] === 'rate-limited: too many events'),
    )
    client.send('CLOSE', 'a')
    for (const id of ['d', 'e']) client.send('REQ', id, {})
    expect(await client.next('CLOSED')).toEqual(['CLOSED', 'e', 'rate-limited: too many questions'])
    const another = await open(url)
    another.send('EVENT', alice.sign({ content: 'from elsewhere' }))
    expect((await another.next('OK'))[2]).toBe(true)
  })

  test('bad signatures use up a connection’s rate much faster than good ones', async () => {
    const { url } = await start({ limits: { eventBurst: 50, eventsPerSecond: 0, invalidCost: 20 } })
    const client = await open(url)
    const bad = { ...alice.sign({}), sig: '0'.repeat(128) }
    for (let i = 0; i < 2; i++) {
      client.send('EVENT', bad)
      expect((await client.next('OK'))[3]).toBe('invalid: bad id or signature')
    }
    for (let i = 0; i < 9; i++) client.send('EVENT', alice.sign({ content: String(i) }))
    await client.until(() => client.frames.filter((f) => f[0] === 'OK').length === 9)
    expect(client.frames.filter((f) => f[2] === true)).toHaveLength(8)
  })

  test('a reader that does not read is dropped, and holds nobody up', async () => {
    let dropped: unknown
    const log = { error() {}, debug: (fields: unknown) => (dropped = fields) }
    const { url, port } = await start({ limits: { buffered: 256 * 1024 }, log: log as never })
    // A WebSocket handshake and one REQ by hand; then it never reads again.
    const slow = createConnection(port, '127.0.0.1')
    cleanups.push(() => slow.destroy())
    const upgraded = new Promise((resolve) => slow.once('data', resolve))
    slow.write(
      'GET / HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    )
    await upgraded
    slow.pause()
    const req = Buffer.from('["REQ","slow",{}]')
    slow.write(Buffer.concat([Buffer.from([0x81, 0x80 | req.length, 0, 0, 0, 0]), req]))
    slow.on('error', () => {})

    const [writer, reader] = [await open(url), await open(url)]
    reader.send('REQ', 'q', {})
    const content = 'x'.repeat(60_000)
    let sent = 0
    // The kernel swallows some megabytes first.
    while (!dropped && sent < 1_000) {
      writer.send('EVENT', alice.sign({ content: `${sent++}${content}` }))
      await writer.next('OK')
    }
    expect(dropped).toEqual({ reason: 'does not read' })
    await reader.until(() => reader.frames.filter(([type]) => type === 'EVENT').length === sent)
  })

  test('a peer that answers no ping is dropped', async () => {
    const { url } = await start({ limits: { pingMs: 50 } })
    const client = await open(url)
    client.ws.pong = () => {}
    ;(client.ws as unknown as { _autoPong: boolean })._autoPong = false
    expect(await client.closed()).toEqual({ code: 1006 })
  })

  test('above its number of connections it answers 503', async () => {
    const { url } = await start({ limits: { connections: 1 } })
    await open(url)
    await expect(connect(url)).rejects.toThrow('503')
  })

  test('only its own path is taken over', async () => {
    const { url } = await start()
    await expect(connect(`${url}elsewhere`)).rejects.toThrow('404')
  })
})

test('closing acknowledges what was received, and says goodbye', async () => {
  const { url, store, stop } = await startRelay()
  const client = await open(url)
  const events = Array.from({ length: 20 }, (_, i) => alice.sign({ content: String(i) }))
  for (const event of events) client.send('EVENT', event)
  await client.next('OK')
  await stop()
  expect((await client.closed()).code).toBe(1001)
  const acknowledged = client.frames.filter((frame) => frame[0] === 'OK' && frame[2]).length + 1
  expect(store.count()).toBe(acknowledged)
})

test('signatures may be checked elsewhere: a later answer is as good', async () => {
  const verify = await loadVerify()
  const { url, relay } = await start({
    verify: (event) => new Promise((resolve) => setImmediate(() => resolve(verify(event)))),
  })
  const client = await open(url)
  const [good, bad] = [
    alice.sign({ content: 'good' }),
    { ...alice.sign({ content: 'bad' }), content: 'worse' },
  ]
  for (const event of [bad, good]) client.send('EVENT', event)
  expect((await client.next('OK')).slice(1, 3)).toEqual([bad.id, false])
  expect((await client.next('OK')).slice(1, 3)).toEqual([good.id, true])
  expect(await relay.query([{}])).toEqual([good])
})

test('the information document names the limits', async () => {
  const { relay } = await start({ about: { name: 'Test' } })
  expect(relay.information()).toMatchObject({
    name: 'Test',
    supported_nips: [1, 9, 11, 40, 42, 70],
    limitation: {
      max_limit: 5_000,
      auth_required: false,
      created_at_upper_limit: 900,
      restricted_writes: true,
    },
  })
})

test('what is answered is signed as it came', async () => {
  const { url } = await start()
  const client = await open(url)
  const event = finalizeEvent(
    { kind: 4617, created_at: testTime, tags: [['d', 'ü\u2028"\\', '']], content: '\u0000\ud83d\ude00\n' },
    new Uint8Array(32).fill(7),
  )
  client.send('EVENT', event)
  expect((await client.next('OK'))[2]).toBe(true)
  client.send('REQ', 'q', { '#d': ['ü\u2028"\\'] })
  const [, , answered] = await client.next('EVENT')
  expect(verifyEvent(answered as NostrEvent)).toBe(true)
})
