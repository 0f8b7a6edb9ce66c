import { endLease, leaseDueTargets, type Target } from './db/targets.ts'
import type { Observation } from './observation/observation.ts'
import { type Observer, observe } from './observation/observe.ts'

export interface Workers {
  /** Waits for the probes that are under way. */
  stop(): Promise<void>
}

/** Leases targets as they fall due and probes them, `concurrency` at a time. A lease outlives any probe; a crash just lets it end. */
export function startWorkers(
  observer: Observer,
  options: {
    readonly concurrency: number
    readonly leaseMs: number
    readonly pollMs: number
    onObserved(observation: Observation, tookMs: number): void
  },
): Workers {
  const { desk } = observer
  const running = new Set<Promise<void>>()
  /** Targets whose observation failed, through a database that was away for instance: their lease would outlast its cause. */
  const failed = new Set<Target>()
  let stopped = false
  let wake: () => void = () => {}

  async function work(): Promise<void> {
    while (!stopped) {
      const free = options.concurrency - running.size
      try {
        for (const target of failed) {
          await endLease(desk.db, target, desk.now() + observer.intervalMs * desk.random())
          failed.delete(target)
        }
        const due = free > 0 ? await leaseDueTargets(desk.db, desk.now(), free, options.leaseMs) : []
        for (const target of due) {
          const start = performance.now()
          const work = observe(observer, target)
            .then((observation) => {
              if (observation) options.onObserved(observation, performance.now() - start)
            })
            .catch((error: unknown) => {
              desk.log.error({ err: error, mirror: target.mirror }, 'observation failed')
              failed.add(target)
            })
            .finally(() => running.delete(work))
          running.add(work)
        }
      } catch (error) {
        desk.log.error({ err: error }, 'no targets could be leased')
      }
      await new Promise<void>((resolve) => {
        wake = resolve
        setTimeout(resolve, options.pollMs)
      })
    }
  }

  const working = work()
  return {
    async stop() {
      stopped = true
      wake()
      await working
      await Promise.all(running)
    },
  }
}
