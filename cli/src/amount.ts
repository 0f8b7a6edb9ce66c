import { UsageFailure } from './failure.ts'

/** Reads money: `1500000` or `1500000ustx` (µSTX), `1.5stx` (STX). Answers µSTX. */
export function parseAmount(option: string, text: string): bigint {
  const match = /^(\d{1,15})(?:\.(\d{1,6}))? ?(stx|ustx|µstx)?$/i.exec(text.replace(/_/g, ''))
  const unit = match?.[3]?.toLowerCase()
  const [, whole = '', fraction] = match ?? []
  if (!match || (fraction !== undefined && unit !== 'stx')) {
    throw new UsageFailure(`--${option}: ${text} is not an amount`, 'write 2.5stx, or 2500000 for µSTX')
  }
  if (unit !== 'stx') return BigInt(whole)
  return BigInt(whole) * 1_000_000n + BigInt((fraction ?? '').padEnd(6, '0'))
}

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
