import { expect, test } from 'vitest'
import { reportsOf } from '../attest/reports.ts'
import { discountBlackouts, networksThatPassed, type Observation } from './observation.ts'

const seen = (change: Partial<Observation>): Observation => ({
  app: 'app',
  epoch: 1,
  mirror: 1,
  at: 0,
  nodeKey: 'node',
  principal: 'SP1',
  outcome: 'passed',
  reason: '',
  wrongBytes: false,
  address: '192.0.2.1',
  asn: 1,
  rttMicros: 0,
  geohash: 'u0y',
  commit: 'c',
  phases: null,
  due: 0,
  intervalMs: 1_000,
  ...change,
})
const silent = (change: Partial<Observation>) => seen({ outcome: 'failed', reason: 'timeout', ...change })

const about = { attester: 'aa'.repeat(32), app: 'bb'.repeat(32), epoch: 1 }
const reported = (of: readonly Observation[], missed = 0) =>
  reportsOf(of, about, () => missed).map(({ report }) => report)

test('a round in which every network is silent is our own fault', () => {
  const before = networksThatPassed([seen({ asn: 1 }), seen({ asn: 2 }), silent({ asn: 3 })])
  const round = [silent({ asn: 1, at: 10 }), silent({ asn: 2, mirror: 2, at: 20 })]
  const judged = discountBlackouts(
    [...round, silent({ asn: 1, at: 110 }), seen({ asn: 2, at: 120 })],
    before,
    100,
  )
  expect(judged.map((o) => o.outcome)).toEqual(['inconclusive', 'inconclusive', 'failed', 'passed'])
  expect(judged[0]?.reason).toBe('own-network')
})

test('what was heard is never our own fault', () => {
  const before = new Set([1, 2])
  const round = [silent({ asn: 1 }), silent({ asn: 2, reason: 'stale' })]
  expect(discountBlackouts(round, before, 100)).toEqual(round)
})

test('one network alone may well be down', () => {
  const round = [silent({ asn: 1 }), silent({ asn: 1 })]
  expect(discountBlackouts(round, new Set([1]), 100)).toEqual(round)
})

test('a report counts what was conclusive, and names why the rest failed', () => {
  const [report] = reported([
    seen({ rttMicros: 900 }),
    seen({ rttMicros: 700 }),
    seen({ outcome: 'failed', reason: 'stale', rttMicros: 0 }),
    seen({ outcome: 'inconclusive', reason: 'own-dns', address: '', asn: 0 }),
  ])
  expect(report).toMatchObject({
    ...{ mirror: 1, passed: 2, failed: 1, inconclusive: 1, reasons: { stale: 1, 'own-dns': 1 } },
    ...{ wrongBytes: false, principal: 'SP1', address: '192.0.2.1', asn: 1, rttMicros: 700, geohash: 'u0y' },
  })
})

test('wrong bytes once are wrong bytes', () => {
  const wrong = seen({ outcome: 'failed', reason: 'wrong-bytes', wrongBytes: true })
  expect(reported([seen({}), wrong, seen({})])[0]).toMatchObject({ wrongBytes: true, passed: 2, failed: 1 })
})

test('there is no report on a mirror of which more than half of the probes were inconclusive', () => {
  const doubt = seen({ mirror: 2, outcome: 'inconclusive', reason: 'own-dns' })
  expect(reported([seen({ mirror: 2 }), doubt, doubt])).toEqual([])
  expect(reported([seen({ mirror: 2 }), doubt])).toHaveLength(1)
})

test('round trips of an address that the mirror has left do not count', () => {
  const [report] = reported([
    seen({ rttMicros: 100 }),
    seen({ address: '192.0.2.9', asn: 2, rttMicros: 900 }),
  ])
  expect(report).toMatchObject({ address: '192.0.2.9', asn: 2, rttMicros: 900 })
})

test('probes that were missed while we did not run count as scheduled', () => {
  const three = [seen({}), seen({}), seen({})]
  expect(reported(three, 3)[0]).toMatchObject({ passed: 3, inconclusive: 3, reasons: { missed: 3 } })
  expect(reported(three, 4)).toEqual([])
})
