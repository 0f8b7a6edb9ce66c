import { expect, test } from 'vitest'
import { adversaries } from '../adversaries/all.ts'
import { simulate } from './run.ts'

const named = (name: string) => adversaries.find((adversary) => adversary.name === name)!

test('the same seed twice is the same run, to the last message', async () => {
  const adversary = named('crashing attesters')
  const first = await simulate(adversary, 7)
  expect((await simulate(adversary, 7)).trace).toBe(first.trace)
  expect((await simulate(adversary, 8)).trace).not.toBe(first.trace)
})

// One seed for everybody here; thousands in `npm run bench -- adversaries` and at night.
test.each(adversaries)('$name: $lie', async (adversary) => {
  const run = await simulate(adversary, 1)
  expect(run.findings).toEqual([])
  expect(run).toMatchObject({ stolen: 0n, settlementsLost: 0, equivocationsMissed: 0, honestConvicted: 0 })
  expect(run.honestPayShiftPpm).toBeLessThan(10_000)
})
