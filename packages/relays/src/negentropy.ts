import { sha256 } from '@noble/hashes/sha2.js'

// Range-based set reconciliation (NIP-77; Negentropy protocol version 1), both sides of it. Pure: bytes in, bytes out.

const version = 0x61
const idSize = 32
const fingerprintSize = 16
/** A range of fewer items is sent as a list of ids. */
const listBelow = 32
const buckets = 16
const infinity = Number.MAX_SAFE_INTEGER
const skip = 0
const fingerprint = 1
const idList = 2

/** Items in order (time, then id), with sums that make the fingerprint of any range cost the same. */
export interface ItemSet {
  readonly size: number
  time(at: number): number
  /** 32 bytes; a view. */
  id(at: number): Uint8Array
  /** Of the items from `from` to before `to`. */
  fingerprint(from: number, to: number): Uint8Array
}

/** `ids`: 32 bytes for each time (seconds). Need not be sorted; each id once. */
export function createItemSet(times: ArrayLike<number>, ids: Uint8Array): ItemSet {
  const size = times.length
  const given = new DataView(ids.buffer, ids.byteOffset, ids.byteLength)
  const compare = (a: number, b: number) => {
    const byTime = times[a]! - times[b]!
    if (byTime !== 0) return byTime
    for (let offset = 0; offset < idSize; offset += 4) {
      const byId = given.getUint32(a * idSize + offset) - given.getUint32(b * idSize + offset)
      if (byId !== 0) return byId
    }
    return 0
  }
  const order = Uint32Array.from({ length: size }, (_, i) => i).sort(compare)
  const sortedTimes = Float64Array.from(order, (from) => times[from]!)
  const sortedIds = new Uint8Array(size * idSize)
  // Sums mod 2^256 of the ids before each item, as eight little-endian words.
  const sums = new Uint32Array((size + 1) * 8)
  for (let i = 0; i < size; i++) {
    const from = order[i]! * idSize
    sortedIds.set(ids.subarray(from, from + idSize), i * idSize)
    let carry = 0
    for (let word = 0; word < 8; word++) {
      const sum = sums[i * 8 + word]! + given.getUint32(from + word * 4, true) + carry
      sums[(i + 1) * 8 + word] = sum
      carry = sum > 0xffff_ffff ? 1 : 0
    }
  }
  return {
    size,
    time: (at) => sortedTimes[at]!,
    id: (at) => sortedIds.subarray(at * idSize, (at + 1) * idSize),
    fingerprint(from, to) {
      const count = writer()
      count.varint(to - from)
      const encoded = count.bytes()
      const input = new Uint8Array(idSize + encoded.length)
      const view = new DataView(input.buffer)
      let borrow = 0
      for (let word = 0; word < 8; word++) {
        const difference = sums[to * 8 + word]! - sums[from * 8 + word]! - borrow
        view.setUint32(word * 4, difference, true)
        borrow = difference < 0 ? 1 : 0
      }
      input.set(encoded, idSize)
      return sha256(input).subarray(0, fingerprintSize)
    },
  }
}

/** Where a range ends: before the first item at or above it. */
interface Bound {
  readonly time: number
  /** Up to 32 bytes; missing ones count as zero. */
  readonly prefix: Uint8Array
}

const noBytes = new Uint8Array(0)
const lastBound: Bound = { time: infinity, prefix: noBytes }

function writer() {
  let buffer = new Uint8Array(1024)
  let length = 0
  let lastTime = 0
  function room(more: number): void {
    if (length + more <= buffer.length) return
    const larger = new Uint8Array(Math.max(buffer.length * 2, length + more))
    larger.set(buffer.subarray(0, length))
    buffer = larger
  }
  return {
    get length() {
      return length
    },
    raw(bytes: Uint8Array) {
      room(bytes.length)
      buffer.set(bytes, length)
      length += bytes.length
    },
    varint(value: number) {
      const digits = [value % 128]
      for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128))
        digits.push((rest % 128) | 0x80)
      room(digits.length)
      for (const digit of digits.reverse()) buffer[length++] = digit
    },
    /** Times are written as differences; 0 stands for infinity. */
    bound({ time, prefix }: Bound) {
      this.varint(time === infinity ? 0 : time - lastTime + 1)
      lastTime = time
      this.varint(prefix.length)
      this.raw(prefix)
    },
    bytes: () => buffer.slice(0, length),
  }
}
type Writer = ReturnType<typeof writer>

function reader(bytes: Uint8Array) {
  let at = 0
  let lastTime = 0
  return {
    done: () => at >= bytes.length,
    raw(length: number): Uint8Array {
      if (at + length > bytes.length) throw new Error('ends too early')
      at += length
      return bytes.subarray(at - length, at)
    },
    varint(): number {
      let value = 0
      for (;;) {
        const byte = bytes[at++]
        if (byte === undefined) throw new Error('ends too early')
        value = value * 128 + (byte & 0x7f)
        if (value > infinity) throw new Error('a number that is too large')
        if (byte < 0x80) return value
      }
    },
    bound(): Bound {
      const difference = this.varint()
      lastTime =
        difference === 0 || lastTime === infinity ? infinity : Math.min(infinity, lastTime + difference - 1)
      const length = this.varint()
      if (length > idSize) throw new Error('a bound of more than 32 bytes')
      return { time: lastTime, prefix: this.raw(length) }
    },
  }
}

function isBelow(items: ItemSet, at: number, { time, prefix }: Bound): boolean {
  if (items.time(at) !== time) return items.time(at) < time
  const id = items.id(at)
  for (let i = 0; i < prefix.length; i++) if (id[i] !== prefix[i]) return id[i]! < prefix[i]!
  // Above a shorter bound, unless all that is missing is zero too: then it is equal.
  return false
}

function lowerBound(items: ItemSet, from: number, bound: Bound): number {
  let [low, high] = [from, items.size]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBelow(items, middle, bound)) low = middle + 1
    else high = middle
  }
  return low
}

/** The shortest bound between two neighbours. */
function boundBetween(items: ItemSet, before: number): Bound {
  const time = items.time(before + 1)
  if (items.time(before) !== time) return { time, prefix: noBytes }
  const [a, b] = [items.id(before), items.id(before + 1)]
  let shared = 0
  while (shared < idSize - 1 && a[shared] === b[shared]) shared++
  return { time, prefix: b.subarray(0, shared + 1) }
}

function writeRange(items: ItemSet, from: number, to: number, end: Bound, out: Writer): void {
  const count = to - from
  if (count < listBelow) {
    out.bound(end)
    out.varint(idList)
    out.varint(count)
    for (let i = from; i < to; i++) out.raw(items.id(i))
    return
  }
  let at = from
  for (let bucket = 0; bucket < buckets; bucket++) {
    const next = at + Math.floor(count / buckets) + (bucket < count % buckets ? 1 : 0)
    out.bound(next === to ? end : boundBetween(items, next - 1))
    out.varint(fingerprint)
    out.raw(items.fingerprint(at, next))
    at = next
  }
}

/** What the side that asks says first. */
export function initiate(items: ItemSet): Uint8Array {
  const out = writer()
  out.raw(Uint8Array.of(version))
  writeRange(items, 0, items.size, lastBound, out)
  return out.bytes()
}

export interface Reconciled {
  /** What to say next; for the side that asks undefined once both know all. */
  readonly reply: Uint8Array | undefined
  /** Ids, hex, that the other side lacks, or that we lack. Only the side that asks learns them. */
  readonly have: string[]
  readonly need: string[]
}

export interface ReconcileOptions {
  /** Whether it is us who asked. */
  readonly asks: boolean
  /** Longest reply, bytes; at least 4096. */
  readonly maxBytes: number
}

const hexOf = (bytes: Uint8Array): string => {
  let hex = ''
  for (const byte of bytes) hex += byte < 16 ? `0${byte.toString(16)}` : byte.toString(16)
  return hex
}

/** Answers one message of the other side. Throws when it is malformed. */
export function reconcile(
  items: ItemSet,
  message: Uint8Array,
  { asks, maxBytes }: ReconcileOptions,
): Reconciled {
  const input = reader(message)
  const theirs = input.raw(1)[0]
  if (theirs !== version) {
    if (!asks && theirs! >= 0x60 && theirs! <= 0x6f)
      return { reply: Uint8Array.of(version), have: [], need: [] }
    throw new Error('an unknown protocol version')
  }
  const out = writer()
  out.raw(Uint8Array.of(version))
  const have: string[] = []
  const need: string[] = []
  let at = 0
  let before: Bound = { time: 0, prefix: noBytes }
  /** Ranges that need no answer are said in one when the next one does. */
  let skipping = false
  const endSkip = () => {
    if (skipping) {
      out.bound(before)
      out.varint(skip)
    }
    skipping = false
  }
  /** Leaves the items from `from` on for later: by their fingerprint they are asked for again. */
  const leave = (from: number) => {
    out.bound(lastBound)
    out.varint(fingerprint)
    out.raw(items.fingerprint(from, items.size))
    return { reply: out.bytes(), have, need }
  }
  // A split range takes this much at most; a list is cut to what fits.
  const reserve = buckets * (fingerprintSize + idSize + 12) + 64

  while (!input.done()) {
    const end = input.bound()
    const mode = input.varint()
    const from = at
    const to = lowerBound(items, from, end)
    if (mode === skip) skipping = true
    else if (mode === fingerprint) {
      const other = input.raw(fingerprintSize)
      const own = items.fingerprint(from, to)
      if (own.every((byte, i) => byte === other[i])) skipping = true
      else {
        if (out.length + Math.max(reserve, listBelow * idSize + 128) > maxBytes) return leave(from)
        endSkip()
        writeRange(items, from, to, end, out)
      }
    } else if (mode === idList) {
      const count = input.varint()
      const listed = input.raw(count * idSize)
      if (asks) {
        const ids = new Set<string>()
        for (let i = 0; i < count; i++) ids.add(hexOf(listed.subarray(i * idSize, (i + 1) * idSize)))
        for (let i = from; i < to; i++) {
          const id = hexOf(items.id(i))
          if (!ids.delete(id)) have.push(id)
        }
        need.push(...ids)
        skipping = true
      } else {
        endSkip()
        const fits = Math.floor((maxBytes - out.length - reserve) / idSize)
        if (fits <= 0) return leave(from)
        const stop = Math.min(to, from + fits)
        out.bound(stop === to ? end : boundBetween(items, stop - 1))
        out.varint(idList)
        out.varint(stop - from)
        for (let i = from; i < stop; i++) out.raw(items.id(i))
        if (stop < to) return leave(stop)
      }
    } else throw new Error('an unknown mode')
    at = to
    before = end
  }
  // A last skip need not be said.
  const done = asks && out.length === 1
  return { reply: done ? undefined : out.bytes(), have, need }
}
