import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parentPort, Worker, workerData } from 'node:worker_threads'

import { quantile } from './relay-program.ts'

const resolution = 5

/** Processor time of this thread, ms. Linux only. */
const threadCpuMs = () => Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ', 1)[0]) / 1e6

export interface Stalls {
  /** How late the event loop was, 99th percentile, ms. */
  readonly lateP99Ms: number
  /** The same as processor time that the thread used between two looks: what a machine that others use does not lengthen. */
  readonly heldP99Ms: number
}

/** Watches this thread's event loop. */
export function watchStalls(): { end(): Stalls } {
  const delays = monitorEventLoopDelay({ resolution })
  const held: number[] = []
  let before = threadCpuMs()
  const looks = setInterval(() => {
    const now = threadCpuMs()
    held.push(now - before)
    before = now
  }, resolution)
  delays.enable()
  return {
    end() {
      delays.disable()
      clearInterval(looks)
      return {
        // The resolution is part of what is measured.
        lateP99Ms: Math.round(delays.percentile(99) / 1e5) / 10 - resolution,
        heldP99Ms: quantile(held, 0.99),
      }
    },
  }
}

/** Watches the event loop of a thread that does nothing: what lateness there is on this machine anyway. */
export async function startIdle(): Promise<{ end(): Promise<number> }> {
  const thread = new Worker(new URL(import.meta.url), { workerData: 'idle' })
  await once(thread, 'message')
  return {
    async end() {
      thread.postMessage('end')
      const [late] = (await once(thread, 'message')) as [number]
      await thread.terminate()
      return late
    },
  }
}

if (parentPort && workerData === 'idle') {
  const port = parentPort
  const stalls = watchStalls()
  port.once('message', () => port.postMessage(stalls.end().lateP99Ms))
  port.postMessage('ready')
}
