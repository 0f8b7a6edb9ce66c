import { fork } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { adversaries } from '../adversaries/all.ts'
import type { Run } from './run.ts'

/** A run as JSON: money as a decimal string. */
export type RunJson = Omit<Run, 'stolen'> & { readonly stolen: string }

/** What became of many runs. */
export interface Sum {
  readonly runs: number
  readonly epochs: number
  readonly stolen: bigint
  readonly honestPayShiftPpm: number
  readonly settlementsLost: number
  readonly equivocationsMissed: number
  readonly honestConvicted: number
}

export const nothing: Sum = {
  ...{ runs: 0, epochs: 0, stolen: 0n, honestPayShiftPpm: 0 },
  ...{ settlementsLost: 0, equivocationsMissed: 0, honestConvicted: 0 },
}

export const addRun = (sum: Sum, run: RunJson): Sum => ({
  runs: sum.runs + 1,
  epochs: sum.epochs + run.epochs,
  stolen: sum.stolen + BigInt(run.stolen),
  honestPayShiftPpm: Math.max(sum.honestPayShiftPpm, run.honestPayShiftPpm),
  settlementsLost: sum.settlementsLost + run.settlementsLost,
  equivocationsMissed: sum.equivocationsMissed + run.equivocationsMissed,
  honestConvicted: sum.honestConvicted + run.honestConvicted,
})

/** The bounds: an honest mirror's pay may move by less than 1 %. */
export const isClean = (sum: Sum): boolean =>
  sum.stolen === 0n &&
  sum.honestPayShiftPpm < 10_000 &&
  sum.settlementsLost + sum.equivocationsMissed + sum.honestConvicted === 0

/** Goes through the adversaries again and again, one seed higher each time round. Which run a number names never changes while they stay the same. */
export function runAt(index: number): { readonly adversary: string; readonly seed: number } {
  return {
    adversary: adversaries[index % adversaries.length]!.name,
    seed: 1 + Math.floor(index / adversaries.length),
  }
}

/** A campaign that can be stopped and gone on with: one JSON line a run. */
export interface Journal {
  /** What was run before. */
  readonly runs: readonly RunJson[]
  /** Number of the next run. */
  readonly next: number
  append(run: RunJson, index: number): void
}

/** Opens a journal, or begins one; without a file nothing is kept. */
export function openJournal(file: string | undefined): Journal {
  const runs: RunJson[] = []
  let next = 0
  const text = file && existsSync(file) ? readFileSync(file, 'utf8') : ''
  for (const line of text.split('\n')) {
    // The last line of a campaign that was stopped may be half a line.
    if (!line.endsWith('}')) continue
    const { index, ...run } = JSON.parse(line) as RunJson & { index: number }
    runs.push(run)
    next = Math.max(next, index + 1)
  }
  return {
    runs,
    next,
    append(run, index) {
      if (file) appendFileSync(file, `${JSON.stringify({ index, ...run })}\n`)
    },
  }
}

/**
 * Runs simulations in as many processes as there are processors, from number `from` on, until `enough` says so; each result is told as
 * it comes.
 */
export async function campaign(
  from: number,
  enough: () => boolean,
  onRun: (run: RunJson, index: number) => void,
): Promise<void> {
  let next = from
  const worker = fileURLToPath(new URL(`./worker${extname(import.meta.url)}`, import.meta.url))
  await Promise.all(
    Array.from({ length: availableParallelism() }, () => {
      const child = fork(worker)
      return new Promise<void>((resolve, reject) => {
        const give = () => {
          if (enough()) child.disconnect()
          else child.send(next++)
        }
        child.on('message', ({ index, run }: { index: number; run: RunJson }) => {
          onRun(run, index)
          give()
        })
        child.on('exit', (code) =>
          code === 0 ? resolve() : reject(new Error(`a simulation process ended with ${code}`)),
        )
        give()
      })
    }),
  )
}
