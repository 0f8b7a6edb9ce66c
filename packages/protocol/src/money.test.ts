import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Asset, formatMoney, fromWhole, inWhole } from './money.ts'

describe('money in words', () => {
  it.each([
    [0n, 'stx', '0 STX'],
    [1n, 'stx', '0.000001 STX'],
    [1_000_000n, 'stx', '1 STX'],
    [123_456_789_000_000n, 'stx', '123456789 STX'],
    [10_010_000n, 'stx', '10.01 STX'],
    [1n, 'sbtc', '0.00000001 sBTC'],
    [1_000_000n, 'sbtc', '0.01 sBTC'],
    [2_100_000_000_000_000n, 'sbtc', '21000000 sBTC'],
  ] as const)('writes %i of %s as %s', (amount, asset, text) => {
    expect(formatMoney(amount, asset)).toBe(text)
  })

  it('reads back every amount that it writes, of either asset', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 128n), fc.constantFrom<Asset>('stx', 'sbtc'), (amount, asset) => {
        const [whole = '', fraction = ''] = inWhole(amount, asset).split('.')
        expect(fromWhole(whole, fraction, asset)).toBe(amount)
      }),
    )
  })

  it('takes nothing finer than the smallest unit', () => {
    expect(fromWhole('0', '0000001', 'stx')).toBeUndefined()
    expect(fromWhole('0', '0000001', 'sbtc')).toBe(10n)
    expect(fromWhole('0', '000000001', 'sbtc')).toBeUndefined()
  })
})
