import { formatStx } from '@understudy/chain/calls'
import { bondAt, isPayable, rulesAt } from '@understudy/chain/state'
import { epochAt, epochEnd, epochStart } from '@understudy/protocol/epoch'
import { kinds } from '@understudy/protocol/kinds'
import { parseMirror } from '@understudy/protocol/mirror'
import { command, type Io } from '../command.ts'
import { newestRelease } from '../history.ts'
import { chainArgs, findApp, openChain, openTheirRelays, relayArgs } from '../network.ts'

export const status = (io: Io) =>
  command(io, {
    name: 'status',
    description: 'What the chain and the relays say of an app',
    args: {
      app: { type: 'positional', description: 'App: coordinate or id', required: true },
      ...chainArgs,
      ...relayArgs,
    },
    async run(args) {
      const chain = await openChain(args, io)
      const app = await findApp(chain, args.app)
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
        const { pool } = app
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
            `rules        ${rules.version}: at most ${formatStx(rules.budget)} an epoch to ${rules.places} places`,
            `pool         ${formatStx(pool.free)} free, ${formatStx(pool.owed)} owed, ${formatStx(pool.paid)} paid`,
            ...mirrors.map(
              (m) =>
                `mirror ${m.mirror}     ${m.name ?? 'not announced'}  ${m.endpoint}  bond ${formatStx(m.bond)}` +
                `${m.counts ? '' : ', not counting yet'}${m.bound ? '' : ', not bound'}`,
            ),
            ...settlements.map(
              (s) =>
                `epoch ${s.epoch}      ${formatStx(s.allocated)} allocated, ${formatStx(s.paid)} paid` +
                `${s.payable ? '' : ', not payable yet'}  ${s.txid}`,
            ),
          ],
          data: {
            app: app.id,
            coordinate: app.coordinate,
            maintainer: app.maintainer,
            burnHeight,
            epoch: epoch < 0 ? null : epoch,
            start: app.schedule.start,
            length: app.schedule.length,
            release: release ? { seq: release.seq, commit: release.commit, eventId: release.eventId } : null,
            rulesVersion: rules.version,
            pool: { deposited: pool.deposited, free: pool.free, owed: pool.owed, paid: pool.paid },
            mirrors,
            settlements,
          },
        }
      } finally {
        relays.close()
      }
    },
  })
