import { type Parsed, parsed, refused } from '@understudy/protocol/event'
import { type Asset, fromWhole, inWhole, units } from '@understudy/protocol/money'

export type { Asset }

export const unitOf = (asset: Asset): string => units[asset].name
export const smallestOf = (asset: Asset): string => units[asset].smallest

/** An amount as people read it, with separators and its unit: `1,234.5 STX`, `0.001 sBTC`. */
export function formatMoney(amount: bigint | string, asset: Asset): string {
  const [whole = '', fraction] = inWhole(BigInt(amount), asset).split('.')
  return `${grouped(BigInt(whole))}${fraction ? `.${fraction}` : ''} ${unitOf(asset)}`
}

/** As a person would type it into a field whose unit stands beside it. */
export const typedAmount = (amount: bigint, asset: Asset): string => inWhole(amount, asset)

export function grouped(value: bigint | number): string {
  return value.toString().replace(/\B(?=(\d{3})+$)/g, ',')
}

/** Reads an amount that a person typed, in whole ones of the asset; the unit may stand there, another's may not. */
export function parseMoney(text: string, asset: Asset): Parsed<bigint> {
  const { name, decimals } = units[asset]
  const [, whole, fraction = '', word = ''] =
    /^(\d{1,15})(?:\.(\d+))?([a-zµ]*)$/i.exec(text.trim().replace(/[, _]/g, '')) ?? []
  const other: Asset = asset === 'stx' ? 'sbtc' : 'stx'
  if (word.toLowerCase() === other)
    return refused(`The money of this app is ${name}: write the amount in ${name}, not in ${unitOf(other)}.`)
  const amount =
    whole === undefined || (word !== '' && word.toLowerCase() !== asset)
      ? undefined
      : fromWhole(whole, fraction, asset)
  return amount === undefined
    ? refused(
        `Write an amount in ${name}, such as ${asset === 'stx' ? '250 or 0.5' : '0.01 or 0.0005'} (at most ${decimals} decimals).`,
      )
    : parsed(amount)
}
