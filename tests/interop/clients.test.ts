import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EventTemplate, NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { signerOf } from '@understudy/relays/signer'
import { diff, pull, push } from '@welshman/net'
import { Relay as ApplesauceRelay, SyncDirection } from 'applesauce-relay'
import { type Filter, nip77 } from 'nostr-tools'

import { Relay } from 'nostr-tools/relay'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type RunningProgram, startProgram } from '../browser/program.ts'
import { type Client, libraries, welshmanContext } from './clients.ts'

// `@welshman/net` takes whoever has no window for an old Node.
globalThis.window ??= globalThis as unknown as typeof globalThis.window

// Other people's clients, as they come from npm, against the relay program that operators run.

const secret = new Uint8Array(32).fill(7)
const alice = signerOf(secret)
const now = Math.floor(Date.now() / 1000)
let serial = 0
const sign = (template: Partial<EventTemplate>) =>
  alice.signEvent({
    kind: kinds.attestation,
    created_at: now - 1_000 + serial++,
    tags: [],
    content: '',
    ...template,
  }) as NostrEvent

let home: string
let open: RunningProgram
/** Reads and writes for Alice alone. */
let named: RunningProgram
const clients: { close(): void }[] = []

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'understudy-interop-'))
  const start = (name: string, env: Record<string, string> = {}) =>
    startProgram('node/dist/relay/main.js', [], {
      HOST: '127.0.0.1',
      PORT: '0',
      DATA_DIR: join(home, name),
      LOG_LEVEL: 'info',
      ...env,
    })
  ;[open, named] = await Promise.all([
    start('open'),
    start('named', { READERS: alice.pubkey, WRITERS: alice.pubkey }),
  ])
}, 300_000)

afterEach(() => {
  for (const client of clients.splice(0)) client.close()
})

afterAll(async () => {
  await Promise.all([open?.stop(), named?.stop()])
  rmSync(home, { recursive: true, force: true })
})

const until = (condition: () => unknown) => vi.waitFor(condition, { timeout: 60_000, interval: 20 })
const ids = (events: readonly NostrEvent[]) => events.map((event) => event.id).sort()

describe.each(libraries)('%s', (name, openClient) => {
  const client = (program: RunningProgram, key = secret): Client => {
    const opened = openClient(`${program.url}/`, key)
    clients.push(opened)
    return opened
  }
  /** Marks the events of one test. */
  const mark = (what: string) => ['d', `${name} ${what}`]

  test('publishes, and finds what is stored', async () => {
    const one = client(open)
    const events = [1, 2, 3].map((n) => sign({ tags: [mark('stored')], content: String(n) }))
    for (const event of events) expect(await one.publish(event)).toMatchObject({ ok: true })
    expect(ids(await client(open).stored({ '#d': [mark('stored')[1]!] }))).toEqual(ids(events))
    const [only] = await client(open).stored({ ids: [events[1]!.id] })
    expect(only).toMatchObject(events[1]!)
  })

  test('is told why an event is refused', async () => {
    const forged = { ...sign({}), sig: '0'.repeat(128) }
    expect(await client(open).publish(forged)).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/bad id or signature/),
    })
    expect(await client(open).publish(sign({ kind: 1 }))).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/kind 1/),
    })
  })

  test('hears stored events, the end of them, and then live ones', async () => {
    const [reader, writer] = [client(open), client(open)]
    const [before, after] = ['before', 'after'].map((content) => sign({ tags: [mark('live')], content }))
    await writer.publish(before!)
    const heard: NostrEvent[] = []
    await reader.follow({ kinds: [kinds.attestation], '#d': [mark('live')[1]!] }, (event) =>
      heard.push(event),
    )
    await until(() => expect(ids(heard)).toEqual([before!.id]))
    await writer.publish(after!)
    await until(() => expect(ids(heard)).toEqual(ids([before!, after!])))
  })

  test('has an event of its own deleted, for good', async () => {
    const one = client(open)
    const event = sign({ kind: kinds.repository, tags: [mark('deleted')] })
    await one.publish(event)
    const request = sign({
      kind: 5,
      tags: [
        ['e', event.id],
        ['k', String(kinds.repository)],
      ],
    })
    expect(await one.publish(request)).toMatchObject({ ok: true })
    expect(await client(open).stored({ ids: [event.id] })).toEqual([])
    expect(await client(open).publish(event)).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/deleted/),
    })
  })

  test('says who it is when the relay wants a name, and is served (NIP-42)', async () => {
    const one = client(named)
    const event = sign({ tags: [mark('named')] })
    await until(async () => expect(await one.publish(event)).toMatchObject({ ok: true }))
    const filter = { '#d': [mark('named')[1]!] }
    await until(async () => expect(ids(await one.stored(filter))).toEqual([event.id]))
    // Somebody else says who he is, too, and gets nothing.
    const other = client(named, new Uint8Array(32).fill(8))
    expect(await other.publish(sign({ tags: [mark('named')] }))).toMatchObject({ ok: false })
  })
})

describe('sets of events are made equal (NIP-77) by', () => {
  /** What both have, what only the relay has, and what only the client has. */
  async function differing(label: string, size = 100) {
    const make = (n: number) => Array.from({ length: n }, () => sign({ tags: [['d', label]] }))
    const [both, theirs, ours] = [make(size), make(size / 10), make(size / 5)]
    const relay = await Relay.connect(open.url)
    clients.push(relay)
    await Promise.all([...both, ...theirs].map((event) => relay.publish(event)))
    return { relay, both, theirs, ours, mine: [...both, ...ours], filter: { '#d': [label] } }
  }
  async function expectOnRelay(filter: Filter, events: readonly NostrEvent[]): Promise<void> {
    const [, openClient] = libraries[0]!
    const reader = openClient(open.url, secret)
    clients.push(reader)
    await until(async () => expect(ids(await reader.stored(filter))).toEqual(ids(events)))
  }

  test('nostr-tools', async () => {
    const { relay, theirs, ours, mine, filter } = await differing('sync nostr-tools')
    const storage = new nip77.NegentropyStorageVector()
    for (const event of mine) storage.insert(event.created_at, event.id)
    storage.seal()
    const [have, need]: [string[], string[]] = [[], []]
    await new Promise<void>((resolve, reject) => {
      const sync = new nip77.NegentropySync(relay, storage, filter, {
        onhave: (id) => have.push(id),
        onneed: (id) => need.push(id),
        onclose: (error) => (error ? reject(new Error(error)) : resolve()),
      })
      void sync.start()
    })
    expect(have.sort()).toEqual(ids(ours))
    expect(need.sort()).toEqual(ids(theirs))
  })

  test('@welshman/net', async () => {
    const { both, theirs, ours, mine, filter } = await differing('sync welshman')
    const context = welshmanContext(async (template) => alice.signEvent(template))
    clients.push({ close: () => context.pool.clear() })
    const options = { relays: [`${open.url}/`], filters: [filter], events: mine, context }
    const [found] = await diff(options)
    expect([...found!.have].sort()).toEqual(ids(ours))
    expect([...found!.need].sort()).toEqual(ids(theirs))
    expect(ids((await pull(options)) as NostrEvent[])).toEqual(ids(theirs))
    await push(options)
    await expectOnRelay(filter, [...both, ...theirs, ...ours])
  })

  test('applesauce-relay', async () => {
    // 6.2.1 never sends a second message: a set that is settled by the first.
    const { both, theirs, ours, mine, filter } = await differing('sync applesauce', 20)
    const relay = new ApplesauceRelay(`${open.url}/`)
    clients.push(relay)
    const received: NostrEvent[] = []
    await new Promise<void>((resolve, reject) => {
      relay.sync(mine, filter, SyncDirection.BOTH).subscribe({
        next: (event) => received.push(event),
        error: reject,
        complete: resolve,
      })
    })
    expect(ids(received)).toEqual(ids(theirs))
    await expectOnRelay(filter, [...both, ...theirs, ...ours])
  })
})
