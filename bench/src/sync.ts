import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createRelay } from '@understudy/node/relay/relay'
import { understudyScope } from '@understudy/node/relay/scope'
import { openStore } from '@understudy/node/relay/store'
import { createDeclined } from '@understudy/node/relay/sync'
import { startVerification } from '@understudy/node/relay/verification'
import type { NostrEvent } from '@understudy/protocol/event'
import { initNostrWasm } from 'nostr-wasm'
import { startFloor } from './floor.ts'
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
  const store = openStore(file)
  insert(store, held)
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
      const stalls = monitorEventLoopDelay({ resolution: 5 })
      stalls.enable()
      const start = performance.now()
      const result = await relay.syncWith(url, filter, { declined: createDeclined() })
      const ms = Math.round(performance.now() - start)
      stalls.disable()
      if (result.failure) throw new Error(result.failure)
      // The resolution is part of what is measured.
      return { ...result, ms, stallP99Ms: Math.round(stalls.percentile(99) / 1e5) / 10 - 5 }
    },
    async close() {
      await relay.close()
      await verification.close()
      store.close()
    },
  }
}

function insert(store: ReturnType<typeof openStore>, held: readonly NostrEvent[]): void {
  for (let from = 0; from < held.length; from += 1_000)
    store.insert(held.slice(from, from + 1_000).map((event) => ({ event, json: JSON.stringify(event) })))
}

/**
 * Events per second that a sibling which starts empty fetches, verifies and stores. Floor: bare nostr-wasm verification on the same
 * number of threads. Before that, two siblings with 1,000 differing events on each side converge: their time and bytes, beside the
 * bytes of those events alone.
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
  const store = openStore(join(theirs, 'relay.sqlite'))
  insert(store, signed.slice(differing))
  store.close()
  const sibling = await startRelay(theirs)
  const bare = await startFloor(signed.slice(0, sample), threads)
  const cleanups: (() => Promise<unknown>)[] = [sibling.stop, bare.close]
  try {
    const near = startOwn(join(dir, 'near.sqlite'), signed.slice(0, -differing), threads)
    cleanups.push(near.close)
    const difference = await near.sync(sibling.url)
    const lost = near.store.count() !== events || difference.sent !== differing
    console.error(`bench: ${2 * differing} of ${events} differing: ${JSON.stringify(difference)}`)
    const differenceBytes = [...signed.slice(0, differing), ...signed.slice(-differing)]
      .map((event) => JSON.stringify(event).length)
      .reduce((a, b) => a + b)

    const cold = startOwn(join(dir, 'cold.sqlite'), [], threads)
    cleanups.push(cold.close)
    const before = await bare.verify(0, 1)
    const fetched = await cold.sync(sibling.url)
    const after = await bare.verify(0, 1)
    console.error(`bench: cold: ${JSON.stringify(fetched)}`)
    const floor = (2 * sample * 1000) / (before + after)
    const value = (fetched.received * 1000) / fetched.ms
    const ratio = value / floor
    const stallP99Ms = Math.max(difference.stallP99Ms, fetched.stallP99Ms)
    return {
      bench: 'sync',
      value,
      unit: 'events/s',
      floor,
      ratio,
      goal,
      met: ratio >= goal && stallP99Ms <= maxStallMs && !lost && fetched.received === events,
      events,
      threads,
      differing,
      differenceMs: difference.ms,
      differenceRounds: difference.rounds,
      bytes: difference.bytes,
      floorBytes: differenceBytes,
      coldMs: fetched.ms,
      stallP99Ms,
    }
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup()
    await rm(dir, { recursive: true, force: true })
  }
}
