import type { NostrEvent } from '@understudy/protocol/event'
import { afterEach, expect, test } from 'vitest'
import { author, connect, startRelay } from './fixture.ts'
import { startVerification } from './verification.ts'

const alice = await author(1)
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function start(threads = 2) {
  const verification = startVerification(threads)
  cleanups.push(verification.close)
  return verification
}

const events = Array.from({ length: 200 }, (_, i) => {
  const event = alice.sign({ content: String(i) })
  return i % 7 === 3 ? { ...event, content: 'forged' } : event
})
const genuine = (_: NostrEvent, i: number) => i % 7 !== 3

test('each event has its own verdict, on any number of threads', async () => {
  for (const threads of [1, 3]) {
    const { verify } = start(threads)
    expect(await Promise.all(events.map((event) => verify(event)))).toEqual(events.map(genuine))
  }
})

test('who sends little does not wait for who sends much', async () => {
  const { verify } = start(1)
  const settled: string[] = []
  const flood = {}
  const all = events.map((event) => verify(event, undefined, flood).then(() => settled.push('flood')))
  await verify(events[0]!, undefined, {}).then(() => settled.push('one'))
  expect(settled.indexOf('one')).toBeLessThan(60)
  await Promise.all(all)
})

test('a thread that dies is replaced, and only what killed it is refused', async () => {
  const { verify } = start(2)
  const poison = { ...events[0]!, tags: undefined as unknown as string[][] }
  const batch = [...events.slice(0, 10), poison, ...events.slice(10, 20)]
  const verdicts = await Promise.all(batch.map((event) => verify(event)))
  expect(verdicts[10]).toBe(false)
  verdicts.splice(10, 1)
  expect(verdicts).toEqual(events.slice(0, 20).map(genuine))
})

test('closing settles what waits', async () => {
  const { verify, close } = start(1)
  const verdicts = Promise.all(events.map((event) => verify(event)))
  await close()
  expect(await verdicts).toHaveLength(events.length)
  expect(await verify(events[0]!)).toBe(false)
})

test('what one connection sends is stored and delivered in its order, forged ones left out', async () => {
  const { verify } = start(2)
  const { url, stop, relay } = await startRelay({ verify })
  cleanups.push(stop)
  const [writer, reader] = [await connect(url), await connect(url)]
  cleanups.push(writer.close, reader.close)
  reader.send('REQ', 'q', { kinds: [4617] })
  await reader.next('EOSE')
  for (const event of events) writer.send('EVENT', event)
  const expected = events.filter(genuine).map((event) => event.id)
  await reader.until(() => reader.frames.length === expected.length)
  expect(reader.frames.map((frame) => (frame[2] as NostrEvent).id)).toEqual(expected)
  expect(await relay.query([{}])).toHaveLength(expected.length)
})
