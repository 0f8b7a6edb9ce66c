import { extendLeases, leaseDueTargets, type Target } from './db/targets.ts'
import type { Observation } from './observation/observation.ts'
import { type Observer, observe } from './observation/observe.ts'

export interface Workers {
  /** Waits for the probes that are under way. */
  stop(): Promise<void>
}

/**
 * Leases targets as they fall due and probes them, `concurrency` at a time. Leases are short and renewed, so that what a killed worker
 * held is soon somebody else's.
 */
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
  const running = new Map<Target, Promise<void>>()
  let stopped = false
  let wake: () => void = () => {}

  async function work(): Promise<void> {
    while (!stopped) {
      const free = options.concurrency - running.size
      try {
        const due = free > 0 ? await leaseDueTargets(desk.db, desk.now(), free, options.leaseMs) : []
        for (const target of due) {
          const start = performance.now()
          const work = observe(observer, target)
            .then((observation) => {
              if (observation) options.onObserved(observation, performance.now() - start)
            })
            .catch((error: unknown) =>
              // Its lease is no longer renewed: it will soon be tried again.
              desk.log.error({ err: error, mirror: target.mirror }, 'observation failed'),
            )
            .finally(() => running.delete(target))
          running.set(target, work)
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

  const renewing = setInterval(() => {
    void extendLeases(desk.db, [...running.keys()], desk.now() + options.leaseMs).catch((error: unknown) =>
      desk.log.warn({ err: error }, 'leases could not be renewed'),
    )
  }, options.leaseMs / 3)

  const working = work()
  return {
    async stop() {
      stopped = true
      wake()
      await working
      await Promise.all(running.values())
      clearInterval(renewing)
    },
  }
}
