import { type Parsed, parsed, refused } from '@understudy/protocol/event'

const alphabet = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
const generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3]

/** Reads a Nostr public key that a person typed: 64 hex digits, or `npub1…` (NIP-19). Gives lower-case hex. */
export function parsePublicKey(text: string): Parsed<string> {
  const typed = text.trim().toLowerCase()
  if (typed.startsWith('nsec1')) return refused('That is a secret key. Never paste it anywhere.')
  const hex = typed.startsWith('npub1') ? decodeNpub(typed) : typed
  if (hex === undefined) return refused('This npub has a typing error.')
  if (!/^[0-9a-f]{64}$/.test(hex)) return refused('A key is 64 hex digits, or begins with npub1.')
  if (!isOnCurve(BigInt(`0x${hex}`)))
    return refused('No public key has these digits: is there a typing error?')
  return parsed(hex)
}

/** Bech32 (BIP-173) of the 32 bytes of a key. */
function decodeNpub(text: string): string | undefined {
  const values = [...text.slice(5)].map((char) => alphabet.indexOf(char))
  if (values.includes(-1) || values.length !== 58) return undefined
  const prefix = [...'npub'].map((char) => char.charCodeAt(0))
  const expanded = [...prefix.map((code) => code >> 5), 0, ...prefix.map((code) => code & 31)]
  if (checksum([...expanded, ...values]) !== 1) return undefined
  const bits = values
    .slice(0, 52)
    .map((value) => value.toString(2).padStart(5, '0'))
    .join('')
  if (bits.slice(256).includes('1')) return undefined
  return BigInt(`0b${bits.slice(0, 256)}`)
    .toString(16)
    .padStart(64, '0')
}

function checksum(values: readonly number[]): number {
  let state = 1
  for (const value of values) {
    const top = state >> 25
    state = ((state & 0x1ffffff) << 5) ^ value
    generator.forEach((term, bit) => {
      if ((top >> bit) & 1) state ^= term
    })
  }
  return state
}

const p = 2n ** 256n - 2n ** 32n - 977n

/** Whether secp256k1 has a point with this x: half of all typing errors in hex give a number that is none. */
function isOnCurve(x: bigint): boolean {
  if (x <= 0n || x >= p) return false
  let result = 1n
  let base = (x ** 3n + 7n) % p
  for (let exponent = (p - 1n) / 2n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % p
    base = (base * base) % p
  }
  return result === 1n
}
