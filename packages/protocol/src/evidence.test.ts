import { expect, test } from 'vitest'
import {
  countReport,
  evidenceRefused,
  type Observed,
  type ProbeEvidence,
  readEvidence,
  writeEvidence,
} from './evidence.ts'
import { createSeeds, nextMoment } from './seed.ts'

const app = 'ab'.repeat(32)
const attester = 'cd'.repeat(32)
const seeds = createSeeds(new Uint8Array(32).fill(9), app)
const said = { attester, app, epoch: 4, seed: seeds(4) }

/** Probes by the seed of an epoch, of which each third failed. */
function evidenceBy(epoch: number): ProbeEvidence {
  let due = 1_700_000_000_000
  const observations = Array.from({ length: 9 }, (_, at): Observed => {
    due = nextMoment(seeds(epoch), 7, due, 60_000)
    const failed = at % 3 === 2
    return {
      ...{
        at: due + 900,
        due,
        intervalMs: 60_000,
        nodeKey: 'ee'.repeat(32),
        principal: 'SP1',
        wrongBytes: false,
      },
      ...{ outcome: failed ? 'failed' : 'passed', reason: failed ? 'timeout' : '' },
      ...{ address: '192.0.2.1', asn: 5, rttMicros: 900 + at, geohash: 'u0', commit: '', phases: null },
    }
  })
  return { attester, app, epoch: 4, mirror: 7, missed: 1, observations }
}
const reportOf = ({ mirror, observations, missed }: ProbeEvidence) =>
  countReport(mirror, observations, missed)!

test('evidence is read by its hash, and bears its report out', () => {
  const evidence = evidenceBy(4)
  const { hash, text } = writeEvidence(evidence)
  const read = readEvidence(new TextEncoder().encode(text), hash)
  expect(read).toEqual({ ok: true, value: evidence })
  const report = { ...reportOf(evidence), evidence: hash }
  expect(report).toMatchObject({ passed: 6, failed: 3, inconclusive: 1, reasons: { timeout: 3, missed: 1 } })
  expect(evidenceRefused(evidence, said, report)).toBeUndefined()
  expect(readEvidence(new TextEncoder().encode(`${text} `), hash)).toMatchObject({ ok: false })
})

test('probes that another seed scheduled are found out, but for those of the epochs just before', () => {
  expect(evidenceRefused(evidenceBy(3), said, reportOf(evidenceBy(3)))).toBeUndefined()
  expect(evidenceRefused(evidenceBy(5), said, reportOf(evidenceBy(5)))).toMatch(/not due/)
})

test('probes that come to other counts, or are counted twice, are found out', () => {
  const evidence = evidenceBy(4)
  expect(evidenceRefused(evidence, said, { ...reportOf(evidence), passed: 9 })).toMatch(/other counts/)
  const doubled = { ...evidence, observations: [...evidence.observations, evidence.observations.at(-1)!] }
  expect(evidenceRefused(doubled, said, reportOf(doubled))).toMatch(/two probes/)
  expect(evidenceRefused(evidence, { ...said, epoch: 5 }, reportOf(evidence))).toMatch(/something else/)
})
