import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NostrEvent } from '@understudy/protocol/event'
import { afterEach, expect, test, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import { author, connect, startRelay, testTime } from './fixture.ts'
import { openStore } from './store.ts'
import { createDeclined } from './sync.ts'

vi.setConfig({ testTimeout: 120_000 })

const alice = await author(1)
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A relay whose store is a file, with these events in it. */
async function start(events: readonly NostrEvent[] = [], options: Parameters<typeof startRelay>[0] = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-sync-'))
  cleanups.push(() => rmSync(dir, { recursive: true }))
  const store = openStore(join(dir, 'relay.sqlite'))
  cleanups.push(() => store.close())
  store.insert(events.map((event) => ({ event, json: JSON.stringify(event) })))
  const started = await startRelay({ store, ...options })
  cleanups.push(started.stop)
  const ids = async () => (await started.relay.query([{}])).map((event) => event.id).sort()
  return { ...started, ids }
}
const filter = { kinds: [4617, 5, 5128, 14617] }
const sign = (n: number, from = 0) =>
  Array.from({ length: n }, (_, i) =>
    alice.sign({ content: String(from + i), created_at: testTime - ((from + i) >> 2) }),
  )
const all = sign(1_500)
const idsOf = (events: readonly NostrEvent[]) => events.map((event) => event.id).sort()

test('two relays with differences on both sides hold the same after one pass, and know it in one round then', async () => {
  const a = await start(all.slice(0, 1_400))
  const b = await start(all.slice(100))
  const declined = createDeclined()
  const first = await a.relay.syncWith(b.url, filter, { declined })
  expect(first).toMatchObject({ failure: undefined, received: 100, sent: 100 })
  expect(await a.ids()).toEqual(idsOf(all))
  expect(await b.ids()).toEqual(idsOf(all))
  const second = await a.relay.syncWith(b.url, filter, { declined })
  expect(second).toMatchObject({ failure: undefined, received: 0, sent: 0, rounds: 1 })
})

test('a relay that starts empty fetches everything, and what it may not take only once', async () => {
  const foreign = alice.sign({ kind: 5128, tags: [['-']] })
  const a = await start()
  const b = await start([...all, foreign])
  const declined = createDeclined()
  const result = await a.relay.syncWith(b.url, filter, { declined })
  expect(result).toMatchObject({ failure: undefined, received: all.length })
  expect(await a.ids()).toEqual(idsOf(all))
  expect(declined.has(foreign.id)).toBe(true)
  expect(await a.relay.syncWith(b.url, filter, { declined })).toMatchObject({
    failure: undefined,
    received: 0,
  })
})

test('deletions travel, and deleted events do not come back', async () => {
  const release = alice.sign({ kind: 5128 })
  const deletion = alice.sign({ kind: 5, tags: [['e', release.id]] })
  const [a, b] = [await start([release, deletion]), await start([release])]
  for (let i = 0; i < 2; i++)
    expect((await a.relay.syncWith(b.url, filter, { declined: createDeclined() })).failure).toBeUndefined()
  expect(await a.ids()).toEqual([deletion.id])
  expect(await b.ids()).toEqual([deletion.id])
})

test('a connection that breaks in the middle loses nothing, and the next pass goes on from there', async () => {
  const [a, b] = [await start(), await start(all)]
  const { url, cut } = await startProxy(b.url, 400)
  const broken = await a.relay.syncWith(url, filter, { declined: createDeclined() })
  expect(broken.failure).toMatch(/closed by the sibling/)
  cut(Number.POSITIVE_INFINITY)
  const rest = await a.relay.syncWith(url, filter, { declined: createDeclined() })
  expect(rest.failure).toBeUndefined()
  expect(await a.ids()).toEqual(idsOf(all))
  expect(rest.received).toBeLessThan(all.length)
})

test('a sibling that lies is left, and nothing of its lie is kept', async () => {
  const forged = { ...all[0]!, content: 'forged' }
  const a = await start()
  const b = await start(all)
  const { url } = await startProxy(b.url, Number.POSITIVE_INFINITY, (text) =>
    text.startsWith('["EVENT"') && text.includes(forged.id)
      ? JSON.stringify(['EVENT', JSON.parse(text)[1], forged])
      : text,
  )
  const result = await a.relay.syncWith(url, filter, { declined: createDeclined() })
  expect(result.failure).toBe('sent an event with a bad id or signature')
  expect(await a.ids()).not.toContain(forged.id)
})

test('a sibling that takes few events a second is given all of them, in its own time', async () => {
  const events = all.slice(0, 150)
  const a = await start(events)
  const b = await start([], {
    limits: { eventBurst: 60, eventsPerSecond: 100 },
    now: () => testTime * 1000 + performance.now(),
  })
  const declined = createDeclined()
  const result = await a.relay.syncWith(b.url, filter, { declined })
  expect(result).toMatchObject({ failure: undefined, sent: events.length })
  expect(events.filter((event) => declined.has(event.id))).toEqual([])
  expect(await b.ids()).toEqual(idsOf(events))
})

test('a sibling that says nothing is left after a while', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  cleanups.push(() => {
    for (const ws of server.clients) ws.terminate()
    server.close()
  })
  await new Promise((resolve) => server.once('listening', resolve))
  const a = await start()
  const url = `ws://127.0.0.1:${(server.address() as { port: number }).port}`
  const result = await a.relay.syncWith(url, filter, { declined: createDeclined(), silenceMs: 100 })
  expect(result.failure).toBe('silent for too long')
})

test('NEG-OPEN is bounded: sessions, filters, rubbish, silence', async () => {
  const { url, relay } = await start(sign(10), { limits: { sessionsPerConnection: 1, sessionMs: 200 } })
  expect(relay.information().supported_nips).toContain(77)
  const client = await connect(url)
  cleanups.push(client.close)
  const error = async () => (await client.next('NEG-ERR')).slice(1)
  client.send('NEG-OPEN', 'a', { kinds: ['x'] }, '61')
  expect(await error()).toEqual(['a', expect.stringMatching(/^invalid: kinds/)])
  client.send('NEG-OPEN', 'a', {}, '61000101')
  expect(await error()).toEqual(['a', expect.stringMatching(/^invalid: ends too early/)])
  client.send('NEG-MSG', 'a', '61')
  expect(await error()).toEqual(['a', 'closed: no such session'])
  client.send('NEG-OPEN', 'a', {}, '6100000200')
  expect((await client.next('NEG-MSG'))[1]).toBe('a')
  client.send('NEG-OPEN', 'b', {}, '6100000200')
  expect(await error()).toEqual(['b', 'blocked: too many sessions'])
  expect(await error()).toEqual(['a', 'closed: you were silent for too long'])
  client.send('NEG-OPEN', 'c', {}, 'no hex')
  expect((await client.next('NOTICE'))[1]).toContain('as hex')
  client.send('REQ', 'q', { limit: 1 })
  await client.next('EOSE')
})

/** Between two relays; breaks each connection after so many frames from the far side. */
async function startProxy(target: string, frames: number, change = (text: string) => text) {
  const { WebSocket } = await import('ws')
  let most = frames
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => server.once('listening', resolve))
  server.on('connection', (near) => {
    const far = new WebSocket(target)
    const early: string[] = []
    let passed = 0
    near.on('message', (data) =>
      far.readyState === far.OPEN ? far.send(String(data)) : early.push(String(data)),
    )
    far.on('open', () => {
      for (const text of early) far.send(text)
    })
    far.on('message', (data) => {
      if (++passed > most) near.terminate()
      else near.send(change(String(data)))
    })
    near.on('close', () => far.terminate())
    far.on('close', () => near.terminate())
    for (const ws of [near, far]) ws.on('error', () => {})
  })
  cleanups.push(() => {
    for (const ws of server.clients) ws.terminate()
    server.close()
  })
  const { port } = server.address() as { port: number }
  return { url: `ws://127.0.0.1:${port}/`, cut: (after: number) => (most = after) }
}
