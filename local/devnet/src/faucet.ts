import { makeSTXTokenTransfer } from '@stacks/transactions'
import { FAUCET } from './accounts.ts'
import { noncesAnswer } from './answers.ts'
import type { Chain } from './chain.ts'

export interface Faucet {
  give(
    recipient: string,
  ): Promise<
    | { readonly ok: true; readonly txid: string; readonly raw: string }
    | { readonly ok: false; readonly reason: string }
  >
}

/** What one request is given, in µSTX: 500 STX, as on testnet. */
const PORTION = 500_000_000n

/** Pays by ordinary signed transfers, one at a time, so that two requests never take one nonce. */
export function createFaucet(chain: Chain): Faucet {
  let last: Promise<unknown> = Promise.resolve()

  async function send(recipient: string) {
    const transaction = await makeSTXTokenTransfer({
      recipient,
      amount: PORTION,
      senderKey: FAUCET.privateKey,
      nonce: noncesAnswer(chain, FAUCET.address).possible_next_nonce,
      fee: 1000n,
      network: 'testnet',
    })
    const raw = transaction.serialize()
    const accepted = await chain.accept(Uint8Array.from(Buffer.from(raw, 'hex')))
    if (!accepted.ok) return { ok: false as const, reason: accepted.rejection.reason }
    return { ok: true as const, txid: accepted.txid, raw }
  }

  return {
    give(recipient) {
      const sent = last.then(() => send(recipient))
      last = sent.catch(() => {})
      return sent
    },
  }
}
