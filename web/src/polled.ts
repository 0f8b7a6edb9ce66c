import type { Parsed } from '@understudy/protocol/event'
import { useEffect, useState } from 'preact/hooks'

/** Something read again and again. A failure after a success keeps the last value and says why it is old. */
export type Polled<T> =
  | { readonly state: 'loading' }
  | {
      readonly state: 'ready'
      readonly value: T
      readonly readAt: number
      readonly trouble: string | undefined
    }
  | { readonly state: 'failed'; readonly reason: string }

/** Between two reads while all is well, ms. */
const everyMs = 4_000
const slowestMs = 60_000

/** Reads now and then every few seconds; backs off with jitter while reads fail; pauses while the page is hidden. */
export function usePolled<T>(key: string, read: () => Promise<Parsed<T>>): Polled<T> {
  const [polled, setPolled] = useState<{ key: string; value: Polled<T> }>({
    key,
    value: { state: 'loading' },
  })

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let failures = 0
    let closed = false

    async function turn(): Promise<void> {
      const answer = await read()
      if (closed) return
      failures = answer.ok ? 0 : failures + 1
      setPolled((before) => ({ key, value: next(before.key === key ? before.value : undefined, answer) }))
      schedule()
    }
    function schedule(): void {
      clearTimeout(timer)
      if (document.hidden) return
      const wait = Math.min(slowestMs, everyMs * 2 ** failures)
      timer = setTimeout(turn, wait * (0.75 + Math.random() / 2))
    }
    function onVisibility(): void {
      clearTimeout(timer)
      if (!document.hidden) turn()
    }

    turn()
    document.addEventListener('visibilitychange', onVisibility)
    return () => {
      closed = true
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', onVisibility)
    }
  }, [key])

  return polled.key === key ? polled.value : { state: 'loading' }
}

function next<T>(before: Polled<T> | undefined, answer: Parsed<T>): Polled<T> {
  if (answer.ok) return { state: 'ready', value: answer.value, readAt: Date.now(), trouble: undefined }
  if (before?.state === 'ready') return { ...before, trouble: answer.reason }
  return { state: 'failed', reason: answer.reason }
}
