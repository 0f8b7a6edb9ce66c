import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'

/** What NIP-77 is spoken with: `@understudy/relays/negentropy`. Handed in, so that a page that needs none carries none. */
export type Negentropy = Pick<typeof import('./negentropy.ts'), 'createItemSet' | 'initiate' | 'reconcile'>

/** Most ids that we let a relay name of one second. */
const maxNeeded = 100_000
/** Longest message, bytes: twice as long in hex, it fits the frames of most relays. */
const maxBytes = 30_000

/** Finds out which events of one second a relay has and we have not. Messages are hex. */
export interface Comparison {
  readonly first: string
  /** Answers the relay; undefined when all is known. Throws on what is no message. */
  answer(message: string): string | undefined
  /** Ids that the relay has named so far. */
  readonly needed: readonly string[]
}

/** `known`: ids of the events of this second that we have. */
export function compareSecond(
  { createItemSet, initiate, reconcile }: Negentropy,
  second: number,
  known: readonly string[],
): Comparison {
  const items = createItemSet(new Array<number>(known.length).fill(second), hexToBytes(known.join('')))
  const needed: string[] = []
  return {
    first: bytesToHex(initiate(items)),
    answer(message) {
      const { reply, need } = reconcile(items, hexToBytes(message), { asks: true, maxBytes })
      if (needed.length + need.length > maxNeeded) throw new Error('names too many events of one second')
      needed.push(...need)
      return reply && bytesToHex(reply)
    },
    needed,
  }
}
