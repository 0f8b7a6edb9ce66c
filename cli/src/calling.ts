import type { ContractCall } from '@understudy/chain/calls'
import type { ChainApp, ChainMirror } from '@understudy/chain/state'
import { epochAt } from '@understudy/protocol/epoch'
import type { ArgsDef, CommandDef, ParsedArgs } from 'citty'
import { parseWhole } from './amount.ts'
import { command, type Io, type Result } from './command.ts'
import { Failure } from './failure.ts'
import {
  appArgs,
  appOf,
  type Chain,
  chainArgs,
  feeArgs,
  findApp,
  keyArgs,
  openChain,
  secretOf,
} from './network.ts'
import { createSender } from './transaction.ts'

/** What a call is decided on. */
export interface Ground {
  readonly app: ChainApp
  readonly chain: Chain
  /** Who signs. */
  readonly address: string
  /** The epoch that runs; negative before epoch 0. */
  readonly epoch: number
}

/** What is to be sent, and what to say when it is on chain. Data are JSON's; the app and the txid are added. */
export interface Plan {
  readonly call: ContractCall
  readonly lines: readonly string[]
  readonly data: Readonly<Record<string, unknown>>
  /** What only the chain can tell afterwards, said after those lines. */
  readonly after?: (app: ChainApp) => Result
}

const callArgs = {
  ...appArgs,
  ...chainArgs,
  'key-file': keyArgs['key-file'],
  keys: keyArgs.keys,
  ...feeArgs,
} as const

/** A command that makes one contract call for one app. `plan` throws `Failure` where the contract would refuse, with a better word. */
export function callCommand<const T extends ArgsDef>(
  io: Io,
  definition: {
    readonly name: string
    readonly description: string
    readonly args: T
    /** Throws `UsageFailure` for what is wrong whatever the chain says. */
    check?(args: ParsedArgs<T>): void
    plan(args: ParsedArgs<T>, ground: Ground): Plan | Promise<Plan>
  },
): CommandDef {
  const { name, description, plan, check } = definition
  return command(io, {
    name,
    description,
    args: { ...definition.args, ...callArgs },
    async run(given) {
      const args = given as unknown as ParsedArgs<typeof callArgs>
      const id = appOf(args, io)
      check?.(given as unknown as ParsedArgs<T>)
      const secret = secretOf(args, io, 'stacks')
      const chain = await openChain(args, io)
      const app = await findApp(chain, id)
      const sender = createSender(chain, secret, args, io)
      const epoch = epochAt(app.schedule, chain.info.burnHeight)
      const { call, lines, data, after } = await plan(given as unknown as ParsedArgs<T>, {
        app,
        chain,
        address: sender.address,
        epoch,
      })
      if (args['dry-run']) return sender.preview([call])
      const { txid } = await sender.send(call)
      const found = after?.(await findApp(chain, id))
      return {
        lines: [...lines, `transaction  ${txid}`, ...(found?.lines ?? [])],
        data: { app: id, ...data, ...found?.data, txid },
      }
    },
  }) as CommandDef
}

export const mirrorArgs = {
  mirror: { type: 'string', description: 'Number of the mirror (default: your only one)', valueHint: 'n' },
} as const

/** The mirror that is meant: the one named, else the only one of this owner that is left. */
export function ownMirror({ app, address }: Ground, number: string | undefined): ChainMirror {
  const own = [...app.mirrors.values()].filter(({ owner, withdrawn }) => owner === address && !withdrawn)
  if (number === undefined) {
    if (own.length === 1) return own[0]!
    throw own.length === 0
      ? new Failure('no-mirror', `${address} has no mirror of this app`, 'give the --key-file of its owner')
      : new Failure(
          'which-mirror',
          `${address} has mirrors ${own.map(({ id }) => id).join(', ')}`,
          'give --mirror',
        )
  }
  const id = parseWhole('mirror', number, 1)
  const mirror = app.mirrors.get(id)
  if (!mirror)
    throw new Failure('no-mirror', `there is no mirror ${id} of this app`, 'see: understudy status')
  if (mirror.owner !== address)
    throw new Failure(
      'not-yours',
      `mirror ${id} is ${mirror.owner}'s, not ${address}'s`,
      'give the --key-file of its owner',
    )
  if (mirror.withdrawn) throw new Failure('withdrawn', `the bond of mirror ${id} was taken back already`)
  return mirror
}

/** Refuses all but the maintainer, as the contract does. */
export function requireMaintainer({ app, address }: Ground): void {
  if (app.maintainer === address) return
  throw new Failure(
    'not-yours',
    `the app is maintained by ${app.maintainer}, not by ${address}`,
    'use that account’s --key-file',
  )
}
