import { setImmediate as turn } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { createSlices } from './slices.ts'

/** Holds the event loop. */
function work(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

test('jobs are done in order, a slice in a turn of the event loop, and the rest in the turns after', async () => {
  const done: number[] = []
  let turns = 0
  const drained = vi.fn()
  const slices = createSlices(drained, 5)
  for (let n = 0; n < 10; n++)
    slices.push(() => {
      work(3)
      done.push(n)
    })
  expect(done.length).toBeLessThanOrEqual(2)
  expect(slices.size()).toBe(10 - done.length)
  drained.mockClear()
  for (; slices.size() > 0; turns++) await turn()
  expect(turns).toBeGreaterThanOrEqual(3)
  expect(done).toEqual(Array.from({ length: 10 }, (_, n) => n))
  expect(drained).toHaveBeenCalledOnce()
})

test('what is pushed when nothing waits is done at once, and what waits when it ends is not', async () => {
  const done: string[] = []
  const slices = createSlices(() => {}, 5)
  slices.push(() => done.push('first'))
  expect(done).toEqual(['first'])
  slices.push(() => work(10))
  slices.push(() => done.push('never'))
  slices.end()
  for (let i = 0; i < 5; i++) await turn()
  expect(done).toEqual(['first'])
})
