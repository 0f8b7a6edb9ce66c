import { secp256k1 } from '@noble/curves/secp256k1.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { Cl, type ClarityValue } from '@stacks/transactions'
import { consensus } from './clarity.ts'

const prefix = utf8ToBytes('SIP018')

/** The SIP-018 hash of a message under our domain `{name: "understudy", version: "1", chain-id}`. */
export function structuredHash(message: ClarityValue, chainId: number): Uint8Array {
  const domain = Cl.tuple({
    name: Cl.stringAscii('understudy'),
    version: Cl.stringAscii('1'),
    'chain-id': Cl.uint(chainId),
  })
  return sha256(concatBytes(prefix, sha256(consensus(domain)), sha256(consensus(message))))
}

/** ECDSA over a 32-byte hash: 65 bytes RSV, hex, as `secp256k1-recover?` takes it. */
export function signHash(hash: Uint8Array, secretKey: Uint8Array): string {
  // The even-Y key: a secret whose public key is odd signs with its negation, as BIP-340 does.
  const scalar = evenSecret(secretKey)
  const leading = secp256k1.sign(hash, scalar, { prehash: false, format: 'recovered', lowS: true })
  return bytesToHex(concatBytes(leading.subarray(1), leading.subarray(0, 1)))
}

/** Signatures looked at lately: an attester reads what it holds of an epoch again and again. */
const recovered = new Map<string, string | undefined>()
const maxRecovered = 1_000

/** The 33-byte compressed key that signed, hex, or undefined. */
export function recoverKey(hash: Uint8Array, rsv: string): string | undefined {
  if (!/^[0-9a-f]{130}$/.test(rsv)) return undefined
  const about = `${bytesToHex(hash)} ${rsv}`
  if (recovered.has(about)) return recovered.get(about)
  const key = recover(hash, hexToBytes(rsv))
  if (recovered.size >= maxRecovered) recovered.delete(recovered.keys().next().value!)
  recovered.set(about, key)
  return key
}

function recover(hash: Uint8Array, bytes: Uint8Array): string | undefined {
  try {
    const leading = concatBytes(bytes.subarray(64), bytes.subarray(0, 64))
    return bytesToHex(secp256k1.recoverPublicKey(leading, hash, { prehash: false }))
  } catch {
    return undefined
  }
}

/** The same secret, or its negation: the one whose public key has an even Y, as an attester's Stacks account and key have. */
export function evenSecret(secretKey: Uint8Array): Uint8Array {
  if (secp256k1.getPublicKey(secretKey, true)[0] === 2) return secretKey
  const { Fn } = secp256k1.Point
  return Fn.toBytes(Fn.neg(Fn.fromBytes(secretKey)))
}
