import { performance } from 'node:perf_hooks'
import {
  addRun,
  campaign,
  isClean,
  nothing,
  openJournal,
  type RunJson,
  type Sum,
} from '@understudy/tests/simulation/campaign'
import type { BenchResult } from './result.ts'

const wanted = 1_000

/**
 * Every adversary against the attesters' own code, in the simulator: what it stole, moved, stopped or got away with. SIMULATIONS names the
 * file of a campaign (`npm run simulate -- --out`) to count in and go on with.
 */
export async function bench(): Promise<BenchResult> {
  const started = performance.now()
  const byAdversary = new Map<string, Sum>()
  const findings: string[] = []
  let all: Sum = nothing
  const add = (run: RunJson) => {
    all = addRun(all, run)
    byAdversary.set(run.adversary, addRun(byAdversary.get(run.adversary) ?? nothing, run))
    for (const finding of run.findings) findings.push(`${run.adversary}, seed ${run.seed}: ${finding}`)
  }
  const journal = openJournal(process.env.SIMULATIONS)
  for (const run of journal.runs) add(run)
  await campaign(
    journal.next,
    () => all.epochs >= wanted,
    (run, index) => {
      add(run)
      journal.append(run, index)
      if (all.runs % 50 === 0) console.error(`${all.epochs} of ${wanted} epochs`)
    },
  )
  const { epochs, stolen, honestPayShiftPpm, settlementsLost, equivocationsMissed, honestConvicted } = all
  console.error('| adversary | epochs | stolen µSTX | honest pay moved ppm | lost | missed | convicted |')
  console.error('|---|---|---|---|---|---|---|')
  for (const [name, of] of byAdversary)
    console.error(
      `| ${[name, of.epochs, of.stolen, of.honestPayShiftPpm, of.settlementsLost, of.equivocationsMissed, of.honestConvicted].join(' | ')} |`,
    )
  for (const finding of findings.slice(0, 20)) console.error(finding)
  const wrong = settlementsLost + equivocationsMissed + honestConvicted
  return {
    ...{ bench: 'adversaries', value: wrong, unit: 'wrong outcomes', floor: 0, ratio: wrong, goal: 0 },
    met: isClean(all) && epochs >= wanted,
    ...{
      epochs,
      stolen: Number(stolen),
      honestPayShiftPpm,
      settlementsLost,
      equivocationsMissed,
      honestConvicted,
    },
    adversaries: byAdversary.size,
    seconds: Math.round((performance.now() - started) / 1_000),
  }
}
