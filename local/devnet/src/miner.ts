import type { Chain } from './chain.ts'

/**
 * Mines a burn block every `interval` ms, counted from start to start; 0 mines nothing by itself.
 *
 * A failure is not an expected outcome: memory and journal may differ by then, so the process must end and replay.
 */
export function startMiner(
  chain: Chain,
  interval: number,
  onFailure: (error: unknown) => void,
): { stop(): Promise<void> } {
  let running: Promise<unknown> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  let stopped = interval === 0

  function next(due: number) {
    if (stopped) return
    timer = setTimeout(
      () => {
        running = chain.mine(1).then(() => next(Math.max(due + interval, performance.now())), onFailure)
      },
      Math.max(0, due - performance.now()),
    )
  }
  next(performance.now() + interval)

  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}
