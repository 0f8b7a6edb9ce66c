import { fund } from '@understudy/chain/calls'
import { formatMoney } from '@understudy/protocol/money'
import { inAsset, parseWhole, readAmount } from '../amount.ts'
import { callCommand } from '../calling.ts'
import type { Io } from '../command.ts'
import { Failure, UsageFailure } from '../failure.ts'

export const fundPool = (io: Io) =>
  callCommand(io, {
    name: 'fund',
    description: 'Put money into the pool that an app’s mirrors are paid out of',
    args: {
      amount: {
        type: 'string',
        description: 'What to deposit, in the app’s asset: 250stx, or 0.01sbtc',
        valueHint: 'amount',
        required: true,
      },
      'rules-version': {
        type: 'string',
        description: 'Rules that you have read (default: the newest)',
        valueHint: 'n',
      },
    },
    check(args) {
      if (readAmount('amount', args.amount).amount === 0n)
        throw new UsageFailure('--amount: nothing is no deposit')
      if (args['rules-version'] !== undefined) parseWhole('rules-version', args['rules-version'], 1)
    },
    plan(args, { app, chain, address }) {
      const amount = inAsset(readAmount('amount', args.amount), app.asset)
      const rules = app.rules.at(-1)!
      if (args['rules-version'] !== undefined && Number(args['rules-version']) !== rules.version) {
        throw new Failure(
          'other-rules',
          `the newest rules are version ${rules.version}, not ${args['rules-version']}`,
          'read them first: understudy status',
        )
      }
      const money = (of: bigint) => formatMoney(of, app.asset)
      io.say(
        `rules ${rules.version}: at most ${money(rules.budget)} an epoch to ${rules.places} places, ` +
          `${money(rules.fee)} of it to ${rules.keys.length} attesters`,
      )
      // One share for each of the smallest unit: a deposit that would mint fewer is undone.
      const deposit = {
        app: app.id,
        asset: app.asset,
        amount,
        rulesVersion: rules.version,
        minShares: amount,
      }
      return {
        call: fund(chain.contracts, address, deposit),
        lines: [`deposited    ${money(amount)} from ${address}`],
        data: { asset: app.asset, amount, funder: address, rulesVersion: rules.version },
        after({ pool, parked }) {
          const waits = parked.has(address)
          return {
            lines: [
              `pool         ${money(pool.free)} not yet allocated`,
              ...(waits
                ? [
                    'It waits until every ended epoch is final; then anyone may let it count: understudy activate',
                  ]
                : []),
            ],
            data: { free: pool.free, waits },
          }
        },
      }
    },
  })
