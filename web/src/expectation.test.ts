import type { AppView, MirrorView } from '@understudy/protocol/api'
import { expect, it } from 'vitest'
import { expectation } from './expectation.ts'

const rules = { budget: '90000000', fee: '3000000', places: 3, domainBond: '500000000' }
const app = (free: string) => ({ asset: 'stx', rules, pool: { free } }) as unknown as AppView
const mirror = (network: string, bond: string) => ({ network, bond }) as MirrorView
const stx = 1_000_000n

it('promises a network of its own one share of the budget less fees', () => {
  expect(expectation(app('900000000'), [], '', 100n * stx)[0]).toContain('up to 29 STX')
})

it('counts with what the pool holds when that is less than the budget', () => {
  expect(expectation(app('30000000'), [], '', 100n * stx)[0]).toContain('up to 9 STX')
})

it('divides a place by the bond that counts', () => {
  const words = expectation(app('900000000'), [mirror('AS1', '100000000')], 'AS1', 100n * stx).join(' ')
  expect(words).toContain('AS1 has 1 mirror already')
  expect(words).toContain('up to 14.5 STX')
})

it('says that a full network leaves a newcomer standing by', () => {
  const words = expectation(app('900000000'), [mirror('AS1', '500000000')], 'AS1', 100n * stx).join(' ')
  expect(words).toContain('stand by')
  expect(words).not.toContain('up to')
})

it('promises nothing from an empty pool', () => {
  expect(expectation(app('0'), [], '', 100n * stx)).toEqual([
    'The pool is empty: nothing is paid until somebody funds it.',
  ])
})

it('speaks of sBTC where that is the app’s money', () => {
  const inSats = {
    ...app('900000'),
    asset: 'sbtc',
    rules: { ...rules, budget: '90000', fee: '3000' },
  } as AppView
  expect(expectation(inSats, [], '', 100_000n)[0]).toContain('up to 0.00029 sBTC an epoch')
})
