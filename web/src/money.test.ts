import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatSbtc, formatStx, grouped, parseStx } from './money.ts'

it('shows µSTX as STX with separators and without trailing zeros', () => {
  expect(formatStx(1_234_567_890n)).toBe('1,234.56789')
  expect(formatStx(250_000_000n)).toBe('250')
  expect(formatStx(1n)).toBe('0.000001')
  expect(formatSbtc(123_456_789_000n)).toBe('1,234.56789')
  expect(grouped(1_000_000)).toBe('1,000,000')
})

it('reads back every amount that it shows', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 10n ** 20n), (micro) => {
      expect(parseStx(formatStx(micro))).toEqual({ ok: true, value: micro })
    }),
  )
})

it('refuses what is no amount, or finer than a µSTX', () => {
  for (const text of ['', '.5', '1.', '-1', '1e3', '0x10', '1.0000001', 'NaN', '9'.repeat(16)])
    expect(parseStx(text).ok).toBe(false)
})
