import { epochTag } from '@understudy/protocol/attestation'
import { tag } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { expect, test } from 'vitest'
import type { Adversary } from '../adversaries/adversary.ts'
import { adversaries } from '../adversaries/all.ts'
import type { SimulatedAttester } from './attester.ts'
import { simulate } from './run.ts'
import { keyedSigning } from './signing.ts'
import { inSimulatedTime } from './time.ts'
import { createWorld, ordinary } from './world.ts'

/** One epoch: the time of all together is what a test run can spare. */
const short = (adversary: Adversary): Adversary => ({
  ...adversary,
  // Who goes away was there before.
  setting: { ...adversary.setting, epochs: adversary.name === 'attester away' ? 2 : 1 },
})
const named = (name: string) => adversaries.find((adversary) => adversary.name === name)!

test('the same seed twice is the same run, to the last message', async () => {
  const adversary = short(named('crashing attesters'))
  const lines: string[] = []
  const first = await simulate(adversary, 7, (line) => lines.push(line))
  // What a relay lacked, or an attester, came over by NIP-77.
  expect(lines.some((line) => line.includes(' reconciled '))).toBe(true)
  expect((await simulate(adversary, 7)).trace).toBe(first.trace)
  expect((await simulate(adversary, 8)).trace).not.toBe(first.trace)
}, 300_000)

test('an attester that lost its memory says nothing of the epoch whose greater part it forgot, and all of the next', async () => {
  const world = createWorld('forgets', ordinary, keyedSigning())
  const [forgetful] = world.attesters as [SimulatedAttester]
  world.time.at(world.atBurn(world.beginOf(0) + 30), () => {
    forgetful.crash()
    forgetful.loseMemory()
    forgetful.start()
  })
  await inSimulatedTime(world.time, world.dice.of('runtime').next, () => world.run())
  const said = (epoch: number) =>
    world.attesters.map(
      ({ identity }) =>
        world
          .published()
          .filter(
            (event) =>
              event.kind === kinds.attestation &&
              event.pubkey === identity.pubkey &&
              tag(event, 'd') === epochTag(world.app.id, epoch),
          ).length,
    )
  expect(said(0)).toEqual([0, 5, 5])
  expect(said(1)).toEqual([5, 5, 5])
  expect(world.chain.factsOf(0)).toBeDefined()
  expect([...world.chain.state().banned]).toEqual([])
  for (const attester of world.attesters) attester.disk.close()
}, 300_000)

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
