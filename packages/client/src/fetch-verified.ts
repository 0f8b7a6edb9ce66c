import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import { bodyWithin } from '@understudy/protocol/body'
import type { Failure, Source } from './source.ts'

/** What the fetching needs from its surroundings. */
export interface FetchOptions {
  readonly fetch: typeof fetch
  /** ms */
  readonly now: () => number
  /** The next source is asked when none has answered for this long, ms. */
  readonly hedgeMs: number
  /** Deadline of one source, ms. */
  readonly timeoutMs: number
  /** Largest body, bytes. */
  readonly maxBytes: number
  readonly onResult?: (
    source: Source,
    result: { ok: true; ms: number } | { ok: false; reason: Failure },
  ) => void
}

export type Fetched =
  | {
      readonly ok: true
      readonly bytes: Uint8Array<ArrayBuffer>
      readonly source: Source
      readonly ms: number
    }
  | { readonly ok: false; readonly tried: readonly { readonly source: Source; readonly reason: Failure }[] }

/**
 * Bytes of `path` that hash to `hash`, from the first source that has them. Sources are asked in order: the next one at once
 * when one fails, or after `hedgeMs` when none has answered; the losers are aborted.
 */
export async function fetchVerified(
  sources: readonly Source[],
  path: string,
  hash: string,
  options: FetchOptions,
): Promise<Fetched> {
  const started = options.now()
  const tried: { source: Source; reason: Failure }[] = []
  const rest = [...sources]
  const running = new Set<AbortController>()
  return new Promise((resolve) => {
    let hedge: ReturnType<typeof setTimeout> | undefined
    const finish = (fetched: Fetched) => {
      clearTimeout(hedge)
      for (const abort of running) abort.abort()
      resolve(fetched)
    }
    const ask = () => {
      clearTimeout(hedge)
      const source = rest.shift()
      if (!source) {
        if (running.size === 0) finish({ ok: false, tried })
        return
      }
      const abort = new AbortController()
      running.add(abort)
      hedge = setTimeout(ask, options.hedgeMs)
      fetchOne(source, path, hash, abort, options).then((result) => {
        running.delete(abort)
        if (abort.signal.aborted && result === 'network') return
        if (typeof result !== 'string') {
          const ms = options.now() - started
          options.onResult?.(source, { ok: true, ms })
          finish({ ok: true, bytes: result, source, ms })
          return
        }
        tried.push({ source, reason: result })
        options.onResult?.(source, { ok: false, reason: result })
        ask()
      })
    }
    ask()
  })
}

async function fetchOne(
  source: Source,
  path: string,
  hash: string,
  abort: AbortController,
  options: FetchOptions,
): Promise<Uint8Array<ArrayBuffer> | Failure> {
  let late = false
  const timer = setTimeout(() => {
    late = true
    abort.abort()
  }, options.timeoutMs)
  try {
    const url = source.url + path.split('/').map(encodeURIComponent).join('/')
    const response = await options.fetch(url, {
      signal: abort.signal,
      redirect: 'error',
      credentials: 'omit',
      cache: 'no-cache',
      referrerPolicy: 'no-referrer',
    })
    if (!response.ok) return 'status'
    const bytes = await bodyWithin(response, options.maxBytes)
    if (!bytes) return 'too-large'
    return bytesToHex(sha256(bytes)) === hash ? bytes : 'wrong-bytes'
  } catch {
    return late ? 'timeout' : 'network'
  } finally {
    clearTimeout(timer)
  }
}
