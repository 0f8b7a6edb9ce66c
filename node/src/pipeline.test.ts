import { appId, coordinateOf } from '@understudy/protocol/app'
import type { NostrEvent } from '@understudy/protocol/event'
import { releaseTemplates } from '@understudy/protocol/release'
import type { Subscriber } from '@understudy/relays/relays'
import { afterEach, expect, test, vi } from 'vitest'
import { createPipeline, type Pipeline } from './pipeline.ts'
import type { Preparation } from './preparation.ts'
import { createReleaseBook, type SignedRelease } from './releases.ts'
import type { AppRules } from './rules.ts'
import { createSite, type Site } from './site.ts'

const coordinate = coordinateOf('aa'.repeat(32), 'demo')
const firstKey = 'b1'.repeat(32)
const secondKey = 'b2'.repeat(32)
let serial = 0

function snapshotOf(seq: number, pubkey = firstKey): NostrEvent {
  const draft = {
    app: '',
    d: 'demo',
    coordinate,
    commit: String(seq).padStart(40, '0'),
    tree: '1'.repeat(40),
  }
  const files = [{ path: '/index.html', sha256: '2'.repeat(64) }]
  const { snapshot } = releaseTemplates({ ...draft, seq, entry: '/index.html', files }, 1)
  return { ...snapshot, id: (serial++).toString(16).padStart(64, '0'), pubkey, sig: '' }
}

const rulesOf = (releaseKey: string, minSeq = 0): AppRules => ({
  releaseKey,
  minSeq,
  members: { releaseKeys: new Set([releaseKey]), attesters: new Set(), mirrors: new Set() },
})

const prepared = (signed: SignedRelease): Preparation => ({
  ok: true,
  prepared: { ...signed, files: new Map(), blobs: [], manifest: new Uint8Array() },
})

/** A chain and relays under the test's control; preparation succeeds unless the test says otherwise. */
class World {
  chain: () => Promise<AppRules | undefined> = async () => rulesOf(firstKey)
  prepare: (signed: SignedRelease) => Promise<Preparation> = async (signed) => prepared(signed)
  stored: NostrEvent[] = []
  readonly served: number[] = []
  readonly open = new Map<Subscriber, readonly string[]>()
  readonly site: Site = createSite()
  readonly pipeline: Pipeline = createPipeline({
    coordinate,
    rules: { read: () => this.chain() },
    relays: {
      subscribe: ([filter], subscriber) => {
        const authors = filter?.authors ?? []
        this.open.set(subscriber, authors)
        queueMicrotask(() => {
          for (const event of this.stored) if (authors.includes(event.pubkey)) subscriber.onEvent(event)
          subscriber.onCaughtUp?.([])
        })
        return { close: () => this.open.delete(subscriber) }
      },
    },
    site: this.site,
    prepare: (signed) => this.prepare(signed),
    onSwitch: async ({ release }) => {
      this.served.push(release.seq)
    },
    random: () => 0.5,
    log: { info() {}, warn() {}, error() {} },
    rulesMs: 5,
    retryMs: 1,
  })

  say(event: NostrEvent): void {
    for (const [subscriber, authors] of this.open)
      if (authors.includes(event.pubkey)) subscriber.onEvent(event)
  }
}

let world: World
const begin = (change: (world: World) => void = () => {}) => {
  world = new World()
  change(world)
  world.pipeline.start()
}
afterEach(() => world.pipeline.stop())

test('the newest of all stored releases comes first, then each that follows', async () => {
  begin((w) => w.stored.push(snapshotOf(1), snapshotOf(2)))
  await vi.waitFor(() => expect(world.served).toEqual([2]))
  world.say(snapshotOf(3))
  await vi.waitFor(() => expect(world.served).toEqual([2, 3]))
})

test('what is served stays while the fork lacks the next commit, and is replaced once it has it', async () => {
  let has = false
  begin((w) => {
    w.stored.push(snapshotOf(1), snapshotOf(2))
    w.prepare = async (signed) =>
      has || signed.release.seq === 1
        ? prepared(signed)
        : { ok: false, passing: true, reason: 'the fork lacks the commit' }
  })
  await vi.waitFor(() => expect(world.pipeline.troubles()).toEqual(['release 2: the fork lacks the commit']))
  expect(world.served).toEqual([1])
  has = true
  await vi.waitFor(() => expect(world.served).toEqual([1, 2]))
  await vi.waitFor(() => expect(world.pipeline.troubles()).toEqual([]))
})

test('a lie is tried once, and does not stand in the way of what follows', async () => {
  const tried: number[] = []
  begin((w) => {
    w.stored.push(snapshotOf(1))
    w.prepare = async (signed) => {
      tried.push(signed.release.seq)
      return signed.release.seq === 2 ? { ok: false, passing: false, reason: 'a lie' } : prepared(signed)
    }
  })
  await vi.waitFor(() => expect(world.served).toEqual([1]))
  world.say(snapshotOf(2))
  await vi.waitFor(() => expect(tried).toEqual([1, 2]))
  world.say(snapshotOf(3))
  await vi.waitFor(() => expect(world.served).toEqual([1, 3]))
  expect(tried).toEqual([1, 2, 3])
})

test('an error while preparing is tried again', async () => {
  let errors = 0
  begin((w) => {
    w.stored.push(snapshotOf(1))
    w.prepare = async (signed) => {
      if (errors++ < 2) throw new Error('disk full')
      return prepared(signed)
    }
  })
  await vi.waitFor(() => expect(world.served).toEqual([1]))
})

test('a chain that cannot be read, or does not know the app, changes nothing until it does', async () => {
  begin((w) => {
    w.stored.push(snapshotOf(1))
    w.chain = async () => undefined
  })
  await vi.waitFor(() =>
    expect(world.pipeline.troubles()).toEqual(['nobody has registered the app on the chain']),
  )
  world.chain = async () => rulesOf(firstKey)
  await vi.waitFor(() => expect(world.served).toEqual([1]))
  world.chain = async () => {
    throw new Error('down')
  }
  await vi.waitFor(() => expect(world.pipeline.troubles()).toEqual(['the chain cannot be read: down']))
  world.say(snapshotOf(2))
  await vi.waitFor(() => expect(world.served).toEqual([1, 2]))
})

test('a new release key takes over from the old one, which is heard no more', async () => {
  begin((w) => w.stored.push(snapshotOf(1)))
  await vi.waitFor(() => expect(world.served).toEqual([1]))
  world.stored.push(snapshotOf(3, secondKey), snapshotOf(4, secondKey))
  world.chain = async () => rulesOf(secondKey, 4)
  await vi.waitFor(() => expect(world.served).toEqual([1, 4]))
  expect([...world.open.values()]).toEqual([[secondKey]])
})

test('what an earlier run had accepted is served before the chain is heard', async () => {
  begin((w) => {
    w.chain = () => new Promise(() => {})
  })
  const event = snapshotOf(7)
  const book = createReleaseBook(appId(coordinate), firstKey)
  expect(book.add(event)).toBeUndefined()
  expect(await world.pipeline.resume(book.after(undefined, 0)[0]!)).toBe(true)
  expect(world.site.current()?.release.seq).toBe(7)
})
