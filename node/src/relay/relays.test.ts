import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NostrEvent, Verify } from '@understudy/protocol/event'
import { createComparisons } from '@understudy/relays/comparison'
import { openRelays } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { author, startRelay, testTime } from './fixture.ts'
import { openStore } from './store.ts'

// Many relays as one (packages/relays), against relays that are real: ours.

const alice = await author(1)
let verify: Verify
beforeAll(async () => {
  verify = await loadVerify()
})
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(...[options]: Parameters<typeof startRelay>) {
  const started = await startRelay(options)
  cleanups.push(started.stop)
  return started
}

/** A TCP server that accepts and never says anything. */
async function startFrozen(): Promise<string> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `ws://127.0.0.1:${(server.address() as { port: number }).port}/`
}

/** The relays live at `testTime`, and so do we. */
const quick = { backoffMs: 20, maxBackoffMs: 100, now: () => testTime * 1000 }

function openMany(urls: readonly string[], options: Partial<Parameters<typeof openRelays>[1]> = {}) {
  const relays = openRelays(urls, { verify, ...quick, ...options })
  cleanups.push(() => relays.close())
  return relays
}

const until = (condition: () => void, timeout = 60_000) => vi.waitFor(condition, { timeout, interval: 10 })
const sign = (n: number, from = 0) =>
  Array.from({ length: n }, (_, i) => alice.sign({ tags: [['d', 'x']], content: String(from + i) }))

test('one relay refuses, one is frozen: events are published, heard once and found, without delay', async () => {
  const good = await start()
  const refusing = await start({ admit: () => ({ ok: false, reason: 'not today' }) })
  const frozen = await startFrozen()
  const relays = openMany([good.url, refusing.url, frozen])
  const heard: NostrEvent[] = []
  relays.subscribe([{ kinds: [4617] }], { onEvent: (event) => heard.push(event) })

  const startedAt = Date.now()
  const events = sign(50)
  const results = await Promise.all(events.map((event) => relays.publish(event)))
  for (const result of results) expect(result).toMatchObject({ ok: true, accepted: [good.url] })
  await until(() => expect(heard.map((e) => e.id).sort()).toEqual(events.map((e) => e.id).sort()))
  expect(Date.now() - startedAt).toBeLessThan(5_000)

  // A frozen relay that was never up is waited for a little, for it may have more.
  const queriedAt = Date.now()
  expect(await relays.query([{ '#d': ['x'] }])).toHaveLength(50)
  expect(Date.now() - queriedAt).toBeLessThan(3_000)

  const both = await relays.publish(sign(1, 99)[0]!, { quorum: 2, timeoutMs: 500 })
  expect(both).toEqual({
    ok: false,
    accepted: [good.url],
    refused: expect.arrayContaining([
      { url: refusing.url, reason: 'blocked: not today' },
      { url: frozen, reason: 'not connected' },
    ]),
  })
})

test('a quorum of two relays is reported with both names', async () => {
  const [a, b] = [await start(), await start()]
  const relays = openMany([a.url, b.url])
  const result = await relays.publish(sign(1)[0]!, { quorum: 2 })
  expect(result.ok).toBe(true)
  expect([...result.accepted].sort()).toEqual([a.url, b.url].sort())
  expect(a.store.count() + b.store.count()).toBe(2)
})

test('a relay that is down at first, and restarts in full flow: none of 2,000 events is lost', {
  timeout: 120_000,
}, async () => {
  // All of one second, as an attester signs them: no page boundary can divide them.
  const events = sign(2_000)
  const store = openStore(':memory:')
  const first = await startRelay({ store })
  const { port, url } = first
  let relay = first
  cleanups.push(() => relay.stop())
  await first.stop()

  const refusing = await start({ admit: () => ({ ok: false, reason: 'not today' }) })
  const urls = [url, refusing.url, await startFrozen()]
  const [reader, writer] = [openMany(urls), openMany(urls)]
  const heard = new Map<string, number>()
  reader.subscribe([{ kinds: [4617], '#d': ['x'] }], {
    onEvent: ({ id }) => heard.set(id, (heard.get(id) ?? 0) + 1),
  })
  await until(() =>
    expect(reader.status()[0]).toMatchObject({ state: 'waiting', lastError: expect.any(String) }),
  )

  const publishing = (async () => {
    for (let i = 0; i < events.length; i += 100) {
      const results = await Promise.all(
        events.slice(i, i + 100).map((event) => writer.publish(event, { timeoutMs: 90_000 })),
      )
      expect(results.filter((result) => !result.ok)).toEqual([])
    }
  })()
  for (const share of [400, 900, 1_400, 2_000]) {
    relay = await startRelay({ store, port })
    await until(() => expect(store.count()).toBeGreaterThanOrEqual(share))
    if (share < 2_000) await relay.stop()
  }
  await publishing
  await until(() => expect(heard.size).toBe(2_000))
  expect([...heard.values()].every((times) => times === 1)).toBe(true)
  expect(reader.status()[0]).toMatchObject({ state: 'open', url })
})

test('events older than the newest one seen, published while we were away, are heard after the reconnect', async () => {
  const store = openStore(':memory:')
  let relay = await startRelay({ store })
  cleanups.push(() => relay.stop())
  const relays = openMany([relay.url])
  const heard: string[] = []
  relays.subscribe([{ kinds: [4617] }], { onEvent: ({ content }) => heard.push(content) })
  await relays.publish(alice.sign({ content: 'newest' }))
  await until(() => expect(heard).toEqual(['newest']))
  const { port } = relay
  await relay.stop()
  const event = alice.sign({ content: 'signed earlier', created_at: testTime - 1_800 })
  store.insert([{ event, json: JSON.stringify(event) }])
  relay = await startRelay({ store, port })
  await until(() => expect(heard).toEqual(['newest', 'signed earlier']))
})

test('an answer longer than the relay’s limit is read page by page', { timeout: 300_000 }, async () => {
  const { url, store } = await start({ limits: { limit: 100 } })
  const events = Array.from({ length: 1_234 }, (_, i) =>
    alice.sign({ created_at: testTime - Math.floor(i / 7), content: String(i) }),
  )
  store.insert(events.map((event) => ({ event, json: JSON.stringify(event) })))
  const relays = openMany([url])
  const found = await relays.query([{ kinds: [4617] }], { timeoutMs: 20_000 })
  expect(new Set(found.map((event) => event.id))).toEqual(new Set(events.map((event) => event.id)))
  expect(found.map((e) => e.created_at)).toEqual(found.map((e) => e.created_at).sort((a, b) => b - a))
  expect(await relays.query([{ kinds: [4617], limit: 3 }])).toHaveLength(3)
  const heard = new Set<string>()
  // A machine that does much else may need longer than a subscription waits before it calls itself caught up.
  relays.subscribe([{ kinds: [4617] }], { onEvent: ({ id }) => heard.add(id) })
  await until(() => expect(heard.size).toBe(1_234), 60_000)
})

describe('a second with more events than the relay hands out at once', () => {
  const crowded = testTime - 10
  /** A relay whose answers end at a hundred events, 350 of a second and ten around it. */
  async function startCrowded() {
    const dir = mkdtempSync(join(tmpdir(), 'understudy-second-'))
    const store = openStore(join(dir, 'relay.sqlite'))
    cleanups.push(() => {
      store.close()
      rmSync(dir, { recursive: true })
    })
    const { url } = await start({ store, limits: { limit: 100 } })
    const events = Array.from({ length: 360 }, (_, i) =>
      alice.sign({ content: String(i), created_at: i < 350 ? crowded : crowded - 355 + i }),
    )
    store.insert(events.map((event) => ({ event, json: JSON.stringify(event) })))
    return { url, ids: events.map(({ id }) => id).sort() }
  }

  test('is read whole by NIP-77, and so is what lies before it', async () => {
    const { url, ids } = await startCrowded()
    const onIncomplete = vi.fn()
    const relays = openMany([url], { comparisons: createComparisons, onIncomplete })
    const queries = Array.from({ length: 4 }, () => relays.query([{ kinds: [4617] }], { timeoutMs: 60_000 }))
    for (const found of await Promise.all(queries)) expect(found.map(({ id }) => id).sort()).toEqual(ids)
    const heard = new Set<string>()
    relays.subscribe([{ kinds: [4617] }], { onEvent: ({ id }) => heard.add(id) })
    await until(() => expect([...heard].sort()).toEqual(ids))
    expect(await relays.query([{ kinds: [4617], limit: 3 }])).toHaveLength(3)
    expect(onIncomplete).not.toHaveBeenCalled()
  })

  test('is told of when NIP-77 is not to be had; what lies before it is read all the same', async () => {
    const { url } = await startCrowded()
    const onIncomplete = vi.fn()
    const found = await openMany([url], { onIncomplete }).query([{ kinds: [4617] }], { timeoutMs: 60_000 })
    expect(found.filter(({ created_at }) => created_at < crowded)).toHaveLength(5)
    expect(onIncomplete.mock.calls).toEqual([[{ url, second: crowded }]])
  })
})

test('ephemeral challenges and answers pass both ways', async () => {
  const { url } = await start()
  const [attester, node] = [openMany([url]), openMany([url])]
  const bob = await author(2)
  const answers: string[] = []
  const ready = Promise.all([
    new Promise((resolve) =>
      attester.subscribe([{ kinds: [24618], '#p': [alice.pubkey] }], {
        onEvent: ({ content }) => answers.push(content),
        onCaughtUp: resolve,
      }),
    ),
    new Promise((resolve) =>
      node.subscribe([{ kinds: [24617], '#p': [bob.pubkey] }], {
        onEvent: ({ content }) =>
          void node.publish(
            bob.sign({ kind: 24618, tags: [['p', alice.pubkey]], content: `re: ${content}` }),
          ),
        onCaughtUp: resolve,
      }),
    ),
  ])
  await ready
  const sent = await attester.publish(
    alice.sign({ kind: 24617, tags: [['p', bob.pubkey]], content: 'nonce' }),
  )
  expect(sent.ok).toBe(true)
  await until(() => expect(answers).toEqual(['re: nonce']))
})

describe('what changes while it runs', () => {
  test('a relay that is added joins the open subscriptions', async () => {
    const [a, b] = [await start(), await start()]
    const relays = openMany([a.url])
    const heard: string[] = []
    relays.subscribe([{}], { onEvent: ({ content }) => heard.push(content) })
    const [event] = sign(1) as [NostrEvent]
    await b.relay.publish(event)
    expect(relays.add(b.url)).toEqual({ ok: true, value: b.url })
    expect(relays.add(b.url.slice(0, -1))).toEqual({ ok: true, value: b.url })
    expect(relays.status()).toHaveLength(2)
    await until(() => expect(heard).toEqual([event.content]))
    for (const bad of ['http://127.0.0.1/', 'nonsense', 'ws://user:secret@127.0.0.1/'])
      expect(relays.add(bad)).toMatchObject({ ok: false })
  })

  test('a closed subscription hears no more', async () => {
    const { url } = await start()
    const relays = openMany([url])
    const [closed, open]: [string[], string[]] = [[], []]
    const subscription = relays.subscribe([{}], { onEvent: ({ id }) => closed.push(id) })
    relays.subscribe([{}], { onEvent: ({ id }) => open.push(id) })
    const [one, two] = sign(2) as [NostrEvent, NostrEvent]
    await relays.publish(one)
    await until(() => expect(closed).toEqual([one.id]))
    subscription.close()
    await relays.publish(two)
    await until(() => expect(open).toEqual([one.id, two.id]))
    expect(closed).toEqual([one.id])
  })

  test('a subscription that the relay closes is asked for again', async () => {
    // Its first questions are refused for their rate; a little later they are not.
    let now = testTime * 1000
    const { url } = await start({ now: () => now, limits: { requestBurst: 1, requestsPerSecond: 1 } })
    // A canary would take the one question that the relay allows.
    const relays = openMany([url], { canaryEvery: 0 })
    relays.subscribe([{ kinds: [4616] }], { onEvent: () => {} })
    const heard: string[] = []
    relays.subscribe([{ kinds: [4617] }], { onEvent: ({ id }) => heard.push(id) })
    await until(() => expect(relays.status()[0]!.lastError).toContain('rate-limited: too many questions'))
    now += 60_000
    const [event] = sign(1) as [NostrEvent]
    await relays.publish(event)
    await until(() => expect(heard).toEqual([event.id]))
  })

  test('closing ends what waits', async () => {
    const relays = openMany([await startFrozen()])
    const publishing = relays.publish(sign(1)[0]!)
    relays.close()
    expect(await publishing).toMatchObject({ ok: false, refused: [{ reason: 'closed' }] })
    expect(relays.status()[0]!.state).toBe('closed')
  })
})
