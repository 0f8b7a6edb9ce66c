import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parentPort, Worker, workerData } from 'node:worker_threads'

const resolution = 5

/** Watches this thread's event loop; `end` says how late it was, 99th percentile, ms. */
export function watchStalls(): { end(): number } {
  const delays = monitorEventLoopDelay({ resolution })
  delays.enable()
  return {
    end() {
      delays.disable()
      // The resolution is part of what is measured.
      return Math.round(delays.percentile(99) / 1e5) / 10 - resolution
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
  port.once('message', () => port.postMessage(stalls.end()))
  port.postMessage('ready')
}
