import { maxEventBytes, type Verify } from '@understudy/protocol/event'
import { initNostrWasm } from 'nostr-wasm'

/** Its WebAssembly memory is one fixed MiB and it does not check its allocations: longer events never reach it. */
const maxLength = 4 * maxEventBytes

/** Checks id and BIP-340 signature by libsecp256k1 as WebAssembly. For events that passed `eventSchema`. */
export async function loadVerify(): Promise<Verify> {
  const wasm = await initNostrWasm()
  return (event) => {
    let length = event.content.length
    for (const tag of event.tags) for (const value of tag) length += value.length + 3
    if (length * 6 > maxLength && JSON.stringify(event).length * 3 > maxLength) return false
    try {
      wasm.verifyEvent(event)
      return true
    } catch {
      return false
    }
  }
}
