import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadSigner } from '@understudy/relays/signer'
import { WebSocket } from 'ws'
import { attestation, quantile, residentMiB, startRelay } from './relay-program.ts'
import type { BenchResult } from './result.ts'

const connections = 10_000
/** Opened at once: what a listener's queue holds. */
const wave = 250
/** Replaced each second while connections come and go. */
const churn = 200
const churnSeconds = Number(process.env.CHURN_SECONDS ?? 30)
/** What the claim of flat memory is about. */
const wholeChurnSeconds = 600
const maxMiB = 512
const maxFanoutMs = 1_000
/** Growth over the churn that counts as flat. */
const maxGrowth = 1.15

interface Sample {
  readonly minutes: number
  readonly mib: number
}

const typicalMiB = (samples: readonly Sample[]) =>
  quantile(
    samples.map(({ mib }) => mib),
    0.5,
  )

/** Growth of a straight line through the samples, MiB a minute: what one minute's luck does not decide. */
function slope(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number) =>
    samples.reduce((sum, one) => sum + of(one), 0) / samples.length
  const [minutes, mib] = [mean((one) => one.minutes), mean((one) => one.mib)]
  const spread = mean((one) => (one.minutes - minutes) ** 2)
  return Math.round((100 * mean((one) => (one.minutes - minutes) * (one.mib - mib))) / spread) / 100
}

/**
 * MiB that the relay holds with 10,000 idle connections of one subscription each; a new event reaches all of them within a second, and
 * memory stays flat, first minute against last, while connections come and go (CHURN_SECONDS, default 30). Floor: what is allowed.
 */
export async function bench(): Promise<BenchResult> {
  const signer = await loadSigner(new Uint8Array(32).fill(7))
  const dir = await mkdtemp(join(tmpdir(), 'understudy-bench-'))
  const { url, child, stop } = await startRelay(dir)
  const open: WebSocket[] = []
  let reached = 0
  let onReached = () => {}

  function connect(): Promise<WebSocket> {
    return new Promise((resolve, reject) => {
      const ws = new WebSocket(url)
      ws.once('error', reject)
      ws.once('open', () => ws.send('["REQ","s",{"kinds":[4617],"limit":0}]'))
      ws.on('message', (data: Buffer) => {
        // `["EOSE",…` or `["EVENT",…`
        if (data[3] === 0x4f) resolve(ws)
        else if (data[3] === 0x56 && ++reached === open.length) onReached()
      })
    })
  }

  let published = 0
  async function publish(): Promise<number> {
    const event = await signer.signEvent(attestation(published++))
    const writer = new WebSocket(url)
    await new Promise((resolve, reject) => writer.once('open', resolve).once('error', reject))
    const all = new Promise<void>((resolve) => {
      onReached = resolve
    })
    reached = 0
    const start = performance.now()
    writer.send(JSON.stringify(['EVENT', event]))
    await all
    const took = performance.now() - start
    writer.close()
    return took
  }

  try {
    const emptyMiB = await residentMiB(child.pid!)
    while (open.length < connections) open.push(...(await Promise.all(Array.from({ length: wave }, connect))))
    const resident = await residentMiB(child.pid!)
    const fanouts: number[] = []
    for (let i = 0; i < 5; i++) fanouts.push(await publish())
    const fanoutMs = quantile(fanouts, 1)
    console.error(
      `bench: ${connections} connections, ${resident} MiB; an event reached all within ${fanoutMs} ms`,
    )

    if (churnSeconds < wholeChurnSeconds)
      console.error(
        `bench: churn is shortened to ${churnSeconds} s; CHURN_SECONDS=${wholeChurnSeconds} is the whole`,
      )
    const samples: Sample[] = []
    const began = performance.now()
    for (let second = 0; second < churnSeconds; second++) {
      const next = new Promise((resolve) => setTimeout(resolve, 1_000))
      const leaving = open.splice(0, churn)
      for (const ws of leaving) ws.terminate()
      open.push(...(await Promise.all(leaving.map(connect))))
      await publish()
      await next
      const sample = {
        minutes: (performance.now() - began) / 60_000,
        mib: await residentMiB(child.pid!),
      }
      samples.push(sample)
      if (samples.length % 60 === 0) console.error(`bench: ${samples.length} s of churn: ${sample.mib} MiB`)
    }
    const minute = Math.min(60, Math.ceil(samples.length / 3))
    const early = typicalMiB(samples.slice(0, minute))
    const late = typicalMiB(samples.slice(-minute))
    const residentMax = Math.max(resident, ...samples.map(({ mib }) => mib))
    const flat = late <= early * maxGrowth
    return {
      bench: 'connections',
      value: residentMax,
      unit: 'MiB',
      floor: maxMiB,
      ratio: maxMiB / residentMax,
      goal: 1,
      met: residentMax <= maxMiB && fanoutMs <= maxFanoutMs && flat,
      connections,
      residentMiB: residentMax,
      emptyMiB,
      fanoutMs,
      churnSeconds,
      churnShortened: churnSeconds < wholeChurnSeconds,
      churnEarlyMiB: early,
      churnLateMiB: late,
      churnSlopeMiBPerMinute: slope(samples),
      churnTookSeconds: Math.round((performance.now() - began) / 1_000),
    }
  } finally {
    for (const ws of open) ws.terminate()
    await stop()
    await rm(dir, { recursive: true, force: true })
  }
}
