import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NostrEvent } from '@understudy/protocol/event'
import { type Filter, matchFilter, newestFirst } from '@understudy/relays/filter'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { answer } from './answer.ts'
import { openStore, type Store } from './store.ts'

const now = 1_800_000_000
const hex = (n: number) => n.toString(16).padStart(64, '0')
let serial = 0

function event(fields: Partial<NostrEvent>): NostrEvent {
  return {
    id: hex(++serial),
    pubkey: hex(1),
    kind: 4617,
    created_at: 100,
    tags: [],
    content: '',
    sig: '0'.repeat(128),
    ...fields,
  }
}

const insert = (store: Store, ...events: NostrEvent[]) =>
  store.insert(events.map((e) => ({ event: e, json: JSON.stringify(e) })))

async function ask(store: Store, filters: readonly Filter[], limit = 1_000): Promise<NostrEvent[]> {
  const events: NostrEvent[] = []
  for await (const json of answer({ store, now: () => now * 1000, limit }, filters))
    events.push(JSON.parse(json))
  return events
}

const stores: Store[] = []
const open = (file = ':memory:') => {
  const store = openStore(file)
  stores.push(store)
  return store
}
afterEach(() => {
  for (const store of stores.splice(0)) store.close()
})

describe('what is kept', () => {
  test('a regular event is stored once, however often it comes', async () => {
    const store = open()
    const e = event({})
    expect(insert(store, e, e)).toEqual(['stored', 'duplicate'])
    expect(insert(store, e)).toEqual(['duplicate'])
    expect(store.count()).toBe(1)
  })

  test.each([4615, 4616, 4617, 4618, 4619])('two events of kind %i by one author are both kept', (kind) => {
    const store = open()
    const tags = [['d', 'same']]
    expect(insert(store, event({ kind, tags }), event({ kind, tags, created_at: 101 }))).toEqual([
      'stored',
      'stored',
    ])
    expect(store.count()).toBe(2)
  })

  test.each([
    [14617, undefined],
    [10002, undefined],
    [34617, 'x'],
    [35128, 'x'],
  ])('of kind %i only the newest is kept, whichever comes first', async (kind, d) => {
    const store = open()
    const tags = d ? [['d', d]] : []
    const [old, newer] = [event({ kind, tags }), event({ kind, tags, created_at: 101 })]
    expect(insert(store, old, newer, old)).toEqual(['stored', 'stored', 'replaced'])
    expect(await ask(store, [{ kinds: [kind] }])).toEqual([newer])
    expect(await ask(store, [{ '#d': ['x'] }])).toEqual(d ? [newer] : [])
  })

  test('of two replaceable events of the same second the one with the lowest id stays, in either order', async () => {
    const [low, high] = [event({ kind: 14617, id: hex(0xa0) }), event({ kind: 14617, id: hex(0xa1) })]
    const first = open()
    expect(insert(first, low, high)).toEqual(['stored', 'replaced'])
    const second = open()
    expect(insert(second, high, low)).toEqual(['stored', 'stored'])
    for (const store of [first, second]) expect(await ask(store, [{}])).toEqual([low])
  })

  test('addressable events with another d, author or kind stand beside each other', () => {
    const store = open()
    const at = (d: string, fields: Partial<NostrEvent> = {}) =>
      event({ kind: 34617, tags: [['d', d]], ...fields })
    insert(store, at('a'), at('b'), at('a', { pubkey: hex(2) }), at('a', { kind: 34618 }))
    expect(store.count()).toBe(4)
  })

  test('what has expired is not answered, and swept with its tags', async () => {
    const store = open()
    const gone = event({
      tags: [
        ['expiration', String(now)],
        ['d', 'x'],
      ],
    })
    const stays = event({
      tags: [
        ['expiration', String(now + 1)],
        ['d', 'x'],
      ],
    })
    insert(store, gone, stays)
    expect(await ask(store, [{ '#d': ['x'] }])).toEqual([stays])
    expect(store.sweep(now, 100)).toBe(1)
    expect(store.sweep(now, 100)).toBe(0)
    expect(store.count()).toBe(1)
    // Nothing of it stands in the way of coming back.
    expect(insert(store, gone)).toEqual(['stored'])
  })

  test('everything is there after the file is opened again', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'understudy-'))
    try {
      const e = event({ tags: [['d', 'x']] })
      const store = openStore(join(dir, 'relay.sqlite'))
      insert(store, e)
      store.close()
      const again = openStore(join(dir, 'relay.sqlite'))
      expect(await ask(again, [{ '#d': ['x'] }])).toEqual([e])
      expect(again.head()).toBe(1)
      again.close()
    } finally {
      rmSync(dir, { recursive: true })
    }
  })

  test('a batch that cannot be written leaves nothing behind', () => {
    const store = open()
    const broken = { event: { ...event({}), kind: null as unknown as number }, json: '{}' }
    expect(() => store.insert([{ event: event({}), json: '{}' }, broken])).toThrow()
    expect(store.count()).toBe(0)
    expect(store.head()).toBe(0)
    expect(insert(store, event({}))).toEqual(['stored'])
  })
})

describe('what is answered', () => {
  test('any filter, with any number of tags, finds what matchFilter says, newest first', async () => {
    const letter = fc.constantFrom('a', 'd', 'e', 'p')
    const value = fc.constantFrom('1', '2', '3')
    const some = <T>(of: fc.Arbitrary<T>) => fc.option(fc.array(of, { maxLength: 3 }), { nil: undefined })
    const time = fc.integer({ min: 0, max: 9 })
    const author = fc.constantFrom(hex(1), hex(2))
    const kind = fc.constantFrom(4615, 4616, 4617)
    const events = fc.array(
      fc.record({
        created_at: time,
        pubkey: author,
        kind,
        tags: fc.array(fc.tuple(letter, value), { maxLength: 5 }),
      }),
      { maxLength: 40 },
    )
    const filter = fc
      .record({
        kinds: some(kind),
        authors: some(author),
        since: fc.option(time, { nil: undefined }),
        until: fc.option(time, { nil: undefined }),
        limit: fc.option(fc.integer({ min: 0, max: 30 }), { nil: undefined }),
        '#a': some(value),
        '#d': some(value),
        '#p': some(value),
      })
      .map((f) => Object.fromEntries(Object.entries(f).filter(([, v]) => v !== undefined)) as Filter)
    // Long lists are searched another way than short ones.
    const padding = Array.from({ length: 70 }, (_, i) => `none ${i}`)
    const long = filter.map((f) =>
      Object.fromEntries(
        Object.entries(f).map(([k, v]) => [k, k[0] === '#' ? [...(v as string[]), ...padding] : v]),
      ),
    )
    await fc.assert(
      fc.asyncProperty(events, fc.oneof(filter, long), async (drafts, wanted) => {
        const store = openStore(':memory:')
        const all = drafts.map((draft) => event(draft as Partial<NostrEvent>))
        insert(store, ...all)
        const expected = all
          .filter((e) => matchFilter(wanted, e))
          .sort(newestFirst)
          .slice(0, wanted.limit ?? 1_000)
        expect(await ask(store, [wanted])).toEqual(expected)
        store.close()
      }),
      { numRuns: 300 },
    )
  })

  test('an answer of many pages is complete and in order, also where seconds are crowded', async () => {
    const store = open()
    const all = Array.from({ length: 950 }, (_, i) => event({ created_at: 100 + Math.floor(i / 400) }))
    insert(store, ...all)
    expect(await ask(store, [{ kinds: [4617] }])).toEqual([...all].sort(newestFirst))
    expect(await ask(store, [{}], 250)).toHaveLength(250)
  })

  test('an event that two filters ask for comes once', async () => {
    const store = open()
    const e = event({ tags: [['d', 'x']] })
    insert(store, e)
    expect(await ask(store, [{ kinds: [4617] }, { '#d': ['x'] }, { ids: [e.id] }])).toEqual([e])
  })

  test('what is stored after the question is not part of the answer', async () => {
    const store = open()
    const e = event({})
    insert(store, e)
    const answering = answer({ store, now: () => now * 1000, limit: 10 }, [{}])
    insert(store, event({}))
    const heard = []
    for await (const json of answering) heard.push((JSON.parse(json) as NostrEvent).id)
    expect(heard).toEqual([e.id])
  })
})
