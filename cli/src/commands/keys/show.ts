import { resolve } from 'node:path'
import { getPublicKey } from 'nostr-tools/pure'
import { bytesToHex } from 'nostr-tools/utils'
import { command, type Io } from '../../command.ts'
import { defaultKeyFolder } from '../../keys.ts'
import { keyArgs, secretOf } from '../../network.ts'
import { addresses, addressLines } from './new.ts'

export const keysShow = (io: Io) =>
  command(io, {
    name: 'show',
    description: 'Show the addresses and public keys of your keys',
    args: {
      ...keyArgs,
      secret: {
        type: 'boolean',
        description: 'Print the secret keys as well: whoever sees them owns what is yours',
      },
    },
    async run(args) {
      const folder = resolve(io.cwd, args.keys || io.env.UNDERSTUDY_KEYS || defaultKeyFolder())
      const stacks = secretOf({ ...args, keys: folder }, io, 'stacks')
      const nostr = secretOf({ ...args, keys: folder }, io, 'nostr')
      const secrets = { stacksSecret: bytesToHex(stacks), nostrSecret: bytesToHex(nostr) }
      return {
        lines: [
          ...addressLines(stacks),
          `nostr        ${getPublicKey(nostr)}`,
          ...(args.secret
            ? [`stacks key   ${secrets.stacksSecret}`, `nostr key    ${secrets.nostrSecret}`]
            : []),
        ],
        data: { folder, ...addresses(stacks), nostr: getPublicKey(nostr), ...(args.secret ? secrets : {}) },
      }
    },
  })
