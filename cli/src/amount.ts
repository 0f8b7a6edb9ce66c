import { type Asset, fromWhole, units } from '@understudy/protocol/money'
import { UsageFailure } from './failure.ts'

/** Money as it was typed: which asset it is of, and how much in that asset's smallest unit. */
export interface Amount {
  readonly option: string
  readonly text: string
  /** None where no unit stands there. */
  readonly asset: Asset | undefined
  readonly amount: bigint
}

const written: Readonly<Record<string, { readonly asset: Asset; readonly whole: boolean }>> = {
  stx: { asset: 'stx', whole: true },
  ustx: { asset: 'stx', whole: false },
  µstx: { asset: 'stx', whole: false },
  sbtc: { asset: 'sbtc', whole: true },
  sat: { asset: 'sbtc', whole: false },
  sats: { asset: 'sbtc', whole: false },
  satoshi: { asset: 'sbtc', whole: false },
  satoshis: { asset: 'sbtc', whole: false },
}

/** How an amount of an asset is written. */
const example: Readonly<Record<Asset, string>> = {
  stx: '2.5stx, or 2500000ustx',
  sbtc: '0.001sbtc, or 100000sats',
}

/** Reads an amount before the app's asset is known: `2.5stx`, `2500000ustx`, `0.001sbtc`, `100000sats`, or a bare number. */
export function readAmount(option: string, text: string): Amount {
  const [, whole = '', fraction, word] =
    /^(\d{1,30})(?:\.(\d{1,30}))? ?([a-zµ]*)$/i.exec(text.replace(/_/g, '')) ?? []
  const unit = written[(word ?? '').toLowerCase()]
  const wrong = () =>
    new UsageFailure(`--${option}: ${text} is not an amount`, `write ${example.stx}; in sBTC ${example.sbtc}`)
  if (!whole || (word && !unit) || (fraction !== undefined && !unit?.whole)) throw wrong()
  const amount = unit?.whole ? fromWhole(whole, fraction ?? '', unit.asset) : BigInt(whole)
  // The contracts count in 128 bits, and nothing that exists comes near.
  if (amount === undefined || amount >= 2n ** 100n) throw wrong()
  return { option, text, asset: unit?.asset, amount }
}

/**
 * The amount in the smallest unit of the asset that is meant. One with another's unit is refused, and so is a bare number where the asset is
 * sBTC: a figure meant in µSTX must not become a thousand times its worth.
 */
export function inAsset({ option, text, asset, amount }: Amount, meant: Asset): bigint {
  if (asset === meant || (asset === undefined && (meant === 'stx' || amount === 0n))) return amount
  const { name } = units[meant]
  throw new UsageFailure(
    asset === undefined
      ? `--${option}: ${text} says no unit, and this is about ${name}`
      : `--${option}: ${text} is in ${units[asset].name}, and this is about ${name}`,
    `write ${example[meant]}`,
  )
}

export const parseAmount = (option: string, text: string, asset: Asset): bigint =>
  inAsset(readAmount(option, text), asset)

/** Reads a whole number within bounds. */
export function parseWhole(option: string, text: string, least = 0, most = Number.MAX_SAFE_INTEGER): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most)) {
    const bounds = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
    throw new UsageFailure(`--${option}: ${text} is not a whole number ${bounds}`)
  }
  return value
}

/** Comma-separated words, empty ones left out. */
export const parseList = (text: string): string[] =>
  text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
