import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NostrEvent } from '@understudy/protocol/event'
import { afterEach, expect, test, vi } from 'vitest'
import { author, connect, startRelay, testTime } from './fixture.ts'
import { openStore } from './store.ts'
import { startStore } from './writing.ts'

const alice = await author(1)
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function file(): string {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-writing-'))
  cleanups.push(() => rmSync(dir, { recursive: true }))
  return join(dir, 'relay.sqlite')
}
const entry = (event: NostrEvent) => ({ event, json: JSON.stringify(event) })
const search = (upTo: number) => ({ upTo, now: testTime, limit: 1_000 })

test('what is acknowledged is found at once, is in order, and is there when the file is opened again', async () => {
  const path = file()
  const store = startStore(path)
  const events = Array.from({ length: 300 }, (_, i) =>
    alice.sign({ content: String(i), created_at: testTime - i }),
  )
  // Many transactions under way; each is answered for itself.
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, i) => store.insert(events.slice(i * 10, i * 10 + 10).map(entry))),
  )
  expect(answers.flat()).toEqual(Array(300).fill('stored'))
  expect(store.head()).toBe(300)
  expect(store.load(store.find({}, search(store.head())))).toEqual(
    events.map((event) => JSON.stringify(event)),
  )
  expect(await store.insert([entry(events[0]!)])).toEqual(['duplicate'])
  await store.close()
  const again = openStore(path)
  cleanups.push(() => again.close())
  expect(again.count()).toBe(300)
})

test('a batch that cannot be written is refused, and the next one is taken', async () => {
  const store = startStore(file())
  cleanups.push(() => store.close())
  const good = alice.sign({})
  const broken = { event: good, json: JSON.stringify({ ...good, kind: null }) }
  await expect(store.insert([entry(good), broken])).rejects.toThrow()
  expect(store.head()).toBe(0)
  expect(store.has(good.id)).toBe(false)
  expect(await store.insert([entry(good)])).toEqual(['stored'])
})

test('a closed store takes nothing more', async () => {
  const store = startStore(file())
  const written = store.insert([entry(alice.sign({}))])
  const closed = store.close()
  await expect(store.insert([entry(alice.sign({}))])).rejects.toThrow('the store is closed')
  expect(await written).toEqual(['stored'])
  await closed
})

test('what expires is swept by the thread as well', async () => {
  const store = startStore(file())
  cleanups.push(() => store.close())
  await store.insert([entry(alice.sign({ tags: [['expiration', String(testTime)]] })), entry(alice.sign({}))])
  const { stop } = await startRelay({ store, limits: { sweepMs: 20 } })
  cleanups.push(stop)
  await vi.waitFor(() => expect(store.count()).toBe(1), { timeout: 20_000, interval: 20 })
})

test('a subscriber who asks while others write misses nothing and hears nothing twice', async () => {
  const store = startStore(file())
  cleanups.push(() => store.close())
  const { url, stop } = await startRelay({ store })
  cleanups.push(stop)
  const writer = await connect(url)
  cleanups.push(writer.close)
  const events = Array.from({ length: 400 }, (_, i) => alice.sign({ content: String(i) }))
  const readers: Awaited<ReturnType<typeof connect>>[] = []
  for (const [i, event] of events.entries()) {
    writer.send('EVENT', event)
    if (i % 40 !== 20) continue
    const reader = await connect(url)
    cleanups.push(reader.close)
    reader.send('REQ', 'q', {})
    readers.push(reader)
  }
  await writer.until(() => writer.frames.filter(([type]) => type === 'OK').length === events.length, 30_000)
  for (const reader of readers) {
    const heard = () =>
      reader.frames.flatMap(([type, , e]) => (type === 'EVENT' ? [(e as NostrEvent).id] : []))
    await reader.until(() => heard().length >= events.length, 30_000)
    expect(heard().sort()).toEqual(events.map((event) => event.id).sort())
  }
})
