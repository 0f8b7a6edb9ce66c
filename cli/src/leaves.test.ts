import { merkleRoot, type PayoutLeaf, payoutLeafHash, rootFromProof } from '@understudy/protocol/merkle'
import { expect, test } from 'vitest'
import { claimable } from './leaves.ts'

const recipient = 'ST000000000000000000002AMW42H'
const leaves: PayoutLeaf[] = [5n, 7n, 9n].map((amount, index) => ({
  index,
  mirror: index + 1,
  recipient,
  amount,
}))
const root = merkleRoot(leaves.map(payoutLeafHash))
const paid = { index: 1, mirror: 2, recipient, amount: 7n, burn: 1, txid: '0x00' }

test('what is not paid yet comes with a proof that leads to the root', () => {
  const due = claimable({ root, count: 3, claims: new Map([[1, paid]]) }, [...leaves].reverse())
  expect(due.map(({ leaf }) => leaf.index)).toEqual([0, 2])
  for (const { leaf, proof } of due) expect(rootFromProof(payoutLeafHash(leaf), proof)).toBe(root)
})

test.each([
  ['one too few', leaves.slice(0, 2)],
  ['another amount', leaves.map((leaf) => ({ ...leaf, amount: leaf.amount + 1n }))],
  [
    'another recipient',
    leaves.map((leaf) => ({ ...leaf, recipient: 'ST2CY5V39NHDPWSXMW9QDT3HC3GD6Q6XX4CFRK9AG' })),
  ],
  ['one twice', [...leaves, leaves[0]!]],
])('leaves that are not the settlement’s are refused: %s', (_, wrong) => {
  expect(() => claimable({ root, count: 3, claims: new Map() }, wrong)).toThrow('do not make up the root')
})
