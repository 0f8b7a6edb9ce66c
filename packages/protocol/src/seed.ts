import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'

// Probe moments follow from a seed for each epoch, revealed in the commitment's header. Seeds are a hash chain that is walked backwards:
// sha256 of an epoch's seed is the seed of the epoch before, so every revealed seed fixes all later ones, and foretells none.

/** Epochs that one chain lasts; then the next one begins, which nothing fixed before. */
export const seedChainLength = 8_192
const stride = 256

/** An attester's seeds for one app, hex, by epoch ≥ 0; from its own secret, so that no memory is needed. */
export function createSeeds(secretKey: Uint8Array, app: string): (epoch: number) => string {
  let era = -1
  /** Every `stride`th seed of the era. */
  let marks: Uint8Array[] = []
  /** The last one that was asked for: an epoch's is, for every mirror. */
  let last: { readonly epoch: number; readonly seed: string } | undefined
  return (epoch) => {
    if (last?.epoch === epoch) return last.seed
    const wanted = Math.floor(epoch / seedChainLength)
    const place = epoch % seedChainLength
    if (wanted !== era) {
      era = wanted
      marks = []
      let seed = sha256(concatBytes(utf8ToBytes(`understudy seeds ${era} ${app} `), secretKey))
      for (let at = seedChainLength - 1; at >= 0; at--) {
        if (at % stride === stride - 1) marks[(at - stride + 1) / stride] = seed
        seed = sha256(seed)
      }
    }
    let seed = marks[Math.floor(place / stride)]!
    for (let at = place; at % stride !== stride - 1; at++) seed = sha256(seed)
    last = { epoch, seed: bytesToHex(seed) }
    return last.seed
  }
}

/** Whether the seed of a later epoch is the one that an earlier epoch's seed fixed. Undefined where a chain ended in between. */
export function isFixedBy(
  later: { readonly epoch: number; readonly seed: string },
  earlier: { readonly epoch: number; readonly seed: string },
): boolean | undefined {
  const eraOf = (epoch: number) => Math.floor(epoch / seedChainLength)
  if (eraOf(later.epoch) !== eraOf(earlier.epoch) || later.epoch < earlier.epoch) return undefined
  let seed = hexToBytes(later.seed)
  for (let at = later.epoch; at > earlier.epoch; at--) seed = sha256(seed)
  return bytesToHex(seed) === earlier.seed
}

/** The seed of the epoch before, hex. */
export const seedBefore = (seed: string): string => bytesToHex(sha256(hexToBytes(seed)))

/**
 * When a mirror's probe of a slot is due, whole ms since 1970. Slot s begins at s · interval; the moment in it is the first 6 bytes of
 * sha256(seed ‖ mirror, 8 bytes ‖ slot, 8 bytes), big-endian, as a fraction of 2⁴⁸.
 */
export function momentOf(seed: string, mirror: number, slot: number, intervalMs: number): number {
  const numbers = new DataView(new ArrayBuffer(16))
  numbers.setBigUint64(0, BigInt(mirror))
  numbers.setBigUint64(8, BigInt(slot))
  const digest = new DataView(sha256(concatBytes(hexToBytes(seed), new Uint8Array(numbers.buffer))).buffer)
  const fraction = (digest.getUint32(0) * 65_536 + digest.getUint16(4)) / 2 ** 48
  return slot * intervalMs + Math.floor(fraction * intervalMs)
}

/** The first moment after `now` at which a mirror's probe is due. */
export function nextMoment(seed: string, mirror: number, now: number, intervalMs: number): number {
  for (let slot = Math.floor(now / intervalMs); ; slot++) {
    const moment = momentOf(seed, mirror, slot, intervalMs)
    if (moment > now) return moment
  }
}
