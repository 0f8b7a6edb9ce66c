import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { verifyBundle } from '@understudy/chain/verify'
import { bundleDigest, writeBundle } from '@understudy/protocol/epochBundle'
import { loadVerify } from '@understudy/relays/verify'
import { parseWhole } from '../amount.ts'
import { command, type Io } from '../command.ts'
import { collect, readable, refusal } from '../epoch.ts'
import { chainArgs, openChain, openTheirRelays, parseApp, relayArgs } from '../network.ts'

export const bundleEpoch = (io: Io) =>
  command(io, {
    name: 'epoch',
    description: 'Write everything that an epoch’s payout follows from into one file',
    args: {
      app: { type: 'positional', description: 'App: coordinate or id', required: true },
      epoch: { type: 'positional', description: 'Epoch', required: true },
      out: { type: 'string', description: 'File (default: <app>-<epoch>.bundle)', valueHint: 'file' },
      ...chainArgs,
      ...relayArgs,
    },
    async run(args) {
      const app = parseApp(args.app)
      const epoch = parseWhole('epoch', args.epoch)
      const chain = await readable(openChain(args, io))
      const relays = await openTheirRelays(args, io)
      try {
        const bundle = await readable(collect(chain, relays, app, epoch))
        const bytes = new TextEncoder().encode(writeBundle(bundle))
        // What cannot be verified by its reader is not worth writing.
        const verdict = verifyBundle(bytes, { app, epoch }, await loadVerify())
        if (verdict.ok !== 'match') throw refusal(verdict, epoch)
        const file = resolve(io.cwd, args.out || `${app.slice(0, 12)}-${epoch}.bundle`)
        await writeFile(file, bytes)
        const digest = bundleDigest(bundle)
        return {
          lines: [`${file}: ${bundle.events.length} events, ${bytes.length} bytes, digest ${digest}`],
          data: { app, epoch, file, bytes: bytes.length, events: bundle.events.length, digest },
        }
      } finally {
        relays.close()
      }
    },
  })
