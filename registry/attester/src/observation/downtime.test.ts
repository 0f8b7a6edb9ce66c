import { expect, test } from 'vitest'
import { downBlocksIn, missedIn } from './downtime.ts'

const schedule = { start: 100, length: 10 }
const at = (burnHeight: number, seenAt: number) => ({ burnHeight, seenAt })
const down = (epoch: number, before: ReturnType<typeof at>, now: ReturnType<typeof at>) =>
  downBlocksIn(schedule, epoch, before, now, 500)

test('a pause in which no probe was due is no downtime, however many blocks there were', () => {
  expect(down(0, at(103, 1_000), at(109, 1_500))).toBe(0)
})

test('a chain that stood still was not missed', () => {
  expect(down(0, at(103, 1_000), at(103, 9_999_000))).toBe(0)
})

test('a gap over an end is shared out by blocks', () => {
  expect([0, 1, 2].map((epoch) => down(epoch, at(108, 0), at(116, 8_000)))).toEqual([2, 6, 0])
  expect(down(1, at(105, 0), at(125, 20_000))).toBe(10)
})

test('as many probes were missed as would have been made at the same rate', () => {
  expect(missedIn(schedule, 0, 12)).toBe(0)
  expect(missedIn(schedule, 5, 12)).toBe(12)
  expect(missedIn(schedule, 8, 3)).toBe(12)
})
