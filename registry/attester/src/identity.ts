import { addressOf } from '@understudy/chain/transactions'
import type { EventSigner } from '@understudy/protocol/event'
import { attesterKey } from '@understudy/protocol/rules'
import { evenSecret } from '@understudy/protocol/sip018'
import { signerOf } from '@understudy/relays/signer'

/** Who this attester is: one secret for Nostr, for SIP-018 and for its Stacks account. */
export interface Identity {
  readonly pubkey: string
  /** Compressed key, 33 bytes hex. */
  readonly key: string
  readonly signer: EventSigner
  /** Even-Y secret, 32 bytes. */
  readonly secretKey: Uint8Array
  readonly chainId: number
  /** Address that pays for transactions. */
  readonly account: string
  /** Principal that fees go to. */
  readonly payee: string
}

export function identityOf(secret: Uint8Array, chainId: number, payee?: string): Identity {
  const secretKey = evenSecret(secret)
  const signer = signerOf(secretKey)
  const account = addressOf(Buffer.from(secretKey).toString('hex'), chainId)
  return {
    pubkey: signer.pubkey,
    key: attesterKey(signer.pubkey),
    signer,
    secretKey,
    chainId,
    account,
    payee: payee ?? account,
  }
}
