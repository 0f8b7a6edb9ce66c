import { Cl, ClarityType } from '@stacks/transactions'
import { exit, requestExit, sweep, takeBack } from '@understudy/chain/calls'
import { formatMoney } from '@understudy/protocol/money'
import { parseAmount, parseWhole } from '../amount.ts'
import { callCommand, type Ground } from '../calling.ts'
import type { Io } from '../command.ts'
import { Failure, UsageFailure } from '../failure.ts'

export const takeDepositBack = (io: Io) =>
  callCommand(io, {
    name: 'take-back',
    description: 'Take a deposit back that waits and does not count yet',
    args: {},
    plan(_, { app, chain, address }) {
      const waiting = app.parked.get(address)
      if (!waiting)
        throw new Failure(
          'nothing-parked',
          `no deposit of ${address} waits`,
          'leave with: understudy request-exit',
        )
      const { amount } = waiting
      return {
        call: takeBack(chain.contracts, { app: app.id, asset: app.asset, amount }),
        lines: [`taken back   ${formatMoney(amount, app.asset)}, to ${address}`],
        data: { asset: app.asset, amount, funder: address },
      }
    },
  })

export const requestToExit = (io: Io) =>
  callCommand(io, {
    name: 'request-exit',
    description: 'Ask to leave the pool with your shares, two epochs later; until then they stay at stake',
    args: {
      shares: { type: 'string', description: 'How many (default: all of yours)', valueHint: 'n' },
      cancel: { type: 'boolean', description: 'Take the wish back' },
    },
    plan(args, { app, chain, address, epoch }) {
      const held = app.shares.get(address) ?? 0n
      if (args.shares !== undefined && !/^[1-9]\d{0,38}$/.test(args.shares))
        throw new UsageFailure(`--shares: ${args.shares} is not a number of shares`)
      const shares = args.cancel ? 0n : args.shares === undefined ? held : BigInt(args.shares)
      if (shares > held || (held === 0n && !args.cancel))
        throw new Failure(
          'too-many-shares',
          `${address} holds ${held} shares`,
          held > 0n ? 'ask for fewer' : 'is it the right --key-file?',
        )
      const ready = Math.max(0, epoch) + 2
      return {
        call: requestExit(chain.contracts, { app: app.id, shares }),
        lines: args.cancel
          ? ['the wish to leave is taken back']
          : [
              `leaving      with ${shares} of ${held} shares, worth ${formatMoney(worth(app, shares), app.asset)} now`,
              `ready        in epoch ${ready}: understudy exit`,
            ],
        data: { funder: address, shares, ready: args.cancel ? null : ready },
      }
    },
  })

/** The funders' part of the pool that shares stand for, rounded down as the contract does. */
function worth({ pool }: Ground['app'], shares: bigint): bigint {
  return pool.shares === 0n ? 0n : (shares * (pool.free - pool.common)) / pool.shares
}

export const exitPool = (io: Io) =>
  callCommand(io, {
    name: 'exit',
    description: 'Leave the pool as requested, and be paid your part of it',
    args: {
      least: {
        type: 'string',
        description: 'Undo it where it brings less (default: 99 % of today’s worth)',
        valueHint: 'amount',
      },
    },
    async plan(args, { app, chain, address, epoch }) {
      const wish = app.exits.get(address)
      if (!wish || wish.shares === 0n || wish.generation !== app.pool.generation)
        throw new Failure(
          'not-requested',
          `${address} has not asked to leave`,
          'first: understudy request-exit',
        )
      if (epoch < wish.ready)
        throw new Failure(
          'not-ready',
          `it is possible from epoch ${wish.ready} on; now is epoch ${epoch}`,
          'wait',
        )
      const quiet = await chain.client.callReadOnly(chain.contracts.pool, 'is-quiet', [
        Cl.bufferFromHex(app.id),
      ])
      if (quiet.type !== ClarityType.BoolTrue)
        throw new Failure('not-quiet', 'an ended epoch is not final yet', 'try again later')
      const amount = worth(app, wish.shares)
      const least =
        args.least === undefined ? (amount * 99n) / 100n : parseAmount('least', args.least, app.asset)
      return {
        call: exit(chain.contracts, { app: app.id, asset: app.asset, least }),
        lines: [
          `left         with ${wish.shares} shares, for ${formatMoney(amount, app.asset)} to ${address}`,
        ],
        data: { asset: app.asset, funder: address, shares: wish.shares, amount },
      }
    },
  })

export const sweepEpoch = (io: Io) =>
  callCommand(io, {
    name: 'sweep',
    description: 'Return what nobody claimed of an epoch in its claim period to the pool. Anyone may',
    args: { epoch: { type: 'string', description: 'The epoch', valueHint: 'n', required: true } },
    plan(args, { app, chain }) {
      const epoch = parseWhole('epoch', args.epoch)
      const settlement = app.settlements.get(epoch)
      if (!settlement) throw new Failure('not-settled', `epoch ${epoch} is not settled`)
      if (settlement.swept) throw new Failure('swept', `epoch ${epoch} was swept already`)
      const amount = settlement.allocated - settlement.paid
      const rules = app.rules.find(({ version }) => version === settlement.rulesVersion)!
      const from = settlement.burn + settlement.challenge + rules.claimPeriod
      if (chain.info.burnHeight < from)
        throw new Failure(
          'claimable',
          `epoch ${epoch} can be claimed until burn block ${from}`,
          'claim it: understudy claim',
        )
      return {
        call: sweep(chain.contracts, { app: app.id, epoch }),
        lines: [`epoch ${epoch}: ${formatMoney(amount, app.asset)} return to the pool`],
        data: { asset: app.asset, epoch, amount },
      }
    },
  })
