import { expect, test } from 'vitest'
import { nearest } from './nearest.ts'

const commands = ['fund', 'activate', 'claim', 'status', 'mirror', 'keys', 'attester', 'attester-bond']

test.each([
  ['fnud', 'fund'],
  ['cliam', 'claim'],
  ['statsu', 'status'],
  ['mirrors', 'mirror'],
  ['activ', 'activate'],
  ['attester-bnod', 'attester-bond'],
])('%s is near %s', (word, meant) => {
  expect(nearest(word, commands)).toBe(meant)
})

test.each(['frobnicate', 'x', ''])('%j is near nothing', (word) => {
  expect(nearest(word, commands)).toBeUndefined()
})
