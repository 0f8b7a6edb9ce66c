import { describe, expect, it } from 'vitest'
import type { Report } from './attestation.ts'
import { emptyRoot } from './merkle.ts'
import { type BondedMirror, type Bundle, outcomeOf } from './outcome.ts'
import type { Rules } from './rules.ts'

const keys = ['11', '22', '33'].map((byte) => `02${byte.repeat(32)}`)
const payees = [
  'ST1SJ3DTE5DN7X54YDH5D64R3BCB6A2AG2ZQ8YPD5',
  'ST2CY5V39NHDPWSXMW9QDT3HC3GD6Q6XX4CFRK9AG',
  'ST2JHG361ZXG51QTKY2NQCVBPPRRE2KZB1HR05NNC',
]
const owner = 'ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM'
const rules: Rules = {
  version: 1,
  from: 0,
  until: null,
  budget: 1_000_000n,
  keys,
  places: 3,
  levels: ['network'],
  floor: 500_000,
  domainBond: 100n,
  fee: 30_000n,
  grace: 5,
  minBond: 100n,
  faults: 1,
  window: 30,
  challenge: 6,
  claimPeriod: 1_000,
  releaseKey: 'aa'.repeat(32),
  minSeq: 1,
}
const mirrors: BondedMirror[] = [1, 2, 3].map((mirror) => ({
  mirror,
  nodeKey: String(mirror).repeat(64),
  owner,
  bond: 100n,
  since: mirror,
}))
const report = (mirror: number, over: Partial<Report> = {}): Report => ({
  mirror,
  nodeKey: String(mirror).repeat(64),
  passed: 10,
  failed: 0,
  inconclusive: 0,
  reasons: {},
  wrongBytes: false,
  principal: owner,
  address: '127.0.1.1',
  asn: 64_500 + mirror,
  rttMicros: 20_000,
  geohash: '',
  commit: '',
  ...over,
})
const bundles = (of: (attester: number) => Report[]): Bundle[] =>
  keys.map((key, i) => ({ key, header: { stx: payees[i]!, latitude: 0, longitude: 0 }, reports: of(i) }))
const settle = (of: (attester: number) => Report[], free = 1_000_000n) =>
  outcomeOf({ rules, free, mirrors, bundles: bundles(of) })
const amounts = (outcome: ReturnType<typeof settle>) => outcome.mirrors.map((m) => m.amount)
const reasons = (outcome: ReturnType<typeof settle>) => outcome.mirrors.map((m) => m.reason)

describe('outcome', () => {
  it('pays fees and each of three places q = floor(E/3)', () => {
    const outcome = settle(() => [report(1), report(2), report(3)])
    expect(amounts(outcome)).toEqual([323_333n, 323_333n, 323_333n])
    expect(outcome.leaves.filter((leaf) => leaf.mirror === 0).map((leaf) => leaf.amount)).toEqual([
      10_000n,
      10_000n,
      10_000n,
    ])
    expect(outcome.allocated).toBe(999_999n)
    expect(outcome.count).toBe(6)
  })

  it('takes the M-th highest report, so that one liar moves nobody', () => {
    const honest = settle(() => [report(1, { passed: 9, failed: 1 }), report(2), report(3)])
    const liar = (passed: number) => (attester: number) =>
      attester === 0
        ? [
            report(1, { passed, failed: 10 - passed }),
            report(2, { wrongBytes: true }),
            report(3, { principal: 'SP0' }),
          ]
        : [report(1, { passed: 9, failed: 1 }), report(2), report(3)]
    expect(amounts(settle(liar(0)))).toEqual(amounts(honest))
    expect(amounts(settle(liar(10)))).toEqual(amounts(honest))
  })

  it('says why a mirror earns nothing', () => {
    const outcome = settle((attester) => [
      report(1, { passed: 1, failed: 9 }),
      report(2, { wrongBytes: attester < 2 }),
      ...(attester === 0 ? [report(3)] : []),
    ])
    expect(reasons(outcome)).toEqual(['below the floor', 'wrong bytes', 'too few reports'])
    expect(reasons(settle(() => [report(1, { principal: '' }), report(2), report(3)]))[0]).toBe('not bound')
  })

  it('falsifies a claimed place that more than f round trips rule out', () => {
    // Attesters stand at 0°, 0°; 20 ms reach 1,999 km; u0 (Central Asia) is further.
    expect(reasons(settle(() => [report(1, { geohash: 'u4pr' }), report(2), report(3)]))[0]).toBe(
      'place falsified',
    )
    const slow = settle((attester) => [
      report(1, { geohash: 'u4pr', rttMicros: attester < 2 ? 400_000 : 20_000 }),
    ])
    expect(slow.mirrors[0]!.claim).toBe('not falsified')
  })

  it('never allocates more than the free money, and nothing when there is none', () => {
    const poor = settle(() => [report(1), report(2), report(3)], 500n)
    expect(poor.allocated).toBeLessThanOrEqual(500n)
    const empty = settle(() => [report(1), report(2), report(3)], 0n)
    expect(empty).toMatchObject({ allocated: 0n, count: 0, root: emptyRoot })
  })

  it('is the same for any order of mirrors, bundles and reports', () => {
    const all = [report(1), report(2), report(3)]
    const straight = outcomeOf({ rules, free: 1_000_000n, mirrors, bundles: bundles(() => all) })
    const reversed = outcomeOf({
      rules,
      free: 1_000_000n,
      mirrors: [...mirrors].reverse(),
      bundles: bundles(() => [...all].reverse()).reverse(),
    })
    expect(reversed.root).toBe(straight.root)
  })
})
