import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Asset, formatMoney, grouped, parseMoney, typedAmount } from './money.ts'

const assets = fc.constantFrom<Asset>('stx', 'sbtc')

it('shows amounts in whole ones of their asset, with separators and without trailing zeros', () => {
  expect(formatMoney(1_234_567_890n, 'stx')).toBe('1,234.56789 STX')
  expect(formatMoney('250000000', 'stx')).toBe('250 STX')
  expect(formatMoney(1n, 'stx')).toBe('0.000001 STX')
  expect(formatMoney(123_456_789_000n, 'sbtc')).toBe('1,234.56789 sBTC')
  expect(formatMoney(1n, 'sbtc')).toBe('0.00000001 sBTC')
  expect(grouped(1_000_000)).toBe('1,000,000')
})

it('reads back every amount that it shows, with and without its unit', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 10n ** 20n), assets, (amount, asset) => {
      for (const text of [formatMoney(amount, asset), typedAmount(amount, asset)])
        expect(parseMoney(text, asset)).toEqual({ ok: true, value: amount })
    }),
  )
})

it('refuses what is no amount, or finer than the smallest unit', () => {
  const never = ['', '.5', '1.', '-1', '1e3', '0x10', 'NaN', '5 btc', '5 sats', '9'.repeat(16)]
  for (const asset of ['stx', 'sbtc'] as const)
    for (const text of never) expect(parseMoney(text, asset).ok).toBe(false)
  expect(parseMoney('1.0000001', 'stx').ok).toBe(false)
  expect(parseMoney('1.0000001', 'sbtc').ok).toBe(true)
  expect(parseMoney('1.000000001', 'sbtc').ok).toBe(false)
})

it('refuses the other asset by name', () => {
  const refusal = (text: string, asset: Asset) => {
    const read = parseMoney(text, asset)
    return read.ok ? '' : read.reason
  }
  expect(refusal('10 STX', 'sbtc')).toContain('write the amount in sBTC, not in STX')
  expect(refusal('0.1sbtc', 'stx')).toContain('write the amount in STX, not in sBTC')
})
