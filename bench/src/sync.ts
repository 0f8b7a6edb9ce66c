import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRelay } from '@understudy/node/relay/relay'
import { understudyScope } from '@understudy/node/relay/scope'
import { openStore } from '@understudy/node/relay/store'
import { createDeclined } from '@understudy/node/relay/sync'
import { startVerification } from '@understudy/node/relay/verification'
import { startStore } from '@understudy/node/relay/writing'
import type { NostrEvent } from '@understudy/protocol/event'
import { initNostrWasm } from 'nostr-wasm'
import { startFloor } from './floor.ts'
import { startIdle, watchStalls } from './idle.ts'
import { attestation, startRelay } from './relay-program.ts'
import type { BenchResult } from './result.ts'

const events = Number(process.env.SYNC_EVENTS ?? 100_000)
/** Events that only one side has, on each side. */
const differing = 1_000
/** Events that the floor verifies before, and again after. */
const sample = 4_000
const maxStallMs = 50
const filter = { kinds: [4617] }

/** A relay of this process over these events, whose event loop is watched. */
function startOwn(file: string, held: readonly NostrEvent[], threads: number) {
  insert(file, held)
  const store = startStore(file)
  const verification = startVerification(threads)
  const log = { debug() {}, error: (fields: unknown) => console.error(fields) }
  const relay = createRelay({
    store,
    verify: verification.verify,
    admit: understudyScope,
    now: Date.now,
    log,
  })
  return {
    store,
    async sync(url: string) {
      await siblingStall(url)
      const idle = await startIdle()
      const stalls = watchStalls()
      const cpu = process.cpuUsage()
      const start = performance.now()
      const result = await relay.syncWith(url, filter, { declined: createDeclined() })
      const ms = Math.round(performance.now() - start)
      const cpuMs = cpuMsSince(cpu)
      const { lateP99Ms: stallP99Ms, heldP99Ms } = stalls.end()
      if (result.failure) throw new Error(result.failure)
      return {
        ...result,
        ms,
        cpuMs,
        stallP99Ms,
        heldP99Ms,
        idleStallP99Ms: await idle.end(),
        siblingStallP99Ms: await siblingStall(url),
        residentMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
      }
    },
    async close() {
      await relay.close()
      await verification.close()
      await store.close()
    },
  }
}

/** Of all threads of this process. */
function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return Math.round((user + system) / 1_000)
}

function insert(file: string, held: readonly NostrEvent[]): void {
  const store = openStore(file)
  for (let from = 0; from < held.length; from += 1_000)
    store.insert(held.slice(from, from + 1_000).map((event) => ({ event, json: JSON.stringify(event) })))
  store.close()
}

/** The same of the sibling's event loop, since it was last asked: by its own metrics, which look every 10 ms. */
async function siblingStall(url: string): Promise<number> {
  const metrics = await (await fetch(`${url.replace(/^ws/, 'http')}metrics`)).text()
  const [, seconds] = /^nodejs_eventloop_lag_p99_seconds\{[^}]*\} (\S+)$/m.exec(metrics) ?? []
  if (seconds === undefined) throw new Error('the sibling says nothing of its event loop')
  return Math.round(Number(seconds) * 1e4) / 10 - 10
}

/**
 * Events per second that a sibling which starts empty fetches, verifies and stores. Floor: bare nostr-wasm verification on the same
 * number of threads. Before that, two siblings with 1,000 differing events on each side converge: their time and bytes, beside the time
 * of two that hold only those events, and the bytes of those events alone. The 99th percentile of how late the event loop was, on both
 * sides; beside it that of a thread that does nothing, which is what the machine is to blame for. `heldP99Ms` is the processor time that
 * ours was held for, `cpuRatio` compares processor time instead, of the floor and of all that the sibling does: a busy machine changes
 * it little.
 */
export async function bench(): Promise<BenchResult> {
  const goal = 0.6
  const threads = availableParallelism()
  const wasm = await initNostrWasm()
  const secretKey = wasm.generateSecretKey()
  console.error(`bench: signing ${events} events`)
  const signed = Array.from({ length: events }, (_, mirror) => {
    const event = { ...attestation(mirror), id: '', pubkey: '', sig: '' }
    wasm.finalizeEvent(event, secretKey)
    return event
  })
  const dir = await mkdtemp(join(tmpdir(), 'understudy-bench-'))
  const theirs = join(dir, 'sibling')
  await mkdir(theirs)
  insert(join(theirs, 'relay.sqlite'), signed.slice(differing))
  const sibling = await startRelay(theirs)
  const bare = await startFloor(signed.slice(0, sample), threads)
  const cleanups: (() => Promise<unknown>)[] = [sibling.stop, bare.close]
  try {
    const near = startOwn(join(dir, 'near.sqlite'), signed.slice(0, -differing), threads)
    cleanups.push(near.close)
    console.error('bench: the stores are filled')
    await new Promise((resolve) => setTimeout(resolve, 100))
    const difference = await near.sync(sibling.url)
    const lost = near.store.count() !== events || difference.sent !== differing
    console.error(`bench: ${2 * differing} of ${events} differing: ${JSON.stringify(difference)}`)
    const ours = signed.slice(0, differing)
    const others = signed.slice(-differing)
    const small = join(dir, 'small')
    await mkdir(small)
    insert(join(small, 'relay.sqlite'), others)
    const stranger = await startRelay(small)
    cleanups.push(stranger.stop)
    const alone = startOwn(join(dir, 'alone.sqlite'), ours, threads)
    cleanups.push(alone.close)
    const differenceFloor = await alone.sync(stranger.url)
    console.error(`bench: the same without what both hold: ${JSON.stringify(differenceFloor)}`)
    const differenceBytes = [...ours, ...others]
      .map((event) => JSON.stringify(event).length)
      .reduce((a, b) => a + b)

    const cold = startOwn(join(dir, 'cold.sqlite'), [], threads)
    cleanups.push(cold.close)
    let bareCpuMs = 0
    const verifyBare = async () => {
      const cpu = process.cpuUsage()
      const ms = await bare.verify(0, 1)
      bareCpuMs += cpuMsSince(cpu)
      return ms
    }
    const before = await verifyBare()
    const fetched = await cold.sync(sibling.url)
    const after = await verifyBare()
    console.error(`bench: cold: ${JSON.stringify(fetched)}`)
    const floor = (2 * sample * 1000) / (before + after)
    const value = (fetched.received * 1000) / fetched.ms
    const ratio = value / floor
    // Nobody verifies and stores faster than one who only verifies: then the machine was busier while the floor was taken.
    const plausible = ratio <= 1
    if (!plausible) console.error('bench: the floor was disturbed, the ratio says nothing: measure again')
    const worst = (of: (sync: typeof fetched) => number) => Math.max(of(difference), of(fetched))
    const stallP99Ms = worst((sync) => sync.stallP99Ms)
    const siblingStallP99Ms = worst((sync) => sync.siblingStallP99Ms)
    return {
      bench: 'sync',
      value,
      unit: 'events/s',
      floor,
      ratio,
      goal,
      met:
        ratio >= goal &&
        plausible &&
        Math.max(stallP99Ms, siblingStallP99Ms) <= maxStallMs &&
        !lost &&
        fetched.received === events,
      events,
      threads,
      differing,
      differenceMs: difference.ms,
      differenceFloorMs: differenceFloor.ms,
      differenceRounds: difference.rounds,
      bytes: difference.bytes,
      floorBytes: differenceBytes,
      coldMs: fetched.ms,
      floorBeforeMs: Math.round(before),
      floorAfterMs: Math.round(after),
      floorDisturbed: !plausible,
      cpuRatio: bareCpuMs / (2 * sample) / (fetched.cpuMs / fetched.received),
      stallP99Ms,
      heldP99Ms: worst((sync) => sync.heldP99Ms),
      siblingStallP99Ms,
      idleStallP99Ms: worst((sync) => sync.idleStallP99Ms),
      residentMiB: worst((sync) => sync.residentMiB),
    }
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup()
    await rm(dir, { recursive: true, force: true })
  }
}
