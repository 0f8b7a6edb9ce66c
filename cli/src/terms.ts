import type { Terms } from '@understudy/chain/calls'
import type { Schedule } from '@understudy/protocol/epoch'
import type { Asset } from '@understudy/protocol/money'
import { attesterKey, type Level } from '@understudy/protocol/rules'
import { z } from 'zod'
import { parseAmount, parseList, parseWhole } from './amount.ts'
import { UsageFailure } from './failure.ts'

const text = (description: string, valueHint?: string) =>
  ({ type: 'string', description, ...(valueHint ? { valueHint } : {}) }) as const

/** Options of an app's schedule and rules. Each may as well stand in the JSON file that `--rules` names, under the same name. */
export const termsArgs = {
  asset: text('What the app’s money is, for ever: stx or sbtc (default stx)', 'asset'),
  start: text('First burn block of epoch 0: a height, or +blocks from now (default +144)', 'height'),
  length: text('Burn blocks in an epoch (default 144, a day)', 'blocks'),
  notice: text('Epochs between a change of rules and its effect (default 3)', 'epochs'),
  cap: text('Most that any epoch may ever pay (default: the budget)', 'amount'),
  budget: text('Most that one epoch pays, fees included: 100stx, or 0.001sbtc', 'amount'),
  attesters: text('Attesters’ public keys, comma-separated, an odd number', 'keys'),
  places: text('Places that the app wants (default 3)', 'count'),
  levels: text('Levels that count: continent, country, network (default all three)', 'levels'),
  floor: text('Availability below which a mirror earns nothing, ppm (default 500000)', 'ppm'),
  'domain-bond': text('Bond that counts in one domain (default: ten times the least bond)', 'amount'),
  fee: text('Attesters’ fee for an epoch, all together (default: a twentieth of the budget)', 'amount'),
  grace: text('Burn blocks for which an older release still passes (default 12)', 'blocks'),
  'min-bond': text('Least bond of a mirror (default 100stx, or 0.001sbtc)', 'amount'),
  faults: text('Attesters whose round trips may be wrong (default 1 of three or more)', 'count'),
  window: text('Burn blocks after an epoch in which it may settle (default: half an epoch)', 'blocks'),
  challenge: text(
    'Burn blocks between a settlement and its payment (default: a quarter of the window)',
    'blocks',
  ),
  'claim-period': text('Burn blocks in which a payment may be claimed (default: 30 epochs)', 'blocks'),
  'release-key': text('Nostr key that signs releases (default: yours)', 'key'),
  'min-seq': text('Releases below it are not served (default 0)', 'seq'),
} as const

export type TermsOptions = { readonly [Name in keyof typeof termsArgs]?: string | undefined }

const known = new Set(Object.keys(termsArgs))

const fileSchema = z
  .record(z.string(), z.union([z.string(), z.number().int(), z.array(z.string())]).transform(String))
  .refine((file) => Object.keys(file).every((name) => known.has(name)), 'an option that is not known')

/** Reads the file that `--rules` names. */
export function parseRulesFile(json: string): TermsOptions {
  let read: unknown
  try {
    read = JSON.parse(json)
  } catch {
    throw new UsageFailure('--rules: the file is not JSON')
  }
  const file = fileSchema.safeParse(read)
  if (file.success) return file.data
  const issue = file.error.issues[0]
  throw new UsageFailure(
    `--rules: ${[issue?.path.join('.'), issue?.message].filter(Boolean).join(': ')}`,
    `known are: ${[...known].join(', ')}`,
  )
}

const key = (option: string, value: string): string => {
  if (/^[0-9a-f]{64}$/.test(value)) return value
  throw new UsageFailure(`--${option}: ${value} is not a public key`, 'a Nostr public key is 64 hex digits')
}

const isLevel = (word: string): word is Level => ['continent', 'country', 'network'].includes(word)

/**
 * Asset, schedule and terms out of the options, defaults filled in. The contracts check every bound again; what is refused here is refused with
 * a better word.
 */
export function termsOf(
  options: TermsOptions,
  now: { readonly burnHeight: number; readonly releaseKey: string },
): { asset: Asset; schedule: Schedule; terms: Terms } {
  const asset = options.asset ?? 'stx'
  if (asset !== 'stx' && asset !== 'sbtc')
    throw new UsageFailure(`--asset: ${asset} is not one that an app can have`, 'write stx, or sbtc')
  const whole = (name: keyof TermsOptions, fallback: number, least = 0) =>
    options[name] === undefined ? fallback : parseWhole(name, options[name], least)
  const money = (name: keyof TermsOptions, fallback: bigint) =>
    options[name] === undefined ? fallback : parseAmount(name, options[name], asset)

  const start = startOf(options.start ?? '+144', now.burnHeight)
  const length = whole('length', 144, 1)
  if (options.budget === undefined) {
    throw new UsageFailure(
      '--budget is missing',
      `say what an epoch may pay at most: --budget=${asset === 'stx' ? '100stx' : '0.001sbtc'}`,
    )
  }
  if (options.attesters === undefined) {
    throw new UsageFailure('--attesters is missing', 'name the public keys of those who will attest')
  }
  const budget = money('budget', 0n)
  const keys = parseList(options.attesters)
    .map((word) => attesterKey(key('attesters', word)))
    .sort()
  if (keys.length % 2 === 0 || keys.length > 19 || new Set(keys).size < keys.length) {
    throw new UsageFailure(
      `--attesters: expected an odd number of different keys, at most 19; got ${keys.length}`,
      'with N = 2M − 1 keys any two sets of M signers share one',
    )
  }
  const levels = parseList(options.levels ?? 'continent,country,network').map((word) => {
    if (isLevel(word)) return word
    throw new UsageFailure(`--levels: ${word} is not a level`, 'levels are: continent, country, network')
  })
  const minBond = money('min-bond', asset === 'stx' ? 100_000_000n : 100_000n)
  const window = whole('window', Math.floor(length / 2))
  const challenge = whole('challenge', Math.floor(window / 4))
  if (window > length / 2) {
    throw new UsageFailure(`--window: ${window} is more than half of an epoch of ${length} blocks`)
  }
  if (challenge < 6 || challenge > window / 4) {
    throw new UsageFailure(
      `--challenge: ${challenge} is not from 6 to a quarter of the window (${Math.floor(window / 4)})`,
      'an epoch of at least 48 blocks leaves room for it',
    )
  }
  return {
    asset,
    schedule: { start, length, notice: whole('notice', 3, 3), cap: money('cap', budget) },
    terms: {
      budget,
      keys,
      places: whole('places', 3, 1),
      levels,
      floor: whole('floor', 500_000),
      domainBond: money('domain-bond', minBond * 10n),
      fee: money('fee', budget / 20n),
      grace: whole('grace', 12),
      minBond,
      faults: whole('faults', keys.length >= 3 ? 1 : 0),
      window,
      challenge,
      claimPeriod: whole('claim-period', length * 30),
      releaseKey: key('release-key', options['release-key'] ?? now.releaseKey),
      minSeq: whole('min-seq', 0),
    },
  }
}

function startOf(text: string, burnHeight: number): number {
  const start = text.startsWith('+')
    ? burnHeight + parseWhole('start', text.slice(1), 1)
    : parseWhole('start', text)
  if (start > burnHeight) return start
  throw new UsageFailure(`--start: burn block ${start} is past, the chain is at ${burnHeight}`, 'write +144')
}
