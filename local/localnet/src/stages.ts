/** What happens on the way from a release to a payment, in the order in which it first does. */
export const stageNames = [
  'started',
  'deployed',
  'registered',
  'released',
  'funded',
  'mirrored',
  'seen',
  'announced',
  'probing',
  'committed',
  'revealed',
  'proposed',
  'signed',
  'settled',
  'claimed',
  'failed over',
] as const

export type StageName = (typeof stageNames)[number]

export interface Stage {
  readonly stage: StageName
  /** One line for people. */
  readonly text: string
  readonly epoch?: number
  readonly data?: Readonly<Record<string, unknown>>
}

export interface Stages {
  /** Everything so far, in order. */
  readonly past: readonly Stage[]
  tell(stage: Stage): void
  /** Also hears what is past. */
  listen(listener: (stage: Stage) => void): void
  /** The first stage, past or to come, that satisfies. Rejects when the deadline passes. */
  until(
    stage: StageName,
    options?: { readonly where?: (stage: Stage) => boolean; readonly timeoutMs?: number },
  ): Promise<Stage>
}

export function createStages(): Stages {
  const past: Stage[] = []
  const listeners = new Set<(stage: Stage) => void>()
  return {
    past,
    tell(stage) {
      past.push(stage)
      for (const listener of listeners) listener(stage)
    },
    listen(listener) {
      for (const stage of past) listener(stage)
      listeners.add(listener)
    },
    until(name, { where = () => true, timeoutMs = 180_000 } = {}) {
      const fits = (stage: Stage) => stage.stage === name && where(stage)
      const already = past.find(fits)
      if (already) return Promise.resolve(already)
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          listeners.delete(listener)
          const last = past.at(-1)?.stage ?? 'nothing'
          reject(
            new Error(`nothing was ${name} within ${Math.round(timeoutMs / 1_000)} s; last was “${last}”`),
          )
        }, timeoutMs)
        const listener = (stage: Stage) => {
          if (!fits(stage)) return
          clearTimeout(timer)
          listeners.delete(listener)
          resolve(stage)
        }
        listeners.add(listener)
      })
    },
  }
}
