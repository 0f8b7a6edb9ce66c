import type { Adversary } from '../adversaries/adversary.ts'
import { judge, type Verdict } from './judge.ts'
import { keyedSigning, realSigning } from './signing.ts'
import { inSimulatedTime } from './time.ts'
import { createWorld, ordinary } from './world.ts'

export interface Run extends Verdict {
  readonly adversary: string
  readonly seed: number
  /** sha256 of everything that happened, hex. */
  readonly trace: string
}

/** One in so many runs signs its events as outside; the others by keyed hashes. */
const realSignatures = 25

/** One seed is one run. */
export async function simulate(
  adversary: Adversary,
  seed: number,
  onLine?: (line: string) => void,
): Promise<Run> {
  const signing = seed % realSignatures === 0 ? await realSigning() : keyedSigning()
  const world = createWorld(
    `${adversary.name} ${seed}`,
    { ...ordinary, ...adversary.setting },
    signing,
    onLine,
  )
  const guilt = adversary.enter(world)
  const verdict = await inSimulatedTime(world.time, world.dice.of('runtime').next, async () => {
    await world.run()
    return judge(world, guilt)
  })
  for (const attester of world.attesters) attester.disk.close()
  return { adversary: adversary.name, seed, trace: world.traceHash(), ...verdict }
}
