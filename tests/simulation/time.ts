/** Simulated time: what is due happens in order, and everything that follows from it at once before time moves on. */
export interface Time {
  /** Milliseconds since 1970. */
  now(): number
  /** Calls back at a moment, or now when it is past. */
  at(ms: number, work: () => unknown): { cancel(): void }
  after(ms: number, work: () => unknown): { cancel(): void }
  wait(ms: number): Promise<void>
  /** Lets time pass up to a moment. Rejects with what a callback threw. */
  runUntil(ms: number): Promise<void>
}

interface Due {
  readonly ms: number
  readonly serial: number
  work: (() => unknown) | undefined
}

const real = {
  setImmediate: globalThis.setImmediate,
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  dateNow: Date.now,
  random: Math.random,
  performanceNow: performance.now.bind(performance),
}

/** Milliseconds that really passed, whatever the simulated clock says. */
export const realNow = (): number => real.performanceNow()

/** Promises that are ready have run when this resolves: nothing here waits for a file or a socket. */
const settled = () => new Promise<void>((resolve) => real.setImmediate(resolve))

export function createTime(start: number): Time {
  const heap: Due[] = []
  let now = start
  let serial = 0
  let broken: { readonly error: unknown } | undefined

  const before = (a: Due, b: Due) => a.ms < b.ms || (a.ms === b.ms && a.serial < b.serial)

  function push(due: Due): void {
    let at = heap.push(due) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(due, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = due
  }

  function pop(): Due {
    const top = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return top
  }

  function at(ms: number, work: () => unknown) {
    const due: Due = { ms: Math.max(now, ms), serial: serial++, work }
    push(due)
    return {
      cancel() {
        due.work = undefined
      },
    }
  }

  return {
    now: () => now,
    at,
    after: (ms, work) => at(now + ms, work),
    wait: (ms) => new Promise((resolve) => at(now + ms, resolve)),
    async runUntil(ms) {
      await settled()
      while (heap.length > 0 && heap[0]!.ms <= ms) {
        const due = pop()
        if (!due.work) continue
        now = due.ms
        // Not waited for: it may itself wait for time to pass.
        const begun = due.work()
        if (begun instanceof Promise)
          begun.catch((error: unknown) => {
            broken = { error }
          })
        await settled()
        if (broken) throw broken.error
      }
      now = Math.max(now, ms)
    },
  }
}

/**
 * Runs `work` while the runtime's clock, timers and chance are the simulated ones, so that the programs' own code needs to know of
 * nothing. One at a time in a process.
 */
export async function inSimulatedTime<T>(
  time: Time,
  random: () => number,
  work: () => Promise<T>,
): Promise<T> {
  const timers = new Map<number, { cancel(): void }>()
  let serial = 0
  // Numbers, as in browsers: Node's own clearing functions take them too.
  const setTimer = (work: (...args: unknown[]) => unknown, ms = 0, ...args: unknown[]) => {
    const id = ++serial
    timers.set(
      id,
      time.after(Math.max(ms, 0.001), () => {
        timers.delete(id)
        work(...args)
      }),
    )
    return id
  }
  const setRepeating = (work: (...args: unknown[]) => unknown, ms = 0, ...args: unknown[]) => {
    const id = ++serial
    const again = () => {
      timers.set(
        id,
        time.after(Math.max(ms, 1), () => {
          again()
          work(...args)
        }),
      )
    }
    again()
    return id
  }
  const clear = (id: number | undefined) => {
    if (id === undefined) return
    timers.get(id)?.cancel()
    timers.delete(id)
  }
  const start = time.now()
  Object.assign(globalThis, {
    setTimeout: setTimer,
    setInterval: setRepeating,
    clearTimeout: clear,
    clearInterval: clear,
  })
  Date.now = () => Math.floor(time.now())
  Math.random = random
  performance.now = () => time.now() - start
  try {
    return await work()
  } finally {
    const { setTimeout, setInterval, clearTimeout, clearInterval } = real
    Object.assign(globalThis, { setTimeout, setInterval, clearTimeout, clearInterval })
    Date.now = real.dateNow
    Math.random = real.random
    performance.now = real.performanceNow
  }
}
