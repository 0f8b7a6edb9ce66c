import type { Bundle } from '@understudy/protocol/outcome'
import type { Inputs } from '@understudy/protocol/settlement'
import { describe, expect, test } from 'vitest'
import type { EpochRow } from '../db/epochs.ts'
import type { HeldBundle } from './bundles.ts'
import type { HeldFormer } from './former.ts'
import { absentKeys, newestFormer } from './former.ts'
import { admissibleBundles, demandedBundles, formerRefused, inputsRefused } from './outcome.ts'

const bundle = {} as Bundle
const held = (key: string, change: Partial<HeldBundle> = {}): HeldBundle => ({
  key,
  root: `root-${key}`,
  receivedAt: 1_000,
  completeAt: 1_500,
  bundle,
  ...change,
})
const row: EpochRow = {
  ...{ app: 'app', epoch: 1, followedFrom: 0, commitment: 'c', abstained: null, final: null, downBlocks: 0 },
  ...{ cutOffAt: 2_000, demanded: ['a:root-a', 'b:root-b'] },
}
const delta = 1_000

describe('what a signer demands and admits', () => {
  test('it demands what it held at the cut-off and has held in full for Δ', () => {
    const keys = (now: number) =>
      demandedBundles([held('a'), held('b', { completeAt: 2_800 }), held('c')], row, now, delta).map(
        (h) => h.key,
      )
    expect(keys(2_400)).toEqual([])
    expect(keys(2_500)).toEqual(['a'])
    expect(keys(3_800)).toEqual(['a', 'b'])
  })

  test('it does not demand a commitment whose attestations it lacks', () => {
    expect(demandedBundles([held('a', { bundle: undefined })], row, 9_000, delta)).toEqual([])
  })

  test('it admits what came up to Δ after the cut-off', () => {
    const late = [held('a'), held('b', { receivedAt: 3_000 }), held('c', { receivedAt: 3_001 })]
    expect(admissibleBundles(late, row, delta).map((h) => h.key)).toEqual(['a', 'b'])
  })
})

describe('a proposal', () => {
  const anchor = { height: 7, hash: 'hash' }
  const inputs = (...keys: string[]): Inputs => ({
    rulesVersion: 1,
    anchor,
    commitments: keys.map((key) => ({ key, root: `root-${key}` })),
    former: [],
  })
  const refusedWith = (proposed: Inputs) =>
    inputsRefused(proposed, { rulesVersion: 1, anchor }, [held('a')], [held('a'), held('b')])

  test('is taken with every demanded commitment, and with any other that is held', () => {
    expect(refusedWith(inputs('a'))).toBeUndefined()
    expect(refusedWith(inputs('a', 'b'))).toBeUndefined()
  })

  test.each([
    ['leaves a demanded commitment out', inputs('b'), /^leaves out a commitment: a/],
    ['names one that is not held', inputs('a', 'c'), /^a commitment that we do not hold: c/],
    ['names a key twice', inputs('a', 'a'), /^a key twice/],
    [
      'names another root',
      { ...inputs(), commitments: [{ key: 'a', root: 'forged' }] },
      /^a commitment that we do not hold/,
    ],
    ['is about other rules', { ...inputs('a'), rulesVersion: 2 }, /^other rules/],
    ['stands on another block', { ...inputs('a'), anchor: { height: 7, hash: 'fork' } }, /^other anchor/],
  ])('that %s is refused', (_, proposed, reason) => {
    expect(refusedWith(proposed)).toMatch(reason)
  })
})

describe('for an absent attester', () => {
  const former = (key: string, epoch: number, completeAt: number): HeldFormer => ({
    ...{ key, epoch, root: `root-${key}-${epoch}`, bundle, completeAt },
  })
  const named = (...of: HeldFormer[]): Inputs => ({
    ...{ rulesVersion: 1, anchor: { height: 7, hash: 'hash' } },
    commitments: [{ key: 'a', root: 'root-a' }],
    former: of.map(({ key, epoch, root }) => ({ key, epoch, root })),
  })
  const [newest, atCutOff] = [former('x', 7, 2_500), former('x', 5, 1_900)]
  const heldFormers = [newest, atCutOff, former('y', 6, 2_001)]

  test('a signer takes what it held at its cut-off, or anything newer that counted', () => {
    for (const taken of [[newest], [atCutOff], [newest, former('y', 6, 0)]])
      expect(formerRefused(named(...taken), heldFormers, row.cutOffAt)).toBeUndefined()
  })

  test.each([
    ['leaves out what was held at the cut-off', named(), /^leaves out a former commitment: x/],
    ['names an older one', named(former('x', 4, 0)), /^a former commitment that we do not hold: x/],
    [
      'names another root',
      named({ ...newest, root: 'forged' }),
      /^a former commitment that we do not hold: x/,
    ],
    ['names a key twice', named(newest, atCutOff), /^a key twice/],
    ['names one who is there', named(newest, former('a', 6, 0)), /^a key twice/],
  ])('a proposal that %s is refused', (_, proposed, reason) => {
    expect(formerRefused(proposed, heldFormers, row.cutOffAt)).toMatch(reason)
  })

  test('a proposer names the newest of each', () => {
    expect(newestFormer(heldFormers).map(({ key, epoch }) => [key, epoch])).toEqual([
      ['x', 7],
      ['y', 6],
    ])
  })

  test('nobody speaks for a key that was banned', () => {
    const at = { app: { banned: new Map([['x', 1]]) }, rules: { keys: ['a', 'x', 'y'] } }
    expect(absentKeys(at as unknown as Parameters<typeof absentKeys>[0], [{ key: 'a' }])).toEqual(['y'])
  })
})
