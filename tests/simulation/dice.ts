import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'

/** Repeatable chance: one name is one sequence. What one part draws does not move what another draws. */
export interface Dice {
  /** In [0, 1). */
  next(): number
  /** A whole number below `n`. */
  below(n: number): number
  chance(probability: number): boolean
  pick<T>(from: readonly T[]): T
  /** `count` different ones. */
  draw<T>(from: readonly T[], count: number): T[]
  bytes(count: number): Uint8Array
  /** A sequence of its own. */
  of(name: string): Dice
}

/** sfc32 (Doty-Humphrey), seeded by the sha256 of its name. */
export function createDice(name: string): Dice {
  const view = new DataView(sha256(utf8ToBytes(name)).buffer)
  let [a, b, c, count] = [0, 4, 8, 12].map((at) => view.getUint32(at)) as [number, number, number, number]
  const next = () => {
    const sum = (((a + b) | 0) + count) | 0
    count = (count + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  const below = (n: number) => Math.floor(next() * n)
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick: (from) => from[below(from.length)]!,
    draw(from, wanted) {
      const left = [...from]
      return Array.from(
        { length: Math.min(wanted, left.length) },
        () => left.splice(below(left.length), 1)[0]!,
      )
    },
    bytes: (length) => Uint8Array.from({ length }, () => below(256)),
    of: (part) => createDice(`${name}/${part}`),
  }
}
