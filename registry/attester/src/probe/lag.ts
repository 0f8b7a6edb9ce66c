/** Watches how late this program's own event loop is, so that our slowness is not blamed on a mirror. */
export interface LagWatch {
  /** Greatest delay of the event loop since a `performance.now()`, ms. */
  since(start: number): number
  stop(): void
}

const stepMs = 10
const keepMs = 30_000

export function watchLag(): LagWatch {
  const late: { readonly at: number; readonly ms: number }[] = []
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    const ms = now - last - stepMs
    last = now
    if (ms > 1) late.push({ at: now, ms })
    while (late[0] && late[0].at < now - keepMs) late.shift()
  }, stepMs)
  timer.unref()
  return {
    since(start) {
      const running = performance.now() - last - stepMs
      return Math.max(0, running, ...late.filter((l) => l.at >= start).map((l) => l.ms))
    },
    stop: () => clearInterval(timer),
  }
}
