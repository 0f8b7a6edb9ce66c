import { setTimeout as pause } from 'node:timers/promises'
import type { NostrEvent, Verify } from '@understudy/protocol/event'
import { openRelays, type Relays } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import { type Fault, type FaultProxy, startFaultProxy } from './fault-proxy.ts'
import { author, startRelay, testTime } from './fixture.ts'
import { openStore } from './store.ts'

// Many relays as one (packages/relays), two of three behind proxies that do to them whatever can be done to a relay.

const alice = await author(1)
let verify: Verify
beforeAll(async () => {
  verify = await loadVerify()
})
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** As quick as a machine that does other things allows. */
const quick = { backoffMs: 20, maxBackoffMs: 200, pingMs: 500, connectMs: 1_000, answerMs: 2_000 }
/** As many events as come at once, from one client. */
const limits = {
  eventsPerSecond: 100_000,
  eventBurst: 100_000,
  allEventsPerSecond: 100_000,
  allEventBurst: 100_000,
  requestBurst: 10_000,
  requestsPerSecond: 10_000,
}
const until = (condition: () => void, timeout = 60_000) => vi.waitFor(condition, { timeout, interval: 50 })
let signed = 0
/** A hundred share a second: of one that holds more than 5,000 no relay can be asked for the rest (NIP-01). */
const sign = (content: string, kind = 4617) =>
  alice.sign({
    kind,
    created_at: testTime - 1_000 + Math.floor(signed++ / 100),
    tags: [['d', 'x']],
    content,
  })

function open(urls: readonly string[]): Relays {
  const relays = openRelays(urls, { verify, ...quick })
  cleanups.push(() => relays.close())
  return relays
}

/** One relay that is well, and two behind proxies; those two believe every signature, which is nothing to their clients. */
async function startThree() {
  const store = openStore(':memory:')
  let healthy = await startRelay({ store, limits })
  cleanups.push(() => healthy.stop())
  const genuine = sign('genuine')
  const lies = [
    { ...genuine, content: 'forged' },
    { ...genuine, sig: sign('other').sig },
    sign('not asked for', 4616),
    'no event at all',
  ].map((lie) => JSON.stringify(lie))
  const proxies: FaultProxy[] = []
  const stores: { has(id: string): boolean }[] = [store]
  for (let n = 0; n < 2; n++) {
    const behind = await startRelay({ limits, verify: async () => true })
    cleanups.push(() => behind.stop())
    stores.push(behind.store)
    const proxy = await startFaultProxy(behind.port, lies)
    cleanups.push(() => proxy.close())
    proxies.push(proxy)
  }
  return {
    store,
    /** Of all three. */
    stores,
    url: healthy.url,
    proxies: proxies as [FaultProxy, FaultProxy],
    urls: [proxies[0]!.url, proxies[1]!.url, healthy.url],
    async restart() {
      const { port } = healthy
      await healthy.stop()
      await pause(100)
      healthy = await startRelay({ store, limits, port })
    },
  }
}

const total = Number(process.env.FAULT_EVENTS ?? 3_000)

test(`with one of three relays well, none of ${total} events is lost, and no queue grows without bound`, {
  timeout: 240_000 + total * 10,
}, async () => {
  const { stores, proxies, urls, restart } = await startThree()
  const [writer, reader] = [open(urls), open(urls)]
  const heard = new Map<string, number>()
  reader.subscribe([{ kinds: [4617] }], {
    onEvent: ({ id }) => heard.set(id, (heard.get(id) ?? 0) + 1),
  })
  /** Says it until it is taken; who has no room is told so, and comes back. */
  async function publish(event: NostrEvent): Promise<void> {
    for (;;) {
      const { ok, refused } = await writer.publish(event, { timeoutMs: 60_000 })
      if (ok && !refused.some(({ reason }) => reason.startsWith('too many'))) return
      await pause(20)
    }
  }
  const ids: string[] = []
  async function publishMany(count: number): Promise<void> {
    let left = count
    const worker = async () => {
      while (left-- > 0) {
        const event = sign(String(ids.length))
        ids.push(event.id)
        await publish(event)
      }
    }
    await Promise.all(Array.from({ length: 300 }, worker))
  }

  const faults: Fault[] = ['refuse', 'black-hole', 'freeze', 'reset', 'lie', 'duplicate', 'none']
  for (const [at, fault] of faults.entries()) {
    await Promise.all([proxies[0].set(fault), proxies[1].set(faults[(at + 3) % faults.length]!)])
    const publishing = publishMany(Math.ceil(total / faults.length))
    // The one that is well is not spared: it restarts in full flow.
    if (at % 2 === 0) await restart()
    await publishing
  }

  // What still waits for the others leaves as soon as they can be reached.
  await Promise.all(proxies.map((proxy) => proxy.set('none')))
  expect(new Set(ids).size).toBeGreaterThanOrEqual(total)
  await until(() => expect(heard.size).toBe(ids.length), 120_000)
  expect(ids.filter((id) => !heard.has(id))).toEqual([])
  expect(ids.filter((id) => !stores.some((store) => store.has(id)))).toEqual([])
  expect([...heard.values()].filter((times) => times !== 1)).toEqual([])
  for (const client of [writer, reader]) {
    for (const { highWater } of client.status()) expect(highWater).toBeLessThanOrEqual(2_000)
  }
  await until(() => {
    for (const { inFlight, queued } of writer.status()) expect(inFlight + queued).toBe(0)
  })
})

test('a relay that never answers keeps so many events waiting and no more; who has no room is told at once', async () => {
  const { proxies } = await startThree()
  await proxies[0].set('black-hole')
  const relays = open([proxies[0].url])
  const event = sign('template')
  // Nobody will look at these: they are not even signed.
  const publishing = Array.from({ length: 3_000 }, (_, n) =>
    relays.publish({ ...event, id: n.toString(16).padStart(64, '0') }, { timeoutMs: 60_000 }),
  )
  const late = await Promise.all(publishing.slice(2_000))
  for (const { ok, refused } of late)
    expect([ok, refused[0]?.reason]).toEqual([false, 'too many events wait for this relay'])
  expect(relays.status()[0]).toMatchObject({ queued: 2_000, inFlight: 0, highWater: 2_000 })
  relays.close()
  for (const { ok } of await Promise.all(publishing.slice(0, 2_000))) expect(ok).toBe(false)
})

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!

test.each<[Fault, Fault]>([
  ['black-hole', 'refuse'],
  ['freeze', 'reset'],
  ['lie', 'duplicate'],
])('a relay that is well is as quick beside one that is %s and one that is %s as alone', async (a, b) => {
  const { proxies, urls, url } = await startThree()
  await Promise.all([proxies[0].set(a), proxies[1].set(b)])
  const [alone, beside] = [open([url]), open(urls)]
  const times = { alone: [] as number[], beside: [] as number[] }
  // By turns, so that whatever else the machine does falls on both.
  for (let n = 0; n < 150; n++) {
    for (const [name, relays] of [['alone', alone] as const, ['beside', beside] as const]) {
      const event = sign(`${name} ${n}`)
      const at = performance.now()
      expect(await relays.publish(event)).toMatchObject({ ok: true })
      expect(await relays.query([{ ids: [event.id] }])).toHaveLength(1)
      if (n >= 10) times[name].push(performance.now() - at)
    }
  }
  // A connection that is reset in mid-answer costs a few milliseconds; to wait for a bad relay would cost 1,500.
  expect(median(times.beside)).toBeLessThan(5 * median(times.alone) + 300)
})

test('a relay that acknowledges what it does not keep is found out, and its word no longer counts', async () => {
  const { proxies, store, url } = await startThree()
  await proxies[0].set('lie')
  const relays = open([proxies[0].url, url])
  // Not even its first word counts: it is checked before.
  expect(await relays.publish(sign('first'))).toMatchObject({ ok: true, accepted: [url] })
  await until(() => expect(relays.status()[0]).toMatchObject({ circuit: 'open' }))
  expect(relays.status()[0]!.lastError).toBe('acknowledged an event that it does not have')
  const event = sign('second')
  expect(await relays.publish(event)).toMatchObject({
    ok: true,
    accepted: [url],
  })
  expect(store.has(event.id)).toBe(true)
  // Both are needed: it is asked all the same, and does not count.
  expect(await relays.publish(sign('third'), { quorum: 2 })).toMatchObject({ ok: false, accepted: [url] })
  // Once it keeps what it takes, it counts again.
  await proxies[0].set('none')
  await until(() => expect(relays.status()[0]).toMatchObject({ state: 'open' }))
  await vi.waitFor(async () => expect((await relays.publish(sign('again'), { quorum: 2 })).ok).toBe(true), {
    timeout: 30_000,
    interval: 200,
  })
  expect(relays.status()[0]!.circuit).toBe('closed')
})

test('a relay that is gone is not waited for; while nothing does without it, it is', async () => {
  const { proxies, url } = await startThree()
  await proxies[0].set('refuse')
  const relays = open([proxies[0].url, url])
  await until(() => expect(relays.status()[0]).toMatchObject({ circuit: 'open' }))
  const spared = await relays.publish(sign('one'))
  expect(spared).toMatchObject({ ok: true, accepted: [url] })
  // A quorum of both waits for it, and has it as soon as it is back.
  const both = relays.publish(sign('two'), { quorum: 2, timeoutMs: 30_000 })
  await until(() => expect(relays.status()[0]!.queued).toBeGreaterThan(0))
  await proxies[0].set('none')
  expect((await both).ok).toBe(true)
  expect(relays.status()[0]!.circuit).toBe('closed')
})
