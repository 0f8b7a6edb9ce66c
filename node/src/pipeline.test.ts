import { appId, coordinateOf } from '@understudy/protocol/app'
import type { NostrEvent } from '@understudy/protocol/event'
import { releaseTemplates } from '@understudy/protocol/release'
import type { Subscriber } from '@understudy/relays/relays'
import { afterEach, expect, test, vi } from 'vitest'
import { createPipeline, type Pipeline, type PipelineParts } from './pipeline.ts'
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
  grace: 6,
  epoch: 0,
  quorum: 2,
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
  check: PipelineParts['check'] = async () => undefined
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
    check: (made, as) => this.check(made, as),
    onSwitch: async ({ release }) => {
      this.served.push(release.seq)
    },
    random: () => 0.5,
    log: { info() {}, warn() {}, error() {} },
    rulesMs: 5,
    retryMs: 1,
    spreadMs: 86,
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

test('a release that our own server does not give as it was signed is never switched to, and says why', async () => {
  let healthy = false
  begin((w) => {
    w.stored.push(snapshotOf(1), snapshotOf(2))
    w.check = async ({ release }, as) => {
      expect(as === 'named' && w.site.current()?.release.seq === release.seq).toBe(false)
      return release.seq === 1 || healthy ? undefined : '/app.js is answered with 500'
    }
  })
  await vi.waitFor(() => expect(world.served).toEqual([1]))
  await vi.waitFor(() =>
    expect(world.pipeline.troubles()).toEqual(['release 2: /app.js is answered with 500']),
  )
  expect(world.site.current()?.release.seq).toBe(1)
  healthy = true
  await vi.waitFor(() => expect(world.served).toEqual([1, 2]))
  await vi.waitFor(() => expect(world.pipeline.troubles()).toEqual([]))
})

test('a switch after which visitors would not get the release is taken back, and says why', async () => {
  const current: (number | undefined)[] = []
  begin((w) => {
    w.stored.push(snapshotOf(1))
    w.check = async ({ release }, as) => {
      current.push(w.site.current()?.release.seq)
      return release.seq === 2 && as === 'visitor' ? '/ is answered from another release' : undefined
    }
  })
  await vi.waitFor(() => expect(world.served).toEqual([1]))
  world.say(snapshotOf(2))
  await vi.waitFor(() =>
    expect(world.pipeline.troubles()).toEqual(['release 2: rolled back: / is answered from another release']),
  )
  expect(current.slice(0, 4)).toEqual([undefined, 1, 1, 2])
  expect(world.site.current()?.release.seq).toBe(1)
  expect(world.served).toEqual([1])
})

test('a release that is heard of is followed at a random moment, within a quarter of the grace window', async () => {
  const timeout = vi.spyOn(globalThis, 'setTimeout')
  begin((w) => w.stored.push(snapshotOf(1)))
  await vi.waitFor(() => expect(world.served).toEqual([1]))
  timeout.mockClear()
  world.say(snapshotOf(2))
  const waits = timeout.mock.calls.map(([, ms]) => ms)
  timeout.mockRestore()
  expect(waits).toContain(43)
  await vi.waitFor(() => expect(world.served).toEqual([1, 2]))
})

test('a number below the one that is served changes nothing', async () => {
  begin((w) => w.stored.push(snapshotOf(5)))
  await vi.waitFor(() => expect(world.served).toEqual([5]))
  for (const seq of [3, 4, 7, 6]) world.say(snapshotOf(seq))
  await vi.waitFor(() => expect(world.served.at(-1)).toBe(7))
  expect(world.served.filter((seq) => seq < 5)).toEqual([])
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
  expect(await world.pipeline.resume(book.after(undefined, 0))).toBe(true)
  expect(world.site.current()?.release.seq).toBe(7)
})
