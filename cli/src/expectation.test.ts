import type { ChainApp } from '@understudy/chain/state'
import type { Match } from '@understudy/protocol/verify'
import { expect, test } from 'vitest'
import { expectationOf } from './expectation.ts'

const stx = 1_000_000n
const rules = {
  budget: 90n * stx,
  fee: 3n * stx,
  places: 3,
  domainBond: 300n * stx,
  levels: ['network'],
  floor: 500_000,
  window: 72,
  challenge: 18,
}
const appWith = (free: bigint, change = {}) =>
  ({
    asset: 'stx',
    rules: [{ ...rules, ...change }],
    pool: { free },
    schedule: { length: 144 },
  }) as unknown as ChainApp

/** An epoch that found these networks live, each mirror bonded with 100 STX. */
const epochOf = (...networks: number[]) =>
  ({
    facts: { mirrors: networks.map((_, at) => ({ mirror: at + 1, bond: 100n * stx, since: at })) },
    outcome: {
      mirrors: networks.map((asn, at) => ({ mirror: at + 1, availability: 1_000_000, asn, place: [] })),
    },
  }) as unknown as Match

test('a network of its own is promised one share of the budget less fees', () => {
  const { here, alone, neighbours } = expectationOf(appWith(900n * stx), epochOf(1, 2), {
    network: 9,
    bond: 100n * stx,
  })
  expect({ here, alone, neighbours }).toEqual({ here: 29n * stx, alone: 29n * stx, neighbours: 0 })
})

test('a network that others are in is shared by bond', () => {
  const { here, alone, lines } = expectationOf(appWith(900n * stx), epochOf(1, 2), {
    network: 1,
    bond: 100n * stx,
  })
  expect({ here, alone }).toEqual({ here: 14_500_000n, alone: 29n * stx })
  expect(lines.join(' ')).toContain('AS1 has 1 live mirror already, bonded with 100 STX together')
})

test('where the bond that counts is taken, a newcomer stands by', () => {
  const { here, lines } = expectationOf(appWith(900n * stx), epochOf(1, 1, 1), {
    network: 1,
    bond: 100n * stx,
  })
  expect(here).toBe(0n)
  expect(lines.join(' ')).toContain('yours would stand by')
})

test('beyond the places that the app wants, all split the same money', () => {
  const { alone } = expectationOf(appWith(900n * stx), epochOf(1, 2, 3), { network: 9, bond: 100n * stx })
  expect(alone).toBe((87n * stx) / 4n)
})

test('a pool that holds less than the budget counts with what it holds, and an empty one promises nothing', () => {
  expect(expectationOf(appWith(30n * stx), undefined, { network: 9, bond: 100n * stx }).alone).toBe(9n * stx)
  const { lines, alone } = expectationOf(appWith(0n), undefined, { network: 9, bond: 100n * stx })
  expect(alone).toBe(0n)
  expect(lines[0]).toBe('The pool is empty: nothing is paid until somebody funds it.')
})

test('what is not known is said: the network, and who is there before an epoch is settled', () => {
  const unknown = expectationOf(appWith(900n * stx), epochOf(1), { network: 0, bond: 100n * stx })
  expect(unknown.here).toBe(null)
  expect(unknown.lines.join(' ')).toContain('not known from here')
  const early = expectationOf(appWith(900n * stx), undefined, { network: 1, bond: 100n * stx })
  expect(early.lines.join(' ')).toContain('No epoch is settled yet')
})
