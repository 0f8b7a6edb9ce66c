import { expect, test } from 'vitest'
import { askProbes, countProbes } from './probes.ts'

test('probes are added up by outcome, whatever their reasons', () => {
  const text = [
    '# TYPE understudy_probes_total counter',
    'understudy_probes_total{outcome="passed",reason="",program="attester"} 12',
    'understudy_probes_total{outcome="failed",reason="stale",program="attester"} 3',
    'understudy_probes_total{outcome="failed",reason="wrong-bytes",program="attester"} 4',
    'understudy_probe_seconds_count{program="attester"} 99',
  ].join('\n')
  expect(countProbes(text)).toEqual({ passed: 12, failed: 7, inconclusive: 0 })
})

test('a program that does not answer counts for nothing', async () => {
  expect(await askProbes(['http://127.0.0.1:9'])).toEqual({ passed: 0, failed: 0, inconclusive: 0 })
})
