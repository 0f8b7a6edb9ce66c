import type { AddressInfo } from 'node:net'
import type { NostrEvent } from '@understudy/protocol/event'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { createComparisons } from './comparison.ts'
import { openRelays } from './relays.ts'
import { loadSigner } from './signer.ts'
import { loadVerify } from './verify.ts'

// Relays that lie, flood, stall and die. (Against honest ones: node/src/relay/relays.test.ts.)

const verify = await loadVerify()
const signer = await loadSigner(new Uint8Array(32).fill(1))
const sign = (content: string, kind = 4617) =>
  signer.signEvent({ kind, created_at: 1_800_000_000, tags: [], content }) as NostrEvent

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

type Say = (...frame: unknown[]) => void

/** A WebSocket server that does with each frame what the test says. */
async function startLiar(onFrame: (frame: [string, string, ...unknown[]], say: Say, ws: WebSocket) => void) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => server.once('listening', resolve))
  let connections = 0
  server.on('connection', (ws) => {
    connections++
    const say: Say = (...frame) => ws.send(JSON.stringify(frame))
    ws.on('message', (data) => onFrame(JSON.parse(data.toString()), say, ws))
    ws.on('error', () => {})
  })
  cleanups.push(() => {
    for (const ws of server.clients) ws.terminate()
    server.close()
  })
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return { url, connections: () => connections }
}

function open(urls: readonly string[], options: Partial<Parameters<typeof openRelays>[1]> = {}) {
  const relays = openRelays(urls, { verify, backoffMs: 10, maxBackoffMs: 50, ...options })
  cleanups.push(() => relays.close())
  return relays
}

const until = (condition: () => void) => vi.waitFor(condition, { timeout: 60_000, interval: 5 })

describe('an event is believed only when it is genuine', () => {
  const genuine = sign('genuine')
  const forged = { ...genuine, content: 'forged' }

  test.each<[string, unknown]>([
    ['another content under its id', forged],
    ['another signature', { ...genuine, sig: sign('other').sig }],
    ['no signature', { ...genuine, sig: '' }],
    ['a kind that was not asked for', sign('unasked', 1)],
    ['no event at all', 'event'],
  ])('%s is dropped, and does not keep the genuine one out', async (_, lie) => {
    const { url } = await startLiar(([type, id], say) => {
      if (type !== 'REQ') return
      say('EVENT', id, lie)
      say('EVENT', id, genuine)
      say('EVENT', id, lie)
      say('EOSE', id)
    })
    const relays = open([url])
    expect(await relays.query([{ kinds: [4617] }])).toEqual([genuine])
    expect(relays.status()[0]!.lastError).toMatch(/^sent an? /)
  })

  test('a forger that comes first does not keep the genuine event of another relay out', async () => {
    const liar = await startLiar(([type, id], say) => {
      if (type === 'REQ') say('EVENT', id, forged)
    })
    const honest = await startLiar(([type, id], say) => {
      if (type !== 'REQ') return
      say('EVENT', id, genuine)
      say('EOSE', id)
    })
    const heard: NostrEvent[] = []
    open([liar.url, honest.url]).subscribe([{}], { onEvent: (event) => heard.push(event) })
    await until(() => expect(heard).toEqual([genuine]))
  })
})

test.each<[string, string]>([
  ['text that is not JSON', '{'],
  ['a frame that is no list', '{}'],
  ['an unknown type', '["HELLO","x"]'],
  ['a number as id', '["EOSE",1]'],
  ['deep lists', `${'['.repeat(20_000)}${']'.repeat(20_000)}`],
])('%s: fifty of them end the connection, one does not', async (_, text) => {
  const event = sign('after')
  let times = 1
  const { url, connections } = await startLiar(([type, id], say, ws) => {
    if (type !== 'REQ') return
    for (; times > 0; times--) ws.send(text)
    say('EVENT', id, event)
    say('EOSE', id)
  })
  const relays = open([url])
  expect(await relays.query([{}])).toEqual([event])
  times = 50
  void relays.query([{}], { timeoutMs: 500 })
  await until(() => expect(connections()).toBeGreaterThan(1))
  expect(relays.status()[0]!.lastError).toMatch(/^gave up: sent a/)
})

test('a frame above the limit ends the connection', async () => {
  const { url, connections } = await startLiar(([type, id], say) => {
    if (type === 'REQ') say('EVENT', id, { content: 'x'.repeat(300_000) })
  })
  open([url]).subscribe([{}], { onEvent: () => {} })
  await until(() => expect(connections()).toBeGreaterThan(1))
})

test('a relay that freezes after it was up is noticed and left', async () => {
  let frozen = false
  const { url, connections } = await startLiar(([type, id], say) => {
    if (type === 'REQ' && !frozen) say('EOSE', id)
  })
  const relays = open([url], { pingMs: 60 })
  await relays.query([{}])
  frozen = true
  await until(() => expect(relays.status()[0]!.lastError).toMatch(/^frozen: nothing heard for/))
  await until(() => expect(connections()).toBeGreaterThan(1))
})

test('a relay that is merely silent is kept', async () => {
  let pings = 0
  const { url, connections } = await startLiar(([type, id], say) => {
    if (type !== 'REQ') return
    if (id === 'ping') pings++
    say('EOSE', id)
  })
  open([url], { pingMs: 20 }).subscribe([{}], { onEvent: () => {} })
  await until(() => expect(pings).toBeGreaterThan(5))
  expect(connections()).toBe(1)
})

test('pauses grow up to the longest, spread by chance', async () => {
  const opened: number[] = []
  class Refused {
    readonly readyState = 3
    readonly bufferedAmount = 0
    onopen: unknown
    onmessage: unknown
    onerror: unknown
    onclose: unknown
    constructor() {
      opened.push(performance.now())
      queueMicrotask(() => (this.onclose as (event: object) => void)({ code: 1006 }))
    }
    send(): void {}
    close(): void {}
  }
  const relays = open(['ws://relay.test/'], {
    WebSocket: Refused,
    random: () => 0,
    backoffMs: 20,
    maxBackoffMs: 100,
  })
  await until(() => expect(opened.length).toBeGreaterThanOrEqual(6))
  const pauses = opened.slice(1).map((at, i) => at - opened[i]!)
  // random() = 0 halves each: 10, 20, 40, 50, 50 ms.
  for (const [i, least] of [10, 20, 40, 50, 50].entries()) expect(pauses[i]).toBeGreaterThanOrEqual(least - 2)
  expect(relays.status()[0]).toMatchObject({
    url: 'ws://relay.test/',
    lastError: 'closed by the relay (1006)',
  })
})

test('a publication that was not acknowledged is sent again after a reconnect', async () => {
  const event = sign('again')
  let times = 0
  const { url } = await startLiar(([type], say, ws) => {
    if (type !== 'EVENT') return
    if (++times === 1) ws.terminate()
    else say('OK', event.id, true, '')
  })
  expect(await open([url]).publish(event)).toEqual({ ok: true, accepted: [url], refused: [] })
  expect(times).toBe(2)
})

test('a refusal of a duplicate counts as accepted', async () => {
  const event = sign('known')
  const { url } = await startLiar(([type], say) => {
    if (type === 'EVENT') say('OK', event.id, false, 'duplicate: have it')
  })
  expect((await open([url]).publish(event)).ok).toBe(true)
})

test('a relay that never finishes an answer delays it by its deadline at most', async () => {
  const event = sign('only')
  const { url } = await startLiar(([type, id], say) => {
    if (type === 'REQ') say('EVENT', id, event)
  })
  expect(await open([url]).query([{}], { timeoutMs: 100 })).toEqual([event])
})

test('without relays everything ends at once', async () => {
  const relays = open([])
  expect(await relays.publish(sign('x'))).toEqual({ ok: false, accepted: [], refused: [] })
  expect(await relays.query([{}])).toEqual([])
  expect(
    await new Promise((resolve) => relays.subscribe([{}], { onEvent: () => {}, onCaughtUp: resolve })),
  ).toEqual([])
})

test('a URL that is none is refused at once', () => {
  expect(() => open(['https://relay.test/'])).toThrow('https://relay.test/: not a ws(s) URL')
})

test('nobody waits for a relay whose connections break one after the other, until one of them lasts', async () => {
  let answering = false
  const unsteady = await startLiar(([type, id], say, ws) => {
    if (type !== 'REQ') return
    if (unsteady.connections() <= 2) ws.terminate()
    else if (answering) say('EOSE', id)
  })
  const well = await startLiar(([type, id], say) => {
    if (type === 'REQ') say('EOSE', id)
  })
  let now = 1_800_000_000_000
  const relays = open([unsteady.url, well.url], { now: () => now })
  for (const failures of [1, 2]) {
    await until(() => expect(relays.status().map(({ state }) => state)).toEqual(['open', 'open']))
    await relays.query([{ kinds: [4617] }])
    await until(() => expect(relays.status()[0]).toMatchObject({ state: 'open', failures }))
  }
  expect(relays.status()[0]).toMatchObject({ circuit: 'closed', steady: false })
  // Time stands still: whoever waited for the other would wait for ever.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  cleanups.push(() => vi.useRealTimers())
  expect(await relays.query([{ kinds: [4617] }])).toEqual([])
  now += 5_000
  expect(relays.status()[0]!.steady).toBe(true)
  answering = true
  expect(await relays.query([{ kinds: [4617] }])).toEqual([])
})

test.each([
  ['says that it knows no such thing', (say: Say) => say('NOTICE', 'unknown message')],
  ['refuses', (say: Say, id: string) => say('NEG-ERR', id, 'blocked: not here')],
  ['says nothing', () => {}],
  ['answers with nonsense', (say: Say, id: string) => say('NEG-MSG', id, '61ff')],
])(
  'a crowded second of a relay that compares nothing and %s is incomplete, and said to be',
  async (_, answer) => {
    const second = 1_800_000_000
    const events = Array.from({ length: 100 }, (_, i) => sign(String(i)))
    const { url } = await startLiar(([type, id, filter], say) => {
      if (type === 'NEG-OPEN') answer(say, id)
      if (type !== 'REQ') return
      const { until = second } = filter as { until?: number }
      if (until >= second) for (const event of events) say('EVENT', id, event)
      say('EOSE', id)
    })
    const gaps: unknown[] = []
    const relays = open([url], {
      comparisons: createComparisons,
      answerMs: 200,
      onIncomplete: (gap) => gaps.push(gap),
    })
    const found = await relays.query([{ kinds: [4617] }], { timeoutMs: 60_000 })
    expect(found).toHaveLength(100)
    expect(gaps).toEqual([{ url, second }])
  },
)
