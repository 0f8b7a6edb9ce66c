/** What an app's money is: fixed when the app is registered. Amounts are in its smallest unit: µSTX, or satoshis of sBTC. */
export type Asset = 'stx' | 'sbtc'

interface Unit {
  /** What one is called. */
  readonly name: string
  readonly decimals: number
  /** What the smallest part of it is called. */
  readonly smallest: string
}

export const units: Readonly<Record<Asset, Unit>> = {
  stx: { name: 'STX', decimals: 6, smallest: 'µSTX' },
  sbtc: { name: 'sBTC', decimals: 8, smallest: 'satoshis' },
}

/** An amount in whole ones, exactly, without trailing zeros and without its unit: µSTX as STX, satoshis as sBTC. */
export function inWhole(amount: bigint, asset: Asset): string {
  const { decimals } = units[asset]
  const one = 10n ** BigInt(decimals)
  const fraction = (amount % one).toString().padStart(decimals, '0').replace(/0+$/, '')
  return fraction ? `${amount / one}.${fraction}` : `${amount / one}`
}

/** The same with its unit: `1.5 STX`, `0.001 sBTC`. */
export function formatMoney(amount: bigint, asset: Asset): string {
  return `${inWhole(amount, asset)} ${units[asset].name}`
}

/** Whole ones, as digits before and after the point, in the smallest unit; `undefined` where they are finer than that. */
export function fromWhole(whole: string, fraction: string, asset: Asset): bigint | undefined {
  const { decimals } = units[asset]
  if (fraction.length > decimals) return undefined
  return BigInt(whole) * 10n ** BigInt(decimals) + BigInt(fraction.padEnd(decimals, '0'))
}
