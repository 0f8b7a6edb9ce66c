import { join, resolve } from 'node:path'
import { privateKeyToAddress } from '@stacks/transactions'
import { getPublicKey } from 'nostr-tools/pure'
import { bytesToHex } from 'nostr-tools/utils'
import { command, type Io } from '../../command.ts'
import { createKey, defaultKeyFolder, keyFile } from '../../keys.ts'
import { keyArgs } from '../../network.ts'

export const keysNew = (io: Io) =>
  command(io, {
    name: 'new',
    description: 'Make a Stacks key and a Nostr key, readable by you alone',
    args: { keys: keyArgs.keys },
    async run(args) {
      const folder = resolve(io.cwd, args.keys || io.env.UNDERSTUDY_KEYS || defaultKeyFolder())
      const stacks = createKey(keyFile(folder, 'stacks'))
      const nostr = createKey(keyFile(folder, 'nostr'))
      return {
        lines: [
          ...addressLines(stacks),
          `nostr        ${getPublicKey(nostr)}`,
          `folder       ${join(folder)}`,
        ],
        data: { folder, ...addresses(stacks), nostr: getPublicKey(nostr) },
      }
    },
  })

/** One key has an address on each kind of chain. */
export function addresses(secret: Uint8Array): { mainnet: string; testnet: string } {
  const key = `${bytesToHex(secret)}01`
  return { mainnet: privateKeyToAddress(key, 'mainnet'), testnet: privateKeyToAddress(key, 'testnet') }
}

export function addressLines(secret: Uint8Array): string[] {
  const { mainnet, testnet } = addresses(secret)
  return [`mainnet      ${mainnet}`, `testnet      ${testnet}`]
}
