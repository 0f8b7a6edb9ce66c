import { hexToBytes } from '@noble/hashes/utils.js'
import { Cl, type ClarityValue, serializeCVBytes } from '@stacks/transactions'

/** Consensus bytes of a Clarity value (SIP-005). */
export function consensus(value: ClarityValue): Uint8Array {
  return serializeCVBytes(value)
}

export const buffer = (hex: string): ClarityValue => Cl.buffer(hexToBytes(hex))
