import type { ChainApp } from '@understudy/chain/state'
import { formatMoney } from '@understudy/protocol/money'
import { parseAmount } from '../../amount.ts'
import { command, type Io } from '../../command.ts'
import { type Expectation, expectationOf } from '../../expectation.ts'
import { Failure, UsageFailure } from '../../failure.ts'
import {
  appArgs,
  appOf,
  type Chain,
  chainArgs,
  findApp,
  openChain,
  openTheirRelays,
  relayArgs,
} from '../../network.ts'
import { lastVerified } from '../../rewards.ts'
import { vantageHere } from '../../vantage.ts'

export const mirrorExpect = (io: Io) =>
  command(io, {
    name: 'expect',
    description:
      'Before bonding: what the place of a node already has, and what one more mirror there can expect',
    args: {
      endpoint: { type: 'string', description: 'URL of the node (PUBLIC_URL)', valueHint: 'url' },
      network: {
        type: 'string',
        description: 'Its network, for instance AS64501 (default: that of the endpoint)',
        valueHint: 'AS',
      },
      bond: {
        type: 'string',
        description: 'Bond (default: the least that the rules ask)',
        valueHint: 'amount',
      },
      ...appArgs,
      ...chainArgs,
      ...relayArgs,
    },
    async run(args) {
      const id = appOf(args, io)
      const asked = args.network === undefined ? undefined : /^(?:AS)?(\d{1,10})$/i.exec(args.network)?.[1]
      if (args.network !== undefined && asked === undefined)
        throw new UsageFailure(`--network: ${args.network} is not the number of a network`, 'write AS64501')
      const chain = await openChain(args, io)
      const app = await findApp(chain, id)
      const bond = bondOf(app, args.bond)
      const network =
        asked === undefined ? await networkOf(args.endpoint || io.env.PUBLIC_URL, io) : Number(asked)
      const { lines, ...data } = await expect(chain, app, { network, bond }, args, io)
      return { lines, data: { app: id, asset: app.asset, network, bond, ...data } }
    },
  })

/** The bond that is meant, in the app's smallest unit: at least what the newest rules ask. */
export function bondOf(app: ChainApp, wish: string | undefined): bigint {
  const { minBond } = app.rules.at(-1)!
  const bond = wish === undefined ? minBond : parseAmount('bond', wish, app.asset)
  if (bond >= minBond) return bond
  throw new Failure(
    'bond-too-low',
    `--bond: the rules ask for ${formatMoney(minBond, app.asset)} at least, not ${formatMoney(bond, app.asset)}`,
  )
}

export async function expect(
  chain: Chain,
  app: ChainApp,
  newcomer: { readonly network: number; readonly bond: bigint },
  args: { readonly relays?: string | undefined },
  io: Io,
): Promise<Expectation> {
  const relays = await openTheirRelays(args, io)
  try {
    return expectationOf(app, await lastVerified(chain, relays, app), newcomer)
  } finally {
    relays.close()
  }
}

/** The network of an endpoint's address; 0 where it cannot be known from here. */
export async function networkOf(endpoint: string | undefined, io: Io): Promise<number> {
  const host = URL.parse(endpoint ?? '')?.hostname.replace(/^\[|\]$/g, '')
  if (!host) return 0
  const vantage = await vantageHere(io)
  const address = /^[\d.]+$|:/.test(host) ? host : (await vantage.resolve(host).catch(() => []))[0]
  return address ? vantage.network(address) : 0
}
