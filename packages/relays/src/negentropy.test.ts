import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { nip77 } from 'nostr-tools'
import { describe, expect, test } from 'vitest'
import { createItemSet, type ItemSet, initiate, reconcile } from './negentropy.ts'

interface Item {
  readonly time: number
  readonly id: string
}
const item = (n: number, time: number): Item => ({
  time,
  id: createHash('sha256').update(String(n)).digest('hex'),
})
const setOf = (items: readonly Item[]) =>
  createItemSet(
    items.map(({ time }) => time),
    Buffer.from(items.map(({ id }) => id).join(''), 'hex'),
  )
const missing = (from: readonly Item[], of: readonly Item[]) => {
  const ids = new Set(from.map(({ id }) => id))
  return of
    .filter(({ id }) => !ids.has(id))
    .map(({ id }) => id)
    .sort()
}

/** Both sides ours. */
function run(asking: ItemSet, answering: ItemSet, maxBytes = 4_096) {
  const [have, need]: [Set<string>, Set<string>] = [new Set(), new Set()]
  let message: Uint8Array | undefined = initiate(asking)
  let rounds = 0
  for (; message; rounds++) {
    if (rounds > 5_000) throw new Error('does not end')
    const { reply, have: none }: ReturnType<typeof reconcile> = reconcile(answering, message, {
      asks: false,
      maxBytes,
    })
    expect(none).toEqual([])
    expect(reply!.length).toBeLessThanOrEqual(maxBytes)
    const step: ReturnType<typeof reconcile> = reconcile(asking, reply!, { asks: true, maxBytes })
    for (const id of step.have) have.add(id)
    for (const id of step.need) need.add(id)
    message = step.reply
  }
  return { have: [...have].sort(), need: [...need].sort(), rounds }
}

describe('two sets learn their difference', () => {
  const times = fc.constantFrom(0, 1, 5, 5, 5, 1_800_000_000)
  const some = (max: number) => fc.uniqueArray(fc.integer({ min: 0, max: 3_000 }), { maxLength: max })
  const drafts = fc.tuple(some(400), some(60), some(60), fc.array(times, { minLength: 7, maxLength: 7 }))

  test('whatever they hold, also where all are of one second', () => {
    fc.assert(
      fc.property(drafts, fc.boolean(), ([both, left, right, spread], oneSecond) => {
        const make = (n: number) => item(n, oneSecond ? 7 : spread[n % 7]! + (n % 11))
        const [ours, theirs] = [
          [...new Set([...both, ...left])].map(make),
          [...new Set([...both, ...right])].map(make),
        ]
        const { have, need } = run(setOf(ours), setOf(theirs))
        expect(have).toEqual(missing(theirs, ours))
        expect(need).toEqual(missing(ours, theirs))
      }),
      { numRuns: 150 },
    )
  })

  test('one side may be empty', () => {
    const all = Array.from({ length: 3_000 }, (_, n) => item(n, n))
    expect(run(setOf([]), setOf(all)).need).toHaveLength(3_000)
    expect(run(setOf(all), setOf([])).have).toHaveLength(3_000)
    expect(run(setOf([]), setOf([]))).toEqual({ have: [], need: [], rounds: 1 })
  })

  test.each([
    ['ours asks', true],
    ['theirs asks', false],
  ])('with nostr-tools on the other side (%s)', (_, weAsk) => {
    const shared = Array.from({ length: 5_000 }, (_, n) => item(n, 1_000 + (n >> 3)))
    const [a, b] = [[...shared.slice(0, 4_800)], shared.slice(150)]
    const [ours, theirs] = weAsk ? [a, b] : [b, a]
    const vector = new nip77.NegentropyStorageVector()
    for (const { time, id } of theirs) vector.insert(time, id)
    vector.seal()
    const other = new nip77.Negentropy(vector, 20_000)
    const [have, need]: [Set<string>, Set<string>] = [new Set(), new Set()]
    const set = setOf(ours)
    if (weAsk) {
      for (let message: Uint8Array | undefined = initiate(set); message; ) {
        const reply = other.reconcile(Buffer.from(message).toString('hex')) ?? '61'
        const step: ReturnType<typeof reconcile> = reconcile(set, Buffer.from(reply, 'hex'), {
          asks: true,
          maxBytes: 20_000,
        })
        for (const id of step.have) have.add(id)
        for (const id of step.need) need.add(id)
        message = step.reply
      }
    } else {
      for (let message: string | null = other.initiate(); message; ) {
        const { reply } = reconcile(set, Buffer.from(message, 'hex'), { asks: false, maxBytes: 20_000 })
        message = other.reconcile(
          Buffer.from(reply!).toString('hex'),
          (id) => have.add(id),
          (id) => need.add(id),
        )
      }
    }
    expect([...have].sort()).toEqual(missing(b, a))
    // nostr-tools as the answering side reports ranges, not ids: it never lists what it has.
    if (!weAsk) expect([...need].sort()).toEqual(missing(a, b))
  })
})

test('rubbish is refused, and never hangs', () => {
  const set = setOf(Array.from({ length: 500 }, (_, n) => item(n, n)))
  const good = initiate(set)
  for (let length = 0; length < good.length; length++) {
    const cut = good.subarray(0, length)
    try {
      reconcile(set, cut, { asks: false, maxBytes: 4_096 })
    } catch (error) {
      expect((error as Error).message).toMatch(/ends too early|unknown/)
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, asks) => {
      try {
        reconcile(set, Uint8Array.of(0x61, ...bytes), { asks, maxBytes: 4_096 })
      } catch (error) {
        expect((error as Error).message).toMatch(/ends too early|unknown mode|too large|more than 32/)
      }
    }),
    { numRuns: 2_000 },
  )
  // Another version is answered with ours.
  expect(reconcile(set, Uint8Array.of(0x62), { asks: false, maxBytes: 4_096 }).reply).toEqual(
    Uint8Array.of(0x61),
  )
})
