import { addBond, beginUnbond, retire, withdraw } from '@understudy/chain/calls'
import type { ChainMirror } from '@understudy/chain/state'
import { epochEnd } from '@understudy/protocol/epoch'
import { formatMoney } from '@understudy/protocol/money'
import { parseAmount } from '../../amount.ts'
import { callCommand, type Ground, mirrorArgs, ownMirror } from '../../calling.ts'
import type { Io } from '../../command.ts'
import { Failure, UsageFailure } from '../../failure.ts'

export const mirrorAddBond = (io: Io) =>
  callCommand(io, {
    name: 'add-bond',
    description: 'Add to the bond of a mirror; it counts from the next epoch on',
    args: {
      ...mirrorArgs,
      amount: {
        type: 'string',
        description: 'What to add, in the app’s asset',
        valueHint: 'amount',
        required: true,
      },
    },
    plan(args, ground) {
      const amount = parseAmount('amount', args.amount, ground.app.asset)
      if (amount === 0n) throw new UsageFailure('--amount: nothing is no bond')
      const mirror = staying(ownMirror(ground, args.mirror))
      const bond = mirror.bond + amount
      return {
        call: addBond(ground.chain.contracts, ground.address, {
          app: ground.app.id,
          asset: ground.app.asset,
          mirror: mirror.id,
          amount,
        }),
        lines: [
          `mirror       ${mirror.id}`,
          `bond         ${formatMoney(bond, ground.app.asset)}, from epoch ${Math.max(0, ground.epoch + 1)} on`,
        ],
        data: { asset: ground.app.asset, mirror: mirror.id, bond },
      }
    },
  })

/** The burn block from which a bond that begins to leave now can be taken back, and how far off it is. */
function leaving({ app, chain, epoch }: Ground, mirror: ChainMirror) {
  const { length } = app.schedule
  const { window, challenge } = app.rules.at(-1)!
  const ready = mirror.ready || chain.info.burnHeight + length + window + challenge
  const until =
    epoch < 0
      ? 'It counts in no epoch.'
      : `It counts until epoch ${epoch} ends, at burn block ${epochEnd(app.schedule, epoch)}.`
  return {
    ready,
    lines: [`${until} Take it back from about burn block ${ready} on: understudy mirror withdraw`],
  }
}

export const mirrorUnbond = (io: Io) =>
  callCommand(io, {
    name: 'unbond',
    description:
      'Begin to take the bond of a mirror back: it earns in the epoch that runs, and in no later one',
    args: mirrorArgs,
    plan(args, ground) {
      const mirror = staying(ownMirror(ground, args.mirror))
      const { ready, lines } = leaving(ground, mirror)
      return {
        call: beginUnbond(ground.chain.contracts, { app: ground.app.id, mirror: mirror.id }),
        lines: [
          `mirror       ${mirror.id}: ${formatMoney(mirror.bond, ground.app.asset)} begin to leave`,
          ...lines,
        ],
        data: { asset: ground.app.asset, mirror: mirror.id, bond: mirror.bond, ready },
      }
    },
  })

export const mirrorRetire = (io: Io) =>
  callCommand(io, {
    name: 'retire',
    description:
      'Say that a mirror is gone for good: frees its node key at once, and begins to take the bond back',
    args: mirrorArgs,
    plan(args, ground) {
      const mirror = ownMirror(ground, args.mirror)
      if (mirror.retired) throw new Failure('retired', `mirror ${mirror.id} is retired already`)
      const { ready, lines } = leaving(ground, mirror)
      return {
        call: retire(ground.chain.contracts, { app: ground.app.id, mirror: mirror.id }),
        lines: [`mirror       ${mirror.id} is retired; its node key is free`, ...lines],
        data: { asset: ground.app.asset, mirror: mirror.id, bond: mirror.bond, ready },
      }
    },
  })

export const mirrorWithdraw = (io: Io) =>
  callCommand(io, {
    name: 'withdraw',
    description: 'Take a bond back whose time has come',
    args: mirrorArgs,
    plan(args, ground) {
      const mirror = ownMirror(ground, args.mirror)
      if (mirror.unbonding === null)
        throw new Failure(
          'bonded',
          `the bond of mirror ${mirror.id} is still at stake`,
          'first: understudy mirror unbond',
        )
      const left = mirror.ready - ground.chain.info.burnHeight
      if (left > 0)
        throw new Failure(
          'not-ready',
          `the bond of mirror ${mirror.id} can be taken back from burn block ${mirror.ready} on`,
          `wait for ${left} burn blocks`,
        )
      const { id, bond } = mirror
      return {
        call: withdraw(ground.chain.contracts, {
          app: ground.app.id,
          asset: ground.app.asset,
          mirror: id,
          bond,
        }),
        lines: [
          `mirror       ${id}`,
          `taken back   ${formatMoney(bond, ground.app.asset)}, to ${ground.address}`,
        ],
        data: { asset: ground.app.asset, mirror: id, bond, owner: ground.address },
      }
    },
  })

/** Refuses a mirror that is on its way out. */
export function staying(mirror: ChainMirror): ChainMirror {
  if (mirror.retired)
    throw new Failure(
      'retired',
      `mirror ${mirror.id} is retired`,
      'register another: understudy mirror register',
    )
  if (mirror.unbonding === null) return mirror
  throw new Failure(
    'unbonding',
    `the bond of mirror ${mirror.id} is being taken back since burn block ${mirror.unbonding}`,
    'register another: understudy mirror register',
  )
}
