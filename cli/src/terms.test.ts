import { expect, test } from 'vitest'
import { parseAmount } from './amount.ts'
import { UsageFailure } from './failure.ts'
import { parseRulesFile, termsOf } from './terms.ts'

const key = (digit: string) => digit.repeat(64)
const now = { burnHeight: 1_000, releaseKey: key('f') }
const least = { budget: '100stx', attesters: [key('c'), key('a'), key('b')].join(',') }

test.each([
  ['2.5stx', 'stx', 2_500_000n],
  ['1_000', 'stx', 1_000n],
  ['0.000001 STX', 'stx', 1n],
  ['0.001sBTC', 'sbtc', 100_000n],
  ['1.00000001 sbtc', 'sbtc', 100_000_001n],
  ['250_000sats', 'sbtc', 250_000n],
  ['1 satoshi', 'sbtc', 1n],
  ['0', 'sbtc', 0n],
] as const)('%j of %s is %i of its smallest unit, exactly', (text, asset, amount) => {
  expect(parseAmount('amount', text, asset)).toBe(amount)
})

test.each([
  '2.5',
  '-1',
  '1e6',
  '1btc',
  '0.0000001stx',
  '0.000000001sbtc',
  '1.5sats',
  '1.5ustx',
  '9'.repeat(31),
  '',
])('%j is not an amount', (text) => {
  for (const asset of ['stx', 'sbtc'] as const)
    expect(() => parseAmount('amount', text, asset)).toThrow('is not an amount')
})

test.each([
  ['10stx', 'sbtc', '--amount: 10stx is in STX, and this is about sBTC', 'write 0.001sbtc'],
  ['10ustx', 'sbtc', '--amount: 10ustx is in STX, and this is about sBTC', 'write 0.001sbtc'],
  ['0.001sBTC', 'stx', '--amount: 0.001sBTC is in sBTC, and this is about STX', 'write 2.5stx'],
  ['5sats', 'stx', '--amount: 5sats is in sBTC, and this is about STX', 'write 2.5stx'],
  // What was meant in µSTX would be a thousand times its worth.
  ['2500000', 'sbtc', '--amount: 2500000 says no unit, and this is about sBTC', '100000sats'],
] as const)('%j is refused where the money is %s, with the fix', (text, asset, message, fix) => {
  let thrown: unknown
  try {
    parseAmount('amount', text, asset)
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(UsageFailure)
  expect(thrown).toMatchObject({ message, fix: expect.stringContaining(fix) })
})

test('an sBTC app has its amounts in satoshis, and defaults of its own', () => {
  const { asset, schedule, terms } = termsOf({ ...least, asset: 'sbtc', budget: '0.0025sbtc' }, now)
  expect(asset).toBe('sbtc')
  expect(schedule.cap).toBe(250_000n)
  expect(terms).toMatchObject({ budget: 250_000n, fee: 12_500n, minBond: 100_000n, domainBond: 1_000_000n })
})

test('two options are enough: the rest has defaults that the contracts accept', () => {
  const { asset, schedule, terms } = termsOf(least, now)
  expect(asset).toBe('stx')
  expect(schedule).toEqual({ start: 1_144, length: 144, notice: 3, cap: 100_000_000n })
  expect(terms).toMatchObject({
    budget: 100_000_000n,
    keys: [`02${key('a')}`, `02${key('b')}`, `02${key('c')}`],
    places: 3,
    levels: ['continent', 'country', 'network'],
    fee: 5_000_000n,
    window: 72,
    challenge: 18,
    faults: 1,
    releaseKey: key('f'),
  })
})

test.each([
  [{ budget: undefined }, '--budget is missing'],
  [{ attesters: undefined }, '--attesters is missing'],
  [{ attesters: `${key('a')},${key('b')}` }, 'an odd number of different keys'],
  [{ attesters: `${key('a')},${key('a')},${key('b')}` }, 'an odd number of different keys'],
  [{ attesters: 'npub1xyz' }, '--attesters: npub1xyz is not a public key'],
  [{ asset: 'btc' }, '--asset: btc is not one that an app can have'],
  [{ asset: 'sbtc' }, '--budget: 100stx is in STX, and this is about sBTC'],
  [{ levels: 'planet' }, '--levels: planet is not a level'],
  [{ start: '999' }, 'burn block 999 is past'],
  [{ length: '20' }, '--challenge: 2 is not from 6'],
  [{ window: '73' }, 'more than half of an epoch'],
  [{ notice: '2' }, '--notice: 2 is not a whole number of at least 3'],
])('%j is refused', (change, message) => {
  expect(() => termsOf({ ...least, ...change }, now)).toThrow(message)
})

test('a start in blocks from now is counted from the chain’s height', () => {
  expect(termsOf({ ...least, start: '+40' }, now).schedule.start).toBe(1_040)
})

test('a rules file takes strings, numbers and lists, and refuses what it does not know', () => {
  expect(parseRulesFile('{"budget": 5, "attesters": ["a", "b"], "levels": "network"}')).toEqual({
    budget: '5',
    attesters: 'a,b',
    levels: 'network',
  })
  expect(() => parseRulesFile('{"bugdet": 5}')).toThrow('an option that is not known')
  expect(() => parseRulesFile('[]')).toThrow('--rules')
  expect(() => parseRulesFile('{')).toThrow('not JSON')
})
