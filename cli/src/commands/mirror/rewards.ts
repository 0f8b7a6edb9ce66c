import { setTimeout as delay } from 'node:timers/promises'
import type { Asset } from '@understudy/protocol/money'
import { parseWhole } from '../../amount.ts'
import { mirrorArgs } from '../../calling.ts'
import { command, type Io } from '../../command.ts'
import { Failure } from '../../failure.ts'
import { appArgs, appOf, chainArgs, findApp, openChain, openTheirRelays, relayArgs } from '../../network.ts'
import { type EpochRewards, rewardLine, rewardsOf } from '../../rewards.ts'

export const mirrorRewards = (io: Io) =>
  command(io, {
    name: 'rewards',
    description: 'What each ended epoch paid a mirror, and why not',
    args: {
      ...mirrorArgs,
      owner: {
        type: 'string',
        description: 'All mirrors of this wallet (STX_ADDRESS)',
        valueHint: 'address',
      },
      epochs: { type: 'string', description: 'How many epochs back (default 5)', valueHint: 'n' },
      wait: { type: 'boolean', description: 'Until one of them has earned what can be claimed' },
      ...appArgs,
      ...chainArgs,
      ...relayArgs,
    },
    async run(args) {
      const id = appOf(args, io)
      const owner = args.owner || io.env.STX_ADDRESS
      const number = args.mirror === undefined ? undefined : parseWhole('mirror', args.mirror, 1)
      const epochs = args.epochs === undefined ? 5 : parseWhole('epochs', args.epochs, 1, 100)
      const relays = await openTheirRelays(args, io)
      const told = new Set<string>()
      try {
        for (;;) {
          const chain = await openChain(args, io)
          const app = await findApp(chain, id)
          const meant = [...app.mirrors.values()].filter((mirror) =>
            number === undefined ? owner === undefined || mirror.owner === owner : mirror.id === number,
          )
          if (meant.length === 0)
            throw new Failure(
              'no-mirror',
              `${number ? `mirror ${number}` : owner} is not registered for this app`,
              'register it with: understudy mirror register',
            )
          const ids = new Set(meant.map((mirror) => mirror.id))
          const all = await rewardsOf(chain, relays, app, epochs)
          const rewards = all.map((one) => ({
            ...one,
            mirrors: one.mirrors.filter(({ mirror }) => ids.has(mirror)),
          }))
          const earned = rewards.some(
            ({ state, mirrors }) => state === 'payable' && mirrors.some(({ amount }) => amount > 0n),
          )
          if (!args.wait || earned)
            return {
              lines: rewardLines(rewards, app.asset),
              data: { app: id, asset: app.asset, mirrors: [...ids], epochs: rewards },
            }
          for (const line of rewardLines(rewards.toReversed(), app.asset)) {
            if (!told.has(line)) io.say(line)
            told.add(line)
          }
          await delay(2_000)
        }
      } finally {
        relays.close()
      }
    },
  })

/** An epoch, and below it the mirrors. */
export function rewardLines(rewards: readonly EpochRewards[], asset: Asset): string[] {
  if (rewards.length === 0) return ['no epoch has ended yet']
  return rewards.flatMap(({ epoch, about, mirrors }) => [
    `epoch ${epoch}      ${about}`,
    ...mirrors.map((mirror) => `  ${rewardLine(mirror, asset)}`),
  ])
}
