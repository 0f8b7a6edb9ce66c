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

/** The same by libsecp256k1 as WebAssembly, some ten times as fast: for those who sign by the thousand. `pubkey`: where it is known already. */
export async function loadSigners(): Promise<(secretKey: Uint8Array, pubkey?: string) => EventSigner> {
  const wasm = await initNostrWasm()
  return (secretKey, pubkey = getPublicKey(secretKey)) => ({
    pubkey,
    signEvent({ kind, created_at, tags, content }) {
      const event = { id: '', pubkey: '', created_at, kind, tags, content, sig: '' }
      wasm.finalizeEvent(event, secretKey)
      return event
    },
  })
}

export const loadSigner = async (secretKey: Uint8Array): Promise<EventSigner> =>
  (await loadSigners())(secretKey)
