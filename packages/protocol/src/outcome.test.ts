import { describe, expect, it } from 'vitest'
import type { Report } from './attestation.ts'
import { emptyRoot } from './merkle.ts'
import { type BondedMirror, type Bundle, outcomeOf } from './outcome.ts'
import type { Rules } from './rules.ts'

const keys = ['11', '22', '33'].map((byte) => `02${byte.repeat(32)}`)
const seed = '00'.repeat(32)
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
  keys.map((key, i) => ({
    key,
    header: { stx: payees[i]!, latitude: 0, longitude: 0, seed },
    reports: of(i),
  }))
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

  describe('with places', () => {
    // Five attesters: two in Frankfurt, two in Tokyo, one in Dallas.
    const spots = [
      [50.11, 8.68],
      [50.12, 8.7],
      [35.68, 139.69],
      [35.7, 139.7],
      [32.78, -96.8],
    ] as const
    const five: Rules = {
      ...rules,
      keys: ['11', '22', '33', '44', '55'].map((byte) => `02${byte.repeat(32)}`),
      levels: ['continent', 'country', 'network'],
      fee: 0n,
    }
    const seenFrom = (rtts: (attester: number, mirror: number) => number, absent: number[] = []) =>
      five.keys.flatMap((key, i): Bundle[] => {
        if (absent.includes(i)) return []
        const [latitude, longitude] = spots[i]!
        const header = { stx: payees[i % 3]!, latitude: latitude * 1e6, longitude: longitude * 1e6, seed }
        return [{ key, header, reports: [1, 2, 3].map((id) => report(id, { rttMicros: rtts(i, id) })) }]
      })
    /** Mirror 1 in Frankfurt, 2 in Tokyo, 3 nowhere near. */
    const honest = (i: number, id: number) =>
      id === 3 ? 150_000 : (id === 1 ? i < 2 : i === 2 || i === 3) ? 800 : 160_000
    const run = (of: Bundle[], former: Bundle[] = [], over: Partial<Rules> = {}) =>
      outcomeOf({ rules: { ...five, ...over }, free: 900_000n, mirrors, bundles: of, former })

    it('proves a country by f + 1 attesters near it, and pays no mirror without a place beside it', () => {
      const outcome = run(seenFrom(honest))
      expect(outcome.mirrors.map((m) => m.place)).toEqual([['EU', 'DE'], ['AS', 'JP'], []])
      expect(amounts(outcome)).toEqual([300_000n, 300_000n, 0n])
      expect(run(seenFrom(honest), [], { levels: ['country'] }).mirrors[0]!.place).toEqual(['DE'])
    })

    it('gives a key that answers in two places none', () => {
      const both = (i: number, id: number) => (id === 1 && (i === 2 || i === 3) ? 800 : honest(i, id))
      const outcome = run(seenFrom(both))
      expect(outcome.mirrors.map((m) => m.anycast)).toEqual([true, false, false])
      expect(outcome.mirrors[0]!.place).toEqual([])
    })

    it('hears a former bundle of an absent attester for place alone', () => {
      const all = seenFrom(honest)
      const without = seenFrom(honest, [1])
      expect(run(without).mirrors[0]!.place).toEqual([])
      expect(run(without, all).mirrors[0]!.place).toEqual(['EU', 'DE'])
      expect(run(without, all).mirrors[0]!.reported).toBe(run(without).mirrors[0]!.reported)
      const rekeyed = all.map((b) => ({
        ...b,
        reports: b.reports.map((r) => ({ ...r, nodeKey: 'f'.repeat(64) })),
      }))
      expect(run(without, rekeyed).mirrors[0]!.place).toEqual([])
    })

    it('hears no former bundle about a mirror that answers at another address now', () => {
      const all = seenFrom(honest)
      const moved = seenFrom(honest, [1]).map((b) => ({
        ...b,
        reports: b.reports.map((r) => (r.mirror === 1 ? { ...r, address: '127.0.9.9' } : r)),
      }))
      expect(run(moved, all).mirrors.map((m) => m.place)).toEqual([[], ['AS', 'JP'], []])
      // One attester alone that says so changes nothing: M decide where it was dialled.
      const one = moved.map((b, i) => (i === 0 ? b : seenFrom(honest, [1])[i]!))
      expect(run(one, all).mirrors[0]!.place).toEqual(['EU', 'DE'])
    })

    it('pays by network alone as if there were no places', () => {
      const outcome = run(seenFrom(honest), [], { levels: ['network'] })
      expect(amounts(outcome)).toEqual([300_000n, 300_000n, 300_000n])
    })

    it('survives a claim that is no geohash', () => {
      const bundles = seenFrom(honest).map((b) => ({
        ...b,
        reports: b.reports.map((r) => ({ ...r, geohash: 'ai!' })),
      }))
      expect(run(bundles).mirrors.map((m) => m.claim)).toEqual(['no claim', 'no claim', 'no claim'])
    })
  })
})
