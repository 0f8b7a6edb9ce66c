import { adversaries } from '../adversaries/all.ts'
import { runAt } from './campaign.ts'
import { simulate } from './run.ts'

// One process of a campaign: a number comes in, what became of that run goes out.
process.on('message', async (index: number) => {
  const { adversary, seed } = runAt(index)
  const run = await simulate(adversaries.find(({ name }) => name === adversary)!, seed)
  process.send?.({ index, run: { ...run, stolen: String(run.stolen) } })
})
