import type { Repository } from '@understudy/git/repository'
import type { Log } from '@understudy/host/log'

export interface UpkeepParts {
  readonly maintain: Repository['maintain']
  /** In [0, 1). */
  random(): number
  readonly log: Pick<Log, 'info' | 'warn'>
  /** Before the first time, and between two; ms. */
  readonly firstMs?: number
  readonly everyMs?: number
}

/** Tidies the fork about once a day: every fetch leaves a pack behind, and reading gets slower with each. */
export function createUpkeep({ maintain, random, log, ...times }: UpkeepParts) {
  const { firstMs = 3_600_000, everyMs = 24 * 3_600_000 } = times
  const stopping = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  let working: Promise<void> | undefined

  function wait(ms: number): void {
    timer = setTimeout(
      () => {
        working = run().finally(() => {
          working = undefined
          if (!stopping.signal.aborted) wait(everyMs)
        })
      },
      ms * (0.75 + random() / 2),
    )
    timer.unref()
  }

  async function run(): Promise<void> {
    try {
      const done = await maintain(stopping.signal)
      if (done.ok) log.info('the fork is tidied')
      else log.warn({ reason: done.reason }, 'the fork was not tidied; it will be tried again')
    } catch (error) {
      log.warn({ err: error }, 'the fork was not tidied; it will be tried again')
    }
  }

  return {
    start: () => wait(firstMs),
    async stop(): Promise<void> {
      stopping.abort()
      clearTimeout(timer)
      await working
    },
  }
}
