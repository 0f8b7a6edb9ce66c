import type { EventSigner } from '@understudy/protocol/event'
import { finalizeEvent, getPublicKey } from 'nostr-tools/pure'
import { initNostrWasm } from 'nostr-wasm'

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

/** The same by libsecp256k1 as WebAssembly, some ten times as fast: for those who sign by the thousand. */
export async function loadSigner(secretKey: Uint8Array): Promise<EventSigner> {
  const wasm = await initNostrWasm()
  return {
    pubkey: getPublicKey(secretKey),
    signEvent({ kind, created_at, tags, content }) {
      const event = { id: '', pubkey: '', created_at, kind, tags, content, sig: '' }
      wasm.finalizeEvent(event, secretKey)
      return event
    },
  }
}
