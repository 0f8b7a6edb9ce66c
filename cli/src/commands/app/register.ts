import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { registerApp } from '@understudy/chain/calls'
import {
  appId,
  coordinateOf,
  parseCoordinate,
  type Repository,
  repositoryTemplate,
} from '@understudy/protocol/app'
import { formatMoney, units } from '@understudy/protocol/money'
import { signerOf } from '@understudy/relays/signer'
import { parseList } from '../../amount.ts'
import { command, type Io } from '../../command.ts'
import { Failure, UsageFailure } from '../../failure.ts'
import {
  chainArgs,
  feeArgs,
  keyArgs,
  openChain,
  openTheirRelays,
  relayArgs,
  relayUrls,
  secretOf,
} from '../../network.ts'
import { publish } from '../../publish.ts'
import { parseRulesFile, termsArgs, termsOf } from '../../terms.ts'
import { createSender } from '../../transaction.ts'

const text = (description: string, valueHint: string) => ({ type: 'string', description, valueHint }) as const

export const appRegister = (io: Io) =>
  command(io, {
    name: 'register',
    description:
      'Announce a repository and register it as an app, with the rules that its mirrors are paid by',
    args: {
      id: { ...text('Identifier of the repository, unique among yours', 'word'), required: true },
      name: text('Name for people (default: the identifier)', 'text'),
      description: text('One sentence', 'text'),
      clone: text('URLs to clone it from, comma-separated', 'urls'),
      web: text('URLs of the app itself, comma-separated, master first', 'urls'),
      rules: text('JSON file of the options below; options given here come first', 'file'),
      ...termsArgs,
      ...chainArgs,
      ...relayArgs,
      ...keyArgs,
      ...feeArgs,
    },
    async run(args) {
      const signer = signerOf(secretOf(args, io, 'nostr'))
      const coordinate = coordinateOf(signer.pubkey, args.id)
      if (!parseCoordinate(coordinate).ok) {
        throw new UsageFailure(
          `--id: ${args.id} is not an identifier`,
          'use 1 to 64 printable characters, no spaces',
        )
      }
      const options = { ...(args.rules ? readRules(resolve(io.cwd, args.rules)) : {}), ...given(args) }
      const relayList = relayUrls(args, io)
      const stacksSecret = secretOf(args, io, 'stacks')
      const chain = await openChain(args, io)
      const { asset, schedule, terms } = termsOf(options, {
        burnHeight: chain.info.burnHeight,
        releaseKey: signer.pubkey,
      })
      const sender = createSender(chain, stacksSecret, args, io)
      const id = appId(coordinate)
      const known = await chain.app(id)
      if (known && known.maintainer !== sender.address) {
        throw new Failure(
          'not-yours',
          `${coordinate} is maintained by ${known.maintainer}, not by ${sender.address}`,
          'use that account’s --key-file',
        )
      }

      const repository: Repository = {
        pubkey: signer.pubkey,
        d: args.id,
        name: args.name ?? args.id,
        description: args.description ?? '',
        clone: parseList(args.clone ?? ''),
        web: parseList(args.web ?? ''),
        relays: relayList,
        stx: sender.address,
      }
      const call = known ? undefined : registerApp(chain.contracts, { coordinate, asset, schedule, terms })
      if (args['dry-run']) return sender.preview(call ? [call] : [])
      const relays = await openTheirRelays(args, io)
      try {
        await publish(relays, signer, repositoryTemplate(repository, Math.floor(io.now() / 1_000)), io)
      } finally {
        relays.close()
      }

      const transaction = call && (await sender.send(call))
      if (known) io.say('the chain knows this app already; its rules were left as they are')
      const start = known?.schedule.start ?? schedule.start
      const held = known?.asset ?? asset
      const { budget } = known?.rules.at(-1) ?? terms
      return {
        lines: [
          `app          ${id}`,
          `coordinate   ${coordinate}`,
          `maintainer   ${sender.address}`,
          `money        ${units[held].name}, for ever; at most ${formatMoney(budget, held)} an epoch`,
          `epoch 0      begins at burn block ${start}`,
          `transaction  ${transaction?.txid ?? 'none: it was registered before'}`,
        ],
        data: {
          app: id,
          coordinate,
          maintainer: sender.address,
          asset: held,
          start,
          length: known?.schedule.length ?? schedule.length,
          txid: transaction?.txid ?? null,
          registered: transaction !== undefined,
        },
      }
    },
  })

function readRules(file: string) {
  try {
    return parseRulesFile(readFileSync(file, 'utf8'))
  } catch (cause) {
    if (cause instanceof UsageFailure) throw cause
    throw new UsageFailure(`--rules: cannot read ${file}`)
  }
}

/** The options of the rules that stand on the command line. */
function given(args: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.keys(termsArgs).flatMap((name) => (typeof args[name] === 'string' ? [[name, args[name]]] : [])),
  )
}
