import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'

/** Says what happens in a run, in order. */
export type Trace = (who: string, what: string) => void

export interface Traced {
  readonly trace: Trace
  /** sha256 over every line so far, hex: equal for equal runs. */
  hash(): string
}

/** `onLine` sees each line as it happens. */
export function createTrace(now: () => number, onLine?: (line: string) => void): Traced {
  const hash = sha256.create()
  return {
    trace(who, what) {
      const line = `${(now() / 1_000).toFixed(3)} ${who} ${what}`
      hash.update(utf8ToBytes(`${line}\n`))
      onLine?.(line)
    },
    hash: () => bytesToHex(hash.clone().digest()),
  }
}
