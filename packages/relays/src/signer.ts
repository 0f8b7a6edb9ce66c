import type { EventSigner } from '@understudy/protocol/event'
import { finalizeEvent, getPublicKey } from 'nostr-tools/pure'

/** Signs with one secret key of 32 bytes. */
export function signerOf(secretKey: Uint8Array): EventSigner {
  return {
    pubkey: getPublicKey(secretKey),
    signEvent(template) {
      const { kind, created_at, tags, content } = template
      const { id, pubkey, sig } = finalizeEvent({ kind, created_at, tags, content }, secretKey)
      return { id, pubkey, created_at, kind, tags, content, sig }
    },
  }
}
