import { Cl, ClarityType } from '@stacks/transactions'
import { activate } from '@understudy/chain/calls'
import { formatMoney } from '@understudy/protocol/money'
import { command, type Io } from '../command.ts'
import { Failure } from '../failure.ts'
import { appArgs, appOf, chainArgs, feeArgs, findApp, keyArgs, openChain, secretOf } from '../network.ts'
import { createSender } from '../transaction.ts'

export const activateDeposits = (io: Io) =>
  command(io, {
    name: 'activate',
    description: 'Let deposits count that came while an epoch was being settled. Anyone may',
    args: {
      ...appArgs,
      ...chainArgs,
      'key-file': keyArgs['key-file'],
      keys: keyArgs.keys,
      ...feeArgs,
    },
    async run(args) {
      const id = appOf(args, io)
      const secret = secretOf(args, io, 'stacks')
      const chain = await openChain(args, io)
      const app = await findApp(chain, id)
      const newest = app.rules.at(-1)!.version
      const waiting = [...app.parked].filter(([, deposit]) => deposit.version === newest)
      const answer = await chain.client.callReadOnly(chain.contracts.pool, 'is-quiet', [
        Cl.bufferFromHex(app.id),
      ])
      const quiet = answer.type === ClarityType.BoolTrue
      if (waiting.length === 0 || !quiet) {
        const why =
          waiting.length === 0 ? 'no deposit waits' : 'an ended epoch is not final yet: try again later'
        return {
          lines: [why],
          data: { app: app.id, asset: app.asset, quiet, activated: [] },
        }
      }
      const sender = createSender(chain, secret, args, io)
      const calls = waiting.map(([funder]) => activate(chain.contracts, { app: app.id, funder }))
      if (args['dry-run']) return sender.preview(calls)
      const sent = await sender.sendAll(calls)
      const failure = sent.find((answer) => answer instanceof Failure)
      if (failure) throw failure
      const activated = waiting.map(([funder, { amount }]) => ({ funder, amount }))
      return {
        lines: activated.map(
          ({ funder, amount }) => `activated    ${formatMoney(amount, app.asset)} of ${funder}`,
        ),
        data: { app: app.id, asset: app.asset, quiet, activated },
      }
    },
  })
