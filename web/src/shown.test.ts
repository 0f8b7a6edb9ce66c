import type { PayoutLeaf } from '@understudy/protocol/merkle'
import type { Outcome } from '@understudy/protocol/outcome'
import { expect, test } from 'vitest'
import { contradictionOf, type Shown } from './shown.ts'

const leaves: PayoutLeaf[] = [
  { index: 0, mirror: 1, recipient: 'ST1', amount: 700n },
  { index: 1, mirror: 0, recipient: 'ST2', amount: 30n },
]
const root = 'ab'.repeat(32)
const outcome: Outcome = { mirrors: [], leaves, root, allocated: 730n, count: 2 }
const computed = { facts: { claims: [leaves[0]!] }, outcome }
const shown: Shown = {
  ...{ root, allocated: '730' },
  payouts: [
    { index: 0, mirror: 1, recipient: 'ST1', amount: '700', claimTxid: `0x${'cd'.repeat(32)}` },
    { index: 1, mirror: 0, recipient: 'ST2', amount: '30', claimTxid: null },
  ],
}
const [first, second] = shown.payouts as [Shown['payouts'][0], Shown['payouts'][0]]

test('what is shown as it is contradicts nothing, nor does what is not shown yet', () => {
  expect(contradictionOf(shown, computed)).toBeUndefined()
  expect(contradictionOf({ ...shown, payouts: [] }, computed)).toBeUndefined()
  expect(
    contradictionOf({ ...shown, payouts: [{ ...first, claimTxid: null }, second] }, computed),
  ).toBeUndefined()
})

test.each<[string, Shown, RegExp]>([
  ['root', { ...shown, root: 'ff'.repeat(32) }, /root ffffffffffff…, it is abababababab…/],
  ['sum', { ...shown, allocated: '731' }, /731 allocated, it is 730/],
  ['number of payments', { ...shown, payouts: [first] }, /1 payments, there are 2/],
  [
    'amount',
    { ...shown, payouts: [{ ...first, amount: '701' }, second] },
    /payment 0 as 701 to ST1 for mirror 1, it is 700/,
  ],
  ['recipient', { ...shown, payouts: [{ ...first, recipient: 'ST3' }, second] }, /payment 0 as 700 to ST3/],
  [
    'mirror',
    { ...shown, payouts: [{ ...first, mirror: 2 }, second] },
    /for mirror 2, it is 700 to ST1 for mirror 1/,
  ],
  [
    'payment',
    { ...shown, payouts: [first, { ...second, index: 2 }] },
    /payment 2 as 30 to ST2 for attesting, it is none/,
  ],
  [
    'paid',
    { ...shown, payouts: [first, { ...second, claimTxid: `0x${'ef'.repeat(32)}` }] },
    /payment 1 as paid, which/,
  ],
])('a registry that lies about %s is told of', (_, lie, told) => {
  expect(contradictionOf(lie, computed)).toMatch(told)
})
