import { bondAt, isPayable, rulesAt } from '@understudy/chain/state'
import { epochAt, epochEnd, epochStart } from '@understudy/protocol/epoch'
import { kinds } from '@understudy/protocol/kinds'
import { parseMirror } from '@understudy/protocol/mirror'
import { formatMoney } from '@understudy/protocol/money'
import { parseWhole } from '../amount.ts'
import { command, type Io } from '../command.ts'
import { newestRelease } from '../history.ts'
import { appOf, chainArgs, findApp, openChain, openTheirRelays, relayArgs } from '../network.ts'
import { rewardsOf } from '../rewards.ts'
import { rewardLines } from './mirror/rewards.ts'

export const status = (io: Io) =>
  command(io, {
    name: 'status',
    description: 'What the chain and the relays say of an app',
    args: {
      app: { type: 'positional', description: 'App: coordinate or id (APP)', required: false },
      epochs: { type: 'string', description: 'How many ended epochs to explain (default 3)', valueHint: 'n' },
      ...chainArgs,
      ...relayArgs,
    },
    async run(args) {
      const id = appOf(args, io)
      const count = args.epochs === undefined ? 3 : parseWhole('epochs', args.epochs, 0, 100)
      const chain = await openChain(args, io)
      const app = await findApp(chain, id)
      const relays = await openTheirRelays(args, io)
      const { burnHeight } = chain.info
      const epoch = epochAt(app.schedule, burnHeight)
      const rules = rulesAt(app, Math.max(0, epoch))!
      try {
        const release = await newestRelease(relays, app.coordinate, rules.releaseKey)
        const announced = (await relays.query([{ kinds: [kinds.mirror], '#d': [app.id] }])).flatMap(
          (event) => {
            const read = parseMirror(event)
            return read.ok ? [read.value] : []
          },
        )
        const mirrors = [...app.mirrors.values()]
          .filter((mirror) => !mirror.withdrawn)
          .map((mirror) => {
            const said = announced
              .filter((a) => a.nodeKey === mirror.nodeKey && a.stx === mirror.owner)
              .sort((a, b) => b.createdAt - a.createdAt)[0]
            return {
              mirror: mirror.id,
              name: said?.name ?? null,
              owner: mirror.owner,
              endpoint: mirror.endpoint,
              bond: mirror.bond,
              counts: bondAt(mirror, epochStart(app.schedule, Math.max(0, epoch))) > 0n,
              bound: said !== undefined,
              commit: said?.commit ?? null,
            }
          })
        const settlements = [...app.settlements.values()].map((settlement) => ({
          epoch: settlement.epoch,
          allocated: settlement.allocated,
          paid: settlement.paid,
          leaves: settlement.count,
          claimed: settlement.claims.size,
          payable: isPayable(settlement, chain.info),
          txid: settlement.txid,
        }))
        const rewards = await rewardsOf(chain, relays, app, count)
        const { pool, asset } = app
        const money = (amount: bigint) => formatMoney(amount, asset)
        const when =
          epoch < 0
            ? `epoch 0 begins in ${app.schedule.start - burnHeight} burn blocks`
            : `epoch ${epoch}, ${epochEnd(app.schedule, epoch) - burnHeight} burn blocks left`
        return {
          lines: [
            `app          ${app.id}`,
            `coordinate   ${app.coordinate}`,
            `maintainer   ${app.maintainer}`,
            `burn block   ${burnHeight}: ${when}`,
            `release      ${release ? `${release.seq}: ${release.commit}` : 'none yet'}`,
            `rules        ${rules.version}: at most ${money(rules.budget)} an epoch to ${rules.places} places`,
            `pool         ${money(pool.free)} free, ${money(pool.owed)} owed, ${money(pool.paid)} paid`,
            ...mirrors.map(
              (m) =>
                `mirror ${m.mirror}     ${m.name ?? 'not announced'}  ${m.endpoint}  bond ${money(m.bond)}` +
                `${m.counts ? '' : ', not counting yet'}${m.bound ? '' : ', not bound'}`,
            ),
            ...rewardLines(rewards, asset),
          ],
          data: {
            app: app.id,
            coordinate: app.coordinate,
            maintainer: app.maintainer,
            asset,
            burnHeight,
            epoch: epoch < 0 ? null : epoch,
            start: app.schedule.start,
            length: app.schedule.length,
            release: release ? { seq: release.seq, commit: release.commit, eventId: release.eventId } : null,
            rulesVersion: rules.version,
            pool: { deposited: pool.deposited, free: pool.free, owed: pool.owed, paid: pool.paid },
            mirrors,
            settlements,
            epochs: rewards,
          },
        }
      } finally {
        relays.close()
      }
    },
  })
