import type { ChainApp } from '@understudy/chain/state'
import type { Rules } from '@understudy/protocol/rules'
import { expect, test } from 'vitest'
import { attestedApps, type ChainSight } from './chain-view.ts'
import { filtersOf } from './scope.ts'

const rulesOf = (version: number, from: number, until: number | null, ...keys: string[]) =>
  ({ version, from, until, keys: keys.map((key) => `02${key}`), releaseKey: 'ee' }) as unknown as Rules

/** Two epochs of a, b and c; two in which d stands in c's place; and then nothing more. */
const app = {
  ...{ id: 'id', coordinate: '30617:aa:demo', schedule: { start: 100, length: 50 }, releaseKeys: [] },
  rules: [rulesOf(1, 0, 2, 'a', 'b', 'c'), rulesOf(2, 2, 4, 'a', 'b', 'd')],
  mirrors: new Map(),
} as unknown as ChainApp

const inEpoch = (epoch: number): ChainSight => ({
  ...{ burnHeight: 100 + 50 * epoch, height: 1 },
  apps: new Map([[app.id, app]]),
})
const epochsOf = (key: string) =>
  [-1, 0, 1, 2, 3, 4, 5].filter((epoch) => attestedApps(inEpoch(epoch), `02${key}`).length > 0)

test('an app is its attester’s from before the start until the last epoch that lists it is settled', () => {
  expect(epochsOf('c')).toEqual([-1, 0, 1, 2])
  expect(epochsOf('d')).toEqual([2, 3, 4])
  expect(epochsOf('x')).toEqual([])
})

test('the epoch in which an app ended is settled as well', () => {
  expect(epochsOf('a')).toEqual([-1, 0, 1, 2, 3, 4])
  expect(attestedApps(inEpoch(4), '02a')[0]?.rules.version).toBe(2)
})

test('who left is listened to until then, and who comes from its first epoch on', () => {
  const asked = (epoch: number) => filtersOf(attestedApps(inEpoch(epoch), '02a'), 0)[2]?.authors
  expect(asked(1)).toEqual(['a', 'b', 'c'])
  expect(asked(2)).toEqual(['a', 'b', 'c', 'd'])
  expect(asked(3)).toEqual(['a', 'b', 'd'])
})

test('an attester of some apps alone passes over the others', () => {
  expect(attestedApps(inEpoch(0), '02a', ['30617:bb:other'])).toEqual([])
  expect(attestedApps(inEpoch(0), '02a', [app.coordinate])).toHaveLength(1)
})
