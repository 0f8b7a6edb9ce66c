import { type Parsed, parsed, refused } from '@understudy/protocol/event'

const microPerStx = 1_000_000n

/** µSTX as STX with separators, at most 6 decimals, trailing zeros left out: `1,234.5`. */
export function formatStx(micro: bigint): string {
  const fraction = (micro % microPerStx).toString().padStart(6, '0').replace(/0+$/, '')
  const whole = grouped(micro / microPerStx)
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
