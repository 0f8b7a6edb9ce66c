/** Work that waits for its turn. */
export interface Slices {
  push(job: () => void): void
  /** Jobs that wait. */
  size(): number
  /** Leaves what waits undone. */
  end(): void
}

/**
 * Does one job after the other, but for no longer than `sliceMs` in one turn of the event loop: whoever else waits for it comes in
 * between. `onDrained`: nothing waits any more.
 */
export function createSlices(onDrained: () => void, sliceMs = 5): Slices {
  let jobs: (() => void)[] = []
  let at = 0
  let spent = 0
  let turn: NodeJS.Immediate | undefined

  function go(): void {
    // What comes later in this turn is on its account, even when all is done by then.
    turn ??= setImmediate(() => {
      turn = undefined
      spent = 0
      if (at < jobs.length) go()
    })
    const since = performance.now()
    while (at < jobs.length && spent + performance.now() - since < sliceMs) jobs[at++]!()
    spent += performance.now() - since
    if (at < jobs.length) return
    jobs = []
    at = 0
    onDrained()
  }

  return {
    push(job) {
      jobs.push(job)
      if (jobs.length - at === 1) go()
    },
    size: () => jobs.length - at,
    end() {
      clearImmediate(turn)
      jobs = []
      at = 0
    },
  }
}
