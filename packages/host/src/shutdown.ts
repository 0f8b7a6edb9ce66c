import type { Log } from './log.ts'

/** What to close, by name; closed in the order given. */
export type ShutdownStep = readonly [name: string, close: () => unknown]

/** Runs the steps in order; one that throws or takes longer than `stepMs` is logged and does not hold up the rest. */
export async function runSteps(log: Log, steps: readonly ShutdownStep[], stepMs = 5_000): Promise<boolean> {
  let clean = true
  for (const [name, close] of steps) {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`took longer than ${stepMs} ms`)), stepMs)
    })
    try {
      await Promise.race([(async () => close())(), late])
    } catch (error) {
      clean = false
      log.error({ step: name, err: error }, 'shutdown step failed')
    } finally {
      clearTimeout(timer)
    }
  }
  return clean
}

/** Closes everything on SIGINT or SIGTERM and exits 0; a second signal exits at once. `stepMs` as for `runSteps`. */
export function onShutdown(log: Log, steps: readonly ShutdownStep[], stepMs?: number): void {
  let closing = false
  const close = async (signal: NodeJS.Signals) => {
    if (closing) process.exit(1)
    closing = true
    log.info({ signal }, 'shutting down')
    const clean = await runSteps(log, steps, stepMs)
    process.exit(clean ? 0 : 1)
  }
  process.on('SIGINT', close)
  process.on('SIGTERM', close)
}
