import { expect, test } from 'vitest'
import { parseAmount } from './amount.ts'
import { parseRulesFile, termsOf } from './terms.ts'

const key = (digit: string) => digit.repeat(64)
const now = { burnHeight: 1_000, releaseKey: key('f') }
const least = { budget: '100stx', attesters: [key('c'), key('a'), key('b')].join(',') }

test('money is read in STX or in µSTX, exactly', () => {
  expect(parseAmount('amount', '2.5stx')).toBe(2_500_000n)
  expect(parseAmount('amount', '1_000')).toBe(1_000n)
  expect(parseAmount('amount', '0.000001 STX')).toBe(1n)
})

test.each(['2.5', '-1', '1e6', '1btc', '0.0000001stx', ''])('%j is not an amount', (text) => {
  expect(() => parseAmount('amount', text)).toThrow('is not an amount')
})

test('two options are enough: the rest has defaults that the contracts accept', () => {
  const { schedule, terms } = termsOf(least, now)
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
