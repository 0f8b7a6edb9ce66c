import type { Terms } from '@understudy/chain/calls'
import { coordinateOf, parseCoordinate } from '@understudy/protocol/app'
import type { Schedule } from '@understudy/protocol/epoch'
import type { Parsed } from '@understudy/protocol/event'
import { attesterKey, type Level } from '@understudy/protocol/rules'
import { type Asset, formatMoney, parseMoney, unitOf } from './money.ts'
import { parsePublicKey } from './publicKey.ts'

/** What a maintainer types to register an app. Amounts in whole ones of the asset, heights and spans in burn blocks, `floor` in per cent. */
export interface AppForm {
  readonly pubkey: string
  readonly d: string
  readonly releaseKey: string
  /** An `Asset`. */
  readonly asset: string
  readonly start: string
  readonly length: string
  readonly notice: string
  readonly cap: string
  readonly budget: string
  readonly attesters: string
  readonly places: string
  readonly continent: boolean
  readonly country: boolean
  readonly network: boolean
  readonly floor: string
  readonly domainBond: string
  readonly minBond: string
  readonly fee: string
  readonly grace: string
  readonly faults: string
  readonly window: string
  readonly challenge: string
  readonly claimPeriod: string
}

type Problems = Partial<Record<keyof AppForm, string>>

export interface AppDraft {
  readonly asset: Asset
  readonly coordinate: string
  readonly schedule: Schedule
  readonly terms: Terms
}

export type ReadAppForm =
  | { readonly ok: true; readonly value: AppDraft }
  | { readonly ok: false; readonly problems: Problems }

/** The contract's MAX_BLOCKS: about a year. */
const maxBlocks = 52_560
/** Blocks between filling in the form and the block that the transaction lands in. */
const startMargin = 6
const maxAttesters = 19
/** Largest amount that the form takes, in the smallest unit: more than there will ever be of either asset. */
const maxMoney = 10n ** 16n

const levels: readonly Level[] = ['continent', 'country', 'network']

/** The amounts that the form begins with, by asset. */
const defaultAmounts = {
  stx: { cap: '1000', budget: '250', domainBond: '500', minBond: '100', fee: '12' },
  sbtc: { cap: '0.01', budget: '0.0025', domainBond: '0.005', minBond: '0.001', fee: '0.00012' },
} as const

/** Sane for mainnet: epochs of a day, half a day to settle. `start` is left to the page, which knows the height. */
export const defaultForm: Omit<AppForm, 'start'> = {
  pubkey: '',
  d: '',
  releaseKey: '',
  asset: 'stx',
  ...defaultAmounts.stx,
  length: '144',
  notice: '3',
  attesters: '',
  places: '3',
  continent: false,
  country: false,
  network: true,
  floor: '90',
  grace: '12',
  faults: '1',
  window: '72',
  challenge: '12',
  claimPeriod: '4320',
}

export const assetOf = (form: Pick<AppForm, 'asset'>): Asset => (form.asset === 'sbtc' ? 'sbtc' : 'stx')

/** What changes when another asset is chosen: amounts that nobody touched become those that fit it. */
export function inAsset(form: AppForm, asset: Asset): Partial<AppForm> {
  const before: Readonly<Record<string, string>> = defaultAmounts[assetOf(form)]
  const untouched = Object.entries(defaultAmounts[asset]).filter(
    ([name]) => form[name as keyof AppForm] === before[name],
  )
  return { asset, ...Object.fromEntries(untouched) }
}

/** Reads the form under the bounds of `attester-quorum` (`check-schedule`, `check-terms`), naming every field that is off. */
export function readAppForm(form: AppForm, burnHeight: number): ReadAppForm {
  const problems: Record<string, string> = {}
  const asset = assetOf(form)
  const inWords = (amount: bigint) => formatMoney(amount, asset)
  const say = (field: keyof AppForm, problem: string): void => {
    problems[field] ??= problem
  }
  function take<T>(field: keyof AppForm, read: Parsed<T>, otherwise: T): T {
    if (read.ok) return read.value
    say(field, read.reason)
    return otherwise
  }
  function whole(field: keyof AppForm, least: number, most: number, unit: string): number {
    const text = String(form[field]).trim()
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    const bounds = least === most ? `${least}` : `a whole number from ${least} to ${most}`
    if (!(value >= least && value <= most)) say(field, `Must be ${bounds}${unit}.`)
    return value
  }
  function money(field: keyof AppForm, least: bigint): bigint {
    const value = take(field, parseMoney(String(form[field]), asset), 0n)
    if (problems[field] === undefined && value < least) say(field, `Must be more than 0 ${unitOf(asset)}.`)
    if (value > maxMoney) say(field, `Is more ${unitOf(asset)} than there is.`)
    return value
  }

  const pubkey = take('pubkey', parsePublicKey(form.pubkey), '')
  const d = form.d.trim()
  if (!/^[\x21-\x7e]{1,64}$/.test(d)) say('d', 'Must be 1 to 64 plain characters without spaces.')
  const releaseKey =
    form.releaseKey.trim() === '' ? pubkey : take('releaseKey', parsePublicKey(form.releaseKey), '')

  const start = whole(
    'start',
    burnHeight + startMargin,
    burnHeight + maxBlocks,
    `: a block to come (the chain is at ${burnHeight})`,
  )
  const length = whole('length', 48, maxBlocks, ' blocks, as settling needs half an epoch')
  const notice = whole('notice', 3, maxBlocks, ' epochs')
  const cap = money('cap', 1n)
  const budget = money('budget', 1n)
  if (budget > cap) say('budget', `Must not exceed the cap of ${inWords(cap)}.`)

  const typed = form.attesters.split(/[\s,]+/).filter((key) => key !== '')
  const keys = typed.map((key) => readAttesterKey(key))
  const bad = keys.findIndex((key) => !key.ok)
  const good = keys.flatMap((key) => (key.ok ? [key.value] : []))
  if (bad >= 0) say('attesters', `Key ${bad + 1}: ${(keys[bad] as { reason: string }).reason}`)
  else if (new Set(good).size < good.length) say('attesters', 'Every key may stand here once.')
  else if (good.length % 2 === 0 || good.length > maxAttesters)
    say('attesters', `Must be an odd number of keys, 1 to ${maxAttesters}; there ${are(good.length)}.`)

  const places = whole('places', 1, 1_000, '')
  const chosen = levels.filter((level) => form[level as 'network'])
  if (chosen.length === 0) say('network', 'Choose at least one level.')
  const percent = /^\d{1,3}(\.\d{1,4})?$/.test(form.floor.trim()) ? Number(form.floor) : Number.NaN
  if (!(percent >= 0 && percent <= 100)) say('floor', 'Must be 0 to 100 per cent, at most 4 decimals.')

  const minBond = money('minBond', 1n)
  const domainBond = money('domainBond', 1n)
  if (domainBond < minBond) say('domainBond', `Must be at least the smallest bond, ${inWords(minBond)}.`)
  const fee = money('fee', 0n)
  if (fee > budget) say('fee', `Must not exceed the budget of ${inWords(budget)}.`)
  const grace = whole('grace', 0, maxBlocks, ' blocks')
  // Until there are keys, only their absence is worth a word.
  const mostFaults = problems.attesters ? maxAttesters - 1 : good.length - 1
  const faults = whole('faults', 0, mostFaults, ', fewer than there are attesters')

  const half = Math.floor((Number.isNaN(length) ? 0 : length) / 2)
  const window =
    half < 24
      ? whole('window', 24, maxBlocks, ' blocks')
      : whole('window', 24, half, ' blocks: at most half an epoch')
  const quarter = Math.floor((Number.isNaN(window) ? 24 : window) / 4)
  const challenge = whole('challenge', 6, Math.max(6, quarter), ' blocks: at most a quarter of the window')
  const claimPeriod = whole(
    'claimPeriod',
    Number.isNaN(length) ? 0 : length,
    maxBlocks,
    ' blocks: at least one epoch',
  )

  const coordinate = coordinateOf(pubkey, d)
  if (Object.keys(problems).length === 0 && !parseCoordinate(coordinate).ok)
    say('d', 'Makes no valid repository address.')
  if (Object.keys(problems).length > 0) return { ok: false, problems }
  return {
    ok: true,
    value: {
      coordinate,
      asset,
      schedule: { start, length, notice, cap },
      terms: {
        budget,
        keys: good.sort(),
        places,
        levels: chosen,
        floor: Math.round(percent * 10_000),
        domainBond,
        fee,
        grace,
        minBond,
        faults,
        window,
        challenge,
        claimPeriod,
        releaseKey,
        minSeq: 0,
      },
    },
  }
}

/** A Nostr public key, or the compressed key (`02…`) of the same secret. */
function readAttesterKey(text: string): Parsed<string> {
  const read = parsePublicKey(/^02[0-9a-f]{64}$/i.test(text) ? text.slice(2) : text)
  return read.ok ? { ok: true, value: attesterKey(read.value) } : read
}

const are = (count: number): string => (count === 1 ? 'is 1' : `are ${count}`)
