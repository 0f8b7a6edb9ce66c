import { parentPort, Worker, workerData } from 'node:worker_threads'
import type { NostrEvent } from '@understudy/protocol/event'
import { initNostrWasm } from 'nostr-wasm'

/** Bare nostr-wasm verification, on threads: what no server that checks signatures can exceed. */
export async function startFloor(events: readonly NostrEvent[], threads: number) {
  const workers = await Promise.all(
    Array.from({ length: threads }, async (_, i) => {
      const share = events.filter((_, at) => at % threads === i)
      const worker = new Worker(new URL(import.meta.url), { workerData: share })
      await new Promise((ready) => worker.once('message', ready))
      return worker
    }),
  )
  return {
    /** ms for the events from `from` to `to`, both as shares of all in [0, 1]. */
    async verify(from: number, to: number): Promise<number> {
      const start = performance.now()
      await Promise.all(
        workers.map(
          (worker) =>
            new Promise((done) => {
              worker.once('message', done)
              worker.postMessage([from, to])
            }),
        ),
      )
      return performance.now() - start
    },
    close: () => Promise.all(workers.map((worker) => worker.terminate())),
  }
}

if (parentPort && Array.isArray(workerData)) {
  const port = parentPort
  const wasm = await initNostrWasm()
  const events = workerData as NostrEvent[]
  port.on('message', ([from, to]: [number, number]) => {
    for (const event of events.slice(from * events.length, to * events.length)) wasm.verifyEvent(event)
    port.postMessage('done')
  })
  port.postMessage('ready')
}
