import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { author, connect, startRelay } from './fixture.ts'

// HOSTILE_FRAMES=100000 for the long run.
const frames = Number(process.env.HOSTILE_FRAMES ?? 4_000)
const perConnection = 500

const alice = await author(1)
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const good = alice.sign({ content: 'genuine', tags: [['d', 'x']] })
const forged = { ...good, content: 'forged' }
const many = Array.from({ length: 2_000 }, (_, i) => String(i))
const tag = fc.constantFrom('#a', '#d', '#e', '#p', '#', '#dd', '#é')
const filter = fc.oneof(
  fc.dictionary(
    fc.oneof(
      tag,
      fc.constantFrom('ids', 'authors', 'kinds', 'since', 'until', 'limit', 'search', '__proto__'),
    ),
    fc.oneof(fc.jsonValue(), fc.constant(many), fc.array(fc.integer()), fc.array(fc.string())),
  ),
  fc.jsonValue(),
)
const field = fc.oneof(fc.jsonValue(), fc.constant('x'.repeat(70_000)), fc.constant('\u0000\ud800\uffff'))
const verb = fc.constantFrom(
  'EVENT',
  'REQ',
  'CLOSE',
  'AUTH',
  'NEG-OPEN',
  'NEG-MSG',
  'NEG-CLOSE',
  'COUNT',
  'event',
  '',
)
const frame = fc.oneof(
  fc.tuple(verb, fc.string(), filter, fc.string()).map((all) => JSON.stringify(all)),
  fc
    .tuple(fc.constantFrom('id', 'pubkey', 'kind', 'created_at', 'tags', 'content', 'sig'), field)
    .map(([name, value]) => JSON.stringify(['EVENT', { ...good, [name]: value }])),
  fc.constant(JSON.stringify(['EVENT', forged])),
  fc.nat(400).map((length) => JSON.stringify(['EVENT', good]).slice(0, length)),
  fc.nat(3_000).map((depth) => '['.repeat(depth)),
  fc.json(),
  fc.string(),
  fc
    .uint8Array({ maxLength: 50 })
    .map((bytes) => `["NEG-OPEN","n",{},"61${Buffer.from(bytes).toString('hex')}"]`),
)

test(
  'frames made to hurt never stop the relay, nothing forged is kept, and a genuine event always gets in',
  async () => {
    const { url, relay, stop } = await startRelay({
      limits: { strikes: perConnection * 2, allEventBurst: 1e9, requestBurst: 1e9 },
    })
    cleanups.push(stop)
    const before = process.memoryUsage().rss
    for (let sent = 0; sent < frames; sent += perConnection) {
      const client = await connect(url)
      for (const text of fc.sample(frame, perConnection)) client.say(text)
      client.send('REQ', 'last', { ids: [good.id] })
      await client.until(() => client.frames.find(([type, id]) => type === 'EOSE' && id === 'last'))
      client.close()
      const stored = await relay.query([{}])
      expect(stored.filter((event) => event.id !== good.id || event.content !== good.content)).toEqual([])
    }
    const client = await connect(url)
    cleanups.push(client.close)
    for (const event of [forged, good, forged]) {
      client.send('EVENT', event)
      expect((await client.next('OK')).slice(1, 3)).toEqual([good.id, event === good])
    }
    expect(await relay.query([{}])).toEqual([good])
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024)
  },
  30_000 + frames * 10,
)
