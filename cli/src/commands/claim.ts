import { claim } from '@understudy/chain/calls'
import { type ChainSettlement, isPayable } from '@understudy/chain/state'
import { formatMoney } from '@understudy/protocol/money'
import { parseWhole } from '../amount.ts'
import { command, type Io } from '../command.ts'
import { Failure, UsageFailure } from '../failure.ts'
import { claimable, leavesFromApi } from '../leaves.ts'
import {
  appArgs,
  appOf,
  chainArgs,
  feeArgs,
  findApp,
  keyArgs,
  openChain,
  openTheirRelays,
  relayArgs,
  secretOf,
} from '../network.ts'
import { verified } from '../rewards.ts'
import { createSender } from '../transaction.ts'

export const claimPayouts = (io: Io) =>
  command(io, {
    name: 'claim',
    description: 'Have the pool pay what settled epochs owe. Anyone may; the recipients alone are paid',
    args: {
      ...appArgs,
      epoch: { type: 'string', description: 'One epoch (default: every payable one)', valueHint: 'n' },
      recipient: {
        type: 'string',
        description: 'Only what this principal is owed (default: all)',
        valueHint: 'address',
      },
      api: {
        type: 'string',
        description: 'Where to ask for the leaves (API_URL); checked against the chain',
        valueHint: 'url',
      },
      ...chainArgs,
      ...relayArgs,
      'key-file': keyArgs['key-file'],
      keys: keyArgs.keys,
      ...feeArgs,
    },
    async run(args) {
      const id = appOf(args, io)
      const wanted = args.epoch === undefined ? undefined : parseWhole('epoch', args.epoch)
      const api = args.api || io.env.API_URL
      if (api && !URL.canParse(api)) throw new UsageFailure(`--api: ${api} is not a URL`)
      const secret = secretOf(args, io, 'stacks')
      const chain = await openChain(args, io)
      const app = await findApp(chain, id)
      const settled = [...app.settlements.values()].filter((s) => wanted === undefined || s.epoch === wanted)
      if (wanted !== undefined && settled.length === 0) {
        throw new Failure('not-settled', `epoch ${wanted} is not settled`)
      }
      const payable = settled.filter((settlement) => isPayable(settlement, chain.info))
      if (wanted !== undefined && payable.length === 0) {
        const { burn, challenge } = settled[0]!
        throw new Failure(
          'not-payable',
          `epoch ${wanted} is payable from burn block ${burn + challenge} on`,
          'wait',
        )
      }

      const computed = async ({ epoch }: ChainSettlement) => {
        const relays = await openTheirRelays(args, io)
        try {
          return (await verified(chain, relays, app.id, epoch)).outcome.leaves
        } finally {
          relays.close()
        }
      }
      const due = []
      for (const settlement of payable.filter((s) => s.claims.size < s.count)) {
        const leaves = api ? await leavesFromApi(api, app.id, settlement.epoch) : await computed(settlement)
        for (const item of claimable(settlement, leaves)) {
          if (args.recipient && item.leaf.recipient !== args.recipient) continue
          due.push({ epoch: settlement.epoch, ...item })
        }
      }
      const sender = createSender(chain, secret, args, io)
      const calls = due.map((item) => claim(chain.contracts, { app: app.id, asset: app.asset, ...item }))
      if (args['dry-run']) return sender.preview(calls)
      const outcomes = await sender.sendAll(calls)
      const paid = due.flatMap(({ epoch, leaf }, at) => {
        const outcome = outcomes[at]!
        return outcome instanceof Failure ? [] : [{ epoch, ...leaf, txid: outcome.txid }]
      })
      const failed = outcomes.filter((outcome) => outcome instanceof Failure)
      for (const failure of failed) io.say(failure.message)
      // Somebody else may have claimed the same leaf in the meantime: then it is paid, which is all that was wanted.
      const after = failed.length > 0 ? await findApp(chain, app.id) : undefined
      const unpaid = due.filter(
        ({ epoch, leaf }) => after && !after.settlements.get(epoch)?.claims.has(leaf.index),
      )
      if (unpaid.length > 0) {
        throw new Failure(
          'unpaid',
          `${unpaid.length} of ${due.length} claims failed: ${failed[0]?.message}`,
          'run the command again',
        )
      }
      return {
        lines:
          paid.length === 0
            ? ['nothing is left to claim']
            : paid.map(
                ({ epoch, recipient, amount, txid }) =>
                  `epoch ${epoch}  ${recipient}  ${formatMoney(amount, app.asset)}  ${txid}`,
              ),
        data: { app: app.id, asset: app.asset, claims: paid },
      }
    },
  })
