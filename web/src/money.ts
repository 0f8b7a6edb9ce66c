import { type Parsed, parsed, refused } from '@understudy/protocol/event'

const microPerStx = 1_000_000n

/** µSTX as STX with separators, at most 6 decimals, trailing zeros left out: `1,234.5`. */
export const formatStx = (micro: bigint): string => decimal(micro, 6)

/** Satoshis as sBTC, likewise. */
export const formatSbtc = (satoshis: bigint): string => decimal(satoshis, 8)

function decimal(amount: bigint, places: number): string {
  const one = 10n ** BigInt(places)
  const fraction = (amount % one).toString().padStart(places, '0').replace(/0+$/, '')
  const whole = grouped(amount / one)
  return fraction ? `${whole}.${fraction}` : whole
}

export function grouped(value: bigint | number): string {
  return value.toString().replace(/\B(?=(\d{3})+$)/g, ',')
}

/** Reads an amount that a person typed in STX; gives µSTX. */
export function parseStx(text: string): Parsed<bigint> {
  const match = /^(\d{1,15})(?:\.(\d{1,6}))?$/.exec(text.trim().replace(/[, _]/g, ''))
  if (!match) return refused('Write an amount in STX, such as 250 or 0.5 (at most 6 decimals).')
  return parsed(BigInt(match[1]!) * microPerStx + BigInt((match[2] ?? '').padEnd(6, '0')))
}
