import { join } from 'node:path'
import { publicKeyToAddress } from '@stacks/transactions'
import { addressOf } from '@understudy/chain/transactions'
import { readOrCreateKeyFile } from '@understudy/host/key-file'
import { attesterKey } from '@understudy/protocol/rules'
import { getPublicKey } from 'nostr-tools/pure'

/** A person of the demo: a folder with a Stacks key and a Nostr key. */
export interface Wallet {
  readonly folder: string
  readonly address: string
  readonly pubkey: string
  readonly stacksSecret: Uint8Array
}

/** Reads or makes the keys of a person. `chainId` decides the form of the address. */
export async function openWallet(folder: string, chainId: number): Promise<Wallet> {
  const stacksSecret = await readOrCreateKeyFile(join(folder, 'stacks.key'))
  const nostr = await readOrCreateKeyFile(join(folder, 'nostr.key'))
  const address = addressOf(Buffer.from(stacksSecret).toString('hex'), chainId)
  return { folder, address, pubkey: getPublicKey(nostr), stacksSecret }
}

/** Public key of the key file that a program will read. */
export async function publicKeyIn(file: string): Promise<string> {
  return getPublicKey(await readOrCreateKeyFile(file))
}

/** The Stacks account that an attester's key pays from: that of the even-Y key. */
export function attesterAddress(pubkey: string): string {
  return publicKeyToAddress(attesterKey(pubkey), 'testnet')
}
