import { performance } from 'node:perf_hooks'
import { hiding, properties, randomTrial, splitting } from '@understudy/protocol/score-properties'
import { dice } from './dice.ts'
import type { BenchResult } from './result.ts'

const populations = 20_000

/** Every property of the score on random populations; and the most that splitting or hiding a mirror multiplies its pay by. */
export async function bench(): Promise<BenchResult> {
  const started = performance.now()
  let maxGain = 0
  let moves = 0
  const violations: string[] = []
  for (let seed = 1; seed <= populations; seed++) {
    const pick = dice(seed)
    const trial = randomTrial(pick, seed % 50 === 0 ? 200 : 24)
    for (const move of [splitting(trial), hiding(trial)]) {
      if (move.before === 0n && move.after === 0n) continue
      moves++
      maxGain = Math.max(maxGain, Number(move.after) / Number(move.before))
    }
    for (const [property, holds] of Object.entries(properties))
      if (!holds(trial)) violations.push(`seed ${seed}: ${property}`)
  }
  for (const violation of violations.slice(0, 10)) console.error(violation)
  return {
    bench: 'score',
    value: maxGain,
    unit: '× pay',
    floor: 1,
    ratio: maxGain,
    goal: 1,
    met: maxGain <= 1 && violations.length === 0,
    populations,
    moves,
    maxGain,
    violations: violations.length,
    seconds: Math.round((performance.now() - started) / 1_000),
  }
}
