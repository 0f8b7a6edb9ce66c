import { expect, test } from 'vitest'
import type { Adversary } from '../adversaries/adversary.ts'
import { adversaries } from '../adversaries/all.ts'
import { simulate } from './run.ts'

/** One epoch: the time of all together is what a test run can spare. */
const short = (adversary: Adversary): Adversary => ({
  ...adversary,
  setting: { ...adversary.setting, epochs: 1 },
})
const named = (name: string) => adversaries.find((adversary) => adversary.name === name)!

test('the same seed twice is the same run, to the last message', async () => {
  const adversary = short(named('crashing attesters'))
  const first = await simulate(adversary, 7)
  expect((await simulate(adversary, 7)).trace).toBe(first.trace)
  expect((await simulate(adversary, 8)).trace).not.toBe(first.trace)
}, 180_000)

// One seed for everybody here; thousands in `npm run bench -- adversaries` and at night.
test.each(adversaries)(
  '$name: $lie',
  async (adversary) => {
    const run = await simulate(short(adversary), 1)
    expect(run.findings).toEqual([])
    expect(run).toMatchObject({ stolen: 0n, settlementsLost: 0, equivocationsMissed: 0, honestConvicted: 0 })
    expect(run.honestPayShiftPpm).toBeLessThan(10_000)
  },
  180_000,
)
