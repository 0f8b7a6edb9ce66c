import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startSample, type Visits, visit } from '@understudy/node/sample'
import { quantile } from './relay-program.ts'
import type { BenchResult } from './result.ts'

const switches = Number(process.env.SWITCHES ?? 1_000)
const visitors = Number(process.env.VISITORS ?? 64)
/** Switches, and quiet of the same length, take turns, so that a busy machine is busy for both. */
const slices = Math.min(20, switches)
/** p99 while switching over p99 while quiet. */
const maxTimes = 2

// Forked, this file is the visitors.
if (process.send && process.argv[2] === 'visitors') {
  let ended = false
  process.on('disconnect', () => process.exit(0))
  process.on('message', async (message: { url: string } | 'end') => {
    if (message === 'end') {
      ended = true
      return
    }
    ended = false
    process.send!(await visit(message.url, visitors, () => ended))
  })
  process.send!('ready')
}

/**
 * Releases switched to under load, by the node's whole pipeline: preparation out of git, readiness, switch, pruning. No answer may
 * fail, no page may be put together from two releases. Value: p99 of an answer while switching, ms; floor: the same while quiet.
 */
export async function bench(): Promise<BenchResult> {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-switch-'))
  const sample = await startSample(dir, switches + 1)
  const client = fork(fileURLToPath(import.meta.url), ['visitors'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const during = async (what: () => Promise<void>): Promise<Visits> => {
    client.send({ url: sample.url })
    await what()
    client.send('end')
    const [visits] = (await once(client, 'message')) as [Visits]
    return visits
  }
  try {
    await once(client, 'message')
    await sample.next()
    await during(() => new Promise((resolve) => setTimeout(resolve, 500)))
    const p99: { quiet: number[]; switching: number[] } = { quiet: [], switching: [] }
    const total = { pages: 0, answers: 0, failed: 0, mixed: 0 }
    const add = (visits: Visits) => {
      for (const name of ['pages', 'answers', 'failed', 'mixed'] as const) total[name] += visits[name]
      for (const fault of visits.faults) console.error(`switch: ${fault}`)
      return quantile([...visits.latencies], 0.99)
    }
    const took: number[] = []
    for (let slice = 0; slice < slices; slice++) {
      const since = performance.now()
      const upTo = Math.round(((slice + 1) * switches) / slices)
      p99.switching.push(
        add(
          await during(async () => {
            while (took.length < upTo) took.push(await sample.next())
          }),
        ),
      )
      const ms = Math.max(1_000, performance.now() - since)
      p99.quiet.push(add(await during(() => new Promise((resolve) => setTimeout(resolve, ms)))))
      console.error(
        `switch: ${took.length} switches; p99 ${p99.switching.at(-1)!.toFixed(1)} ms, quiet ${p99.quiet.at(-1)!.toFixed(1)} ms; ${total.failed} failed, ${total.mixed} mixed`,
      )
    }
    const value = quantile(p99.switching, 0.5)
    const floor = quantile(p99.quiet, 0.5)
    return {
      bench: 'switch',
      value,
      unit: 'ms',
      floor,
      ratio: Math.round((floor / value) * 1_000) / 1_000,
      goal: 1 / maxTimes,
      met:
        total.failed === 0 &&
        total.mixed === 0 &&
        sample.serving() === switches + 1 &&
        value <= maxTimes * floor,
      switches: took.length,
      inFlight: visitors,
      ...total,
      medianSwitchMs: Math.round(quantile(took, 0.5)),
    }
  } finally {
    client.disconnect()
    await sample.close()
    rmSync(dir, { recursive: true, force: true })
  }
}
