import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { changeRules, endRules, replaceReleaseKey, veto } from '@understudy/chain/calls'
import { isHex32 } from '@understudy/protocol/event'
import { type Asset, formatMoney } from '@understudy/protocol/money'
import type { Rules } from '@understudy/protocol/rules'
import { pubkeyOf } from '@understudy/protocol/rules'
import { parseWhole } from '../../amount.ts'
import { callCommand, requireMaintainer } from '../../calling.ts'
import type { Io } from '../../command.ts'
import { Failure, UsageFailure } from '../../failure.ts'
import { parseRulesFile, type TermsOptions, termsArgs, termsOf } from '../../terms.ts'

const text = (description: string, valueHint: string) => ({ type: 'string', description, valueHint }) as const

/** Asset and schedule are fixed at registration; everything else may change. */
const { asset: _, start: __, length: ___, notice: ____, cap: _____, ...changeable } = termsArgs

export const rulesChange = (io: Io) =>
  callCommand(io, {
    name: 'change',
    description:
      'Announce other rules for later epochs; what is not given stays as it is. Funders may leave before',
    args: {
      from: text('First epoch that they govern (default: the earliest that the notice allows)', 'epoch'),
      rules: text('JSON file of the options below; options given here come first', 'file'),
      ...changeable,
    },
    plan(args, ground) {
      requireMaintainer(ground)
      const { app, chain, epoch } = ground
      const newest = app.rules.at(-1)!
      if (newest.from > Math.max(0, epoch))
        throw new Failure(
          'pending',
          `rules ${newest.version} wait to govern from epoch ${newest.from} on`,
          'one row waits at a time',
        )
      const earliest = Math.max(Math.max(0, epoch + 1) + app.schedule.notice, newest.until ?? 0)
      const from = args.from === undefined ? earliest : parseWhole('from', args.from)
      if (from < earliest)
        throw new Failure(
          'too-early',
          `the notice of ${app.schedule.notice} epochs allows epoch ${earliest} at the earliest`,
          `--from=${earliest}`,
        )
      const file = args.rules ? readRules(resolve(io.cwd, args.rules)) : {}
      const given = Object.entries(args as Record<string, unknown>).filter(
        ([name, value]) => name in changeable && typeof value === 'string',
      )
      if (file.asset !== undefined && file.asset !== app.asset)
        throw new UsageFailure(`--rules: the app’s asset is ${app.asset} for ever, not ${file.asset}`)
      const options = { ...optionsOf(newest, app.asset), ...file, ...Object.fromEntries(given) }
      const { length, notice, cap } = app.schedule
      const fixed = {
        asset: app.asset,
        start: '+1',
        length: String(length),
        notice: String(notice),
        cap: typed(cap, app.asset),
      }
      const { terms } = termsOf(
        { ...options, ...fixed },
        { burnHeight: chain.info.burnHeight, releaseKey: newest.releaseKey },
      )
      const version = newest.version + 1
      return {
        call: changeRules(chain.contracts, { app: app.id, from, terms }),
        lines: [
          `rules        ${version}, from epoch ${from} on`,
          `             at most ${formatMoney(terms.budget, app.asset)} an epoch to ${terms.places} places, ${terms.keys.length} attesters`,
        ],
        data: { version, from },
      }
    },
  })

function readRules(file: string): TermsOptions {
  try {
    return parseRulesFile(readFileSync(file, 'utf8'))
  } catch (cause) {
    if (cause instanceof UsageFailure) throw cause
    throw new UsageFailure(`--rules: cannot read ${file}`)
  }
}

/** An amount as an option says it. */
const typed = (amount: bigint, asset: Asset): string => `${amount}${asset === 'stx' ? 'ustx' : 'sats'}`

/** Rules as the options that would make them. */
function optionsOf(rules: Rules, asset: Asset): TermsOptions {
  return {
    budget: typed(rules.budget, asset),
    attesters: rules.keys.map(pubkeyOf).join(','),
    places: String(rules.places),
    levels: rules.levels.join(','),
    floor: String(rules.floor),
    'domain-bond': typed(rules.domainBond, asset),
    fee: typed(rules.fee, asset),
    grace: String(rules.grace),
    'min-bond': typed(rules.minBond, asset),
    faults: String(rules.faults),
    window: String(rules.window),
    challenge: String(rules.challenge),
    'claim-period': String(rules.claimPeriod),
    'release-key': rules.releaseKey,
    'min-seq': String(rules.minSeq),
  }
}

export const rulesEnd = (io: Io) =>
  callCommand(io, {
    name: 'end',
    description: 'Wind the app down: after the notice no epoch is paid. Other rules may start it again',
    args: {},
    plan(_args, ground) {
      requireMaintainer(ground)
      const { app, chain, epoch } = ground
      const { until, version } = app.rules.at(-1)!
      if (until !== null) throw new Failure('ended', `rules ${version} end with epoch ${until} already`)
      const last = Math.max(0, epoch + 1) + app.schedule.notice
      return {
        call: endRules(chain.contracts, app.id),
        lines: [`no epoch from ${last} on is paid`],
        data: { until: last },
      }
    },
  })

export const releaseKey = (io: Io) =>
  callCommand(io, {
    name: 'release-key',
    description: 'Name another key that signs releases, from the next epoch on',
    args: {
      key: { ...text('Nostr public key, 64 hex digits', 'key'), required: true },
      'min-seq': text('Releases below it are not served any more (default: as before)', 'seq'),
    },
    plan(args, ground) {
      requireMaintainer(ground)
      const { app, chain, epoch } = ground
      if (!isHex32(args.key)) throw new UsageFailure(`--key: ${args.key} is not a public key`)
      const minSeq =
        args['min-seq'] === undefined ? app.rules.at(-1)!.minSeq : parseWhole('min-seq', args['min-seq'])
      const from = Math.max(0, epoch + 1)
      return {
        call: replaceReleaseKey(chain.contracts, { app: app.id, releaseKey: args.key, minSeq }),
        lines: [`release key  ${args.key}, from epoch ${from} on`],
        data: { releaseKey: args.key, minSeq, from },
      }
    },
  })

export const vetoEpoch = (io: Io) =>
  callCommand(io, {
    name: 'veto',
    description: 'Void the first settlement of an epoch before it is payable; it may settle once more',
    args: { epoch: { ...text('The epoch', 'n'), required: true } },
    plan(args, ground) {
      requireMaintainer(ground)
      const { app, chain } = ground
      const epoch = parseWhole('epoch', args.epoch)
      const settlement = app.settlements.get(epoch)
      if (!settlement) throw new Failure('not-settled', `epoch ${epoch} is not settled`)
      if (settlement.round > 0)
        throw new Failure('second-round', `epoch ${epoch} was vetoed before`, 'there is no second veto')
      return {
        call: veto(chain.contracts, { app: app.id, epoch }),
        lines: [`epoch ${epoch}: its settlement of ${formatMoney(settlement.allocated, app.asset)} is void`],
        data: { asset: app.asset, epoch, allocated: settlement.allocated },
      }
    },
  })
