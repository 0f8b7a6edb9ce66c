import { sha256 } from '@noble/hashes/sha2.js'
import { hexToBytes } from '@noble/hashes/utils.js'
import { hashes, schnorr } from '@noble/secp256k1'
import { eventId, type Verify } from '@understudy/protocol/event'

hashes.sha256 = sha256

/** Checks id and BIP-340 signature in plain JavaScript: a page verifies a handful of events, and counts every byte. */
export const verify: Verify = (event) => {
  if (eventId(event) !== event.id) return false
  return schnorr.verify(hexToBytes(event.sig), hexToBytes(event.id), hexToBytes(event.pubkey))
}
