import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js'
import { type EventSigner, eventId, type NostrEvent, type Verify } from '@understudy/protocol/event'
import { loadSigners } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'

/** How events are signed in a run. The ECDSA signatures that the chain checks are real in every run. */
export interface Signing {
  /** `pubkey`: that of the secret where it is known already. */
  signerOf(secret: Uint8Array, pubkey?: string): EventSigner
  readonly verify: Verify
}

/** BIP-340, as outside. */
export async function realSigning(): Promise<Signing> {
  return { signerOf: await loadSigners(), verify: remembered(await loadVerify()) }
}

/**
 * Keyed hashes that only this model can check: as unforgeable within it, and a hundred times as fast. An event's signature is
 * sha256(secret ‖ id) twice, and the model knows everybody's secret.
 */
export function keyedSigning(): Signing {
  const secrets = new Map<string, Uint8Array>()
  const sign = (secret: Uint8Array, id: string) =>
    bytesToHex(sha256(concatBytes(secret, hexToBytes(id)))).repeat(2)
  return {
    signerOf(secret, pubkey = bytesToHex(sha256(secret))) {
      secrets.set(pubkey, secret)
      return {
        pubkey,
        signEvent(template) {
          const { kind, created_at, tags, content } = template
          const id = eventId({ kind, created_at, tags, content, pubkey })
          return { id, pubkey, created_at, kind, tags, content, sig: sign(secret, id) }
        },
      }
    },
    verify: remembered((event) => {
      const secret = secrets.get(event.pubkey)
      return secret !== undefined && eventId(event) === event.id && event.sig === sign(secret, event.id)
    }),
  }
}

/** Everybody looks at the same events: each is checked once. Keyed by all that is signed, so that a forged copy is another one. */
function remembered(verify: Verify): Verify {
  const known = new Map<string, boolean>()
  return (event: NostrEvent) => {
    const all = JSON.stringify(event)
    const before = known.get(all)
    if (before !== undefined) return before
    const holds = verify(event)
    if (known.size > 20_000) known.clear()
    known.set(all, holds)
    return holds
  }
}
