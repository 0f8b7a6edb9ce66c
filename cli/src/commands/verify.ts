import { formatStx } from '@understudy/chain/calls'
import { threshold } from '@understudy/protocol/rules'
import { parseWhole } from '../amount.ts'
import { command, type Io } from '../command.ts'
import { Failure } from '../failure.ts'
import { chainArgs, findApp, openChain, openTheirRelays, relayArgs } from '../network.ts'
import { epochEvents, recompute } from '../recompute.ts'

export const verify = (io: Io) =>
  command(io, {
    name: 'verify',
    description:
      'Compute an epoch’s payout again from public data, and compare it with what the chain settled',
    args: {
      app: { type: 'positional', description: 'App: coordinate or id', required: true },
      epoch: { type: 'string', description: 'Epoch (default: the last one settled)', valueHint: 'n' },
      ...chainArgs,
      ...relayArgs,
    },
    async run(args) {
      const wanted = args.epoch === undefined ? undefined : parseWhole('epoch', args.epoch)
      const chain = await openChain(args, io)
      const app = await findApp(chain, args.app)
      const epoch = wanted ?? Math.max(...app.settlements.keys())
      const settlement = app.settlements.get(epoch)
      if (!settlement)
        throw new Failure(
          'not-settled',
          wanted === undefined ? 'nothing is settled' : `epoch ${epoch} is not settled`,
        )
      const relays = await openTheirRelays(args, io)
      try {
        const events = await epochEvents(relays, app.id, epoch)
        const { inputs, bundles, outcome, same } = recompute(
          await chain.log(app.id),
          app,
          settlement,
          events,
          chain.info.chainId,
        )
        const rules = app.rules.find((row) => row.version === inputs.rulesVersion)!
        const mirrors = outcome.mirrors.map((mirror) => {
          const reports = bundles.flatMap((b) =>
            b.reports.filter((report) => report.mirror === mirror.mirror),
          )
          const sum = (of: 'passed' | 'failed' | 'inconclusive') =>
            reports.reduce((total, r) => total + r[of], 0)
          const reasons: Record<string, number> = {}
          for (const report of reports) {
            for (const [reason, times] of Object.entries(report.reasons))
              reasons[reason] = (reasons[reason] ?? 0) + times
          }
          return {
            ...mirror,
            bond: app.mirrors.get(mirror.mirror)?.bond ?? 0n,
            nodeKey: app.mirrors.get(mirror.mirror)?.nodeKey ?? '',
            reason: mirror.reason ?? null,
            passed: sum('passed'),
            failed: sum('failed'),
            inconclusive: sum('inconclusive'),
            reasons,
            attesters: reports.length,
          }
        })
        if (!same) {
          throw new Failure(
            'differs',
            `epoch ${epoch} was settled as ${settlement.root}, but comes out as ${outcome.root}`,
          )
        }
        return {
          lines: [
            `epoch ${epoch}: ${formatStx(outcome.allocated)} in ${outcome.count} payments, the same as on chain, bit for bit`,
            `signed by ${settlement.signers.filter(Boolean).length} of ${rules.keys.length} attesters, ${threshold(rules.keys)} needed`,
            ...mirrors.map(
              (m) =>
                `mirror ${m.mirror}  ${m.passed} passed, ${m.failed} failed  ` +
                (m.reason ? `nothing: ${m.reason}` : formatStx(m.amount)),
            ),
          ],
          data: {
            app: app.id,
            epoch,
            same,
            root: outcome.root,
            allocated: outcome.allocated,
            paid: settlement.paid,
            claims: settlement.claims.size,
            txid: settlement.txid,
            attestations: bundles.reduce((total, bundle) => total + bundle.reports.length, 0),
            leaves: outcome.leaves,
            mirrors,
          },
        }
      } finally {
        relays.close()
      }
    },
  })
