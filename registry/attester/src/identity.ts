import { addressOf } from '@understudy/chain/transactions'
import type { EventSigner } from '@understudy/protocol/event'
import { attesterKey } from '@understudy/protocol/rules'
import { createSeeds } from '@understudy/protocol/seed'
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
  /** What the moments of an app's probes follow from in an epoch, 32 bytes hex. */
  seedOf(app: string, epoch: number): string
}

export function identityOf(secret: Uint8Array, chainId: number, payee?: string): Identity {
  const secretKey = evenSecret(secret)
  const signer = signerOf(secretKey)
  const account = addressOf(Buffer.from(secretKey).toString('hex'), chainId)
  const seeds = new Map<string, (epoch: number) => string>()
  return {
    pubkey: signer.pubkey,
    key: attesterKey(signer.pubkey),
    signer,
    secretKey,
    chainId,
    account,
    payee: payee ?? account,
    seedOf(app, epoch) {
      const known = seeds.get(app) ?? createSeeds(secretKey, app)
      seeds.set(app, known)
      return known(epoch)
    },
  }
}
