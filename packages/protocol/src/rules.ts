/** Levels that can count towards a place. `network` is an autonomous system within the place. */
export type Level = 'continent' | 'country' | 'network'

/** One immutable row of an app's rules: governs epochs `from` ≤ n < `until`. Money in the smallest unit of the app's asset, heights in burn blocks. */
export interface Rules {
  readonly version: number
  readonly from: number
  readonly until: number | null
  /** Most that one epoch pays, µSTX. */
  readonly budget: bigint
  /** N = 2M − 1 compressed keys (33 bytes, hex, `02…`), ascending. */
  readonly keys: readonly string[]
  /** T: the number of places that the app wants. */
  readonly places: number
  readonly levels: readonly Level[]
  /** Availability below this earns nothing, ppm. */
  readonly floor: number
  /** Bond that counts in one domain, µSTX. */
  readonly domainBond: bigint
  /** Attesters' fee for the whole epoch, all of them together, µSTX. */
  readonly fee: bigint
  /** Burn blocks for which an older release still passes. */
  readonly grace: number
  readonly minBond: bigint
  /** f: attesters whose round trips may be wrong. */
  readonly faults: number
  /** W. */
  readonly window: number
  /** C. */
  readonly challenge: number
  /** Burn blocks for which a payout can be claimed. */
  readonly claimPeriod: number
  /** Nostr key that signs releases, hex. */
  readonly releaseKey: string
  readonly minSeq: number
}

/** M of N = 2M − 1. */
export function threshold(keys: readonly string[]): number {
  return Math.floor(keys.length / 2) + 1
}

/** A Nostr public key as the compressed ECDSA key of the same secret: attesters use the even-Y one. */
export const attesterKey = (pubkey: string): string => `02${pubkey}`
/** The Nostr public key of an attester's compressed key. */
export const pubkeyOf = (key: string): string => key.slice(2)
