import { formatStx, fund } from '@understudy/chain/calls'
import { parseAmount, parseWhole } from '../amount.ts'
import { command, type Io } from '../command.ts'
import { Failure, UsageFailure } from '../failure.ts'
import { appArgs, appOf, chainArgs, feeArgs, findApp, keyArgs, openChain, secretOf } from '../network.ts'
import { createSender } from '../transaction.ts'

export const fundPool = (io: Io) =>
  command(io, {
    name: 'fund',
    description: 'Put money into the pool that an app’s mirrors are paid out of',
    args: {
      ...appArgs,
      amount: {
        type: 'string',
        description: 'What to deposit, for instance 250stx',
        valueHint: 'amount',
        required: true,
      },
      'rules-version': {
        type: 'string',
        description: 'Rules that you have read (default: the newest)',
        valueHint: 'n',
      },
      ...chainArgs,
      'key-file': keyArgs['key-file'],
      keys: keyArgs.keys,
      ...feeArgs,
    },
    async run(args) {
      const id = appOf(args, io)
      const amount = parseAmount('amount', args.amount)
      if (amount === 0n) throw new UsageFailure('--amount: nothing is no deposit')
      const wanted =
        args['rules-version'] === undefined
          ? undefined
          : parseWhole('rules-version', args['rules-version'], 1)
      const secret = secretOf(args, io, 'stacks')
      const chain = await openChain(args, io)
      const app = await findApp(chain, id)
      const rules = app.rules.at(-1)!
      if (wanted !== undefined && wanted !== rules.version) {
        throw new Failure(
          'other-rules',
          `the newest rules are version ${rules.version}, not ${wanted}`,
          'read them first: understudy status',
        )
      }
      io.say(
        `rules ${rules.version}: at most ${formatStx(rules.budget)} an epoch to ${rules.places} places, ` +
          `${formatStx(rules.fee)} of it to ${rules.keys.length} attesters`,
      )
      const sender = createSender(chain, secret, args['tx-fee'], io)
      // One share per µSTX: a deposit that would mint fewer is undone.
      const deposit = { app: app.id, amount, rulesVersion: rules.version, minShares: amount }
      const { txid } = await sender.send(fund(chain.contracts, sender.address, deposit))
      const { pool, parked } = await findApp(chain, app.id)
      const waits = parked.has(sender.address)
      return {
        lines: [
          `deposited    ${formatStx(amount)} from ${sender.address}`,
          `pool         ${formatStx(pool.free)} not yet allocated`,
          `transaction  ${txid}`,
          ...(waits
            ? ['It waits until every ended epoch is final; then anyone may let it count: understudy activate']
            : []),
        ],
        data: {
          app: app.id,
          amount,
          funder: sender.address,
          free: pool.free,
          waits,
          rulesVersion: rules.version,
          txid,
        },
      }
    },
  })
