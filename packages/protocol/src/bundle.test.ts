import { describe, expect, test } from 'vitest'
import { type Attestation, attestationTemplate, parseAttestation, type Report } from './attestation.ts'
import { bundleOf, committedOf, isCommitted } from './bundle.ts'
import { type Commitment, commitTo } from './commitment.ts'

const app = 'ab'.repeat(32)
const attester = 'cd'.repeat(32)
const stx = 'ST000000000000000000002AMW42H'
const header = { stx, latitude: 1, longitude: -1, seed: '5e'.repeat(32) }
const report = (mirror: number, passed = 10): Report => ({
  ...{ mirror, nodeKey: 'ee'.repeat(32), passed, failed: 0, inconclusive: 0, reasons: {}, wrongBytes: false },
  ...{ principal: '', address: '', asn: 0, rttMicros: 0, geohash: '', commit: '' },
})
let ids = 0
/** As a relay would serve it. */
function told(said: Report, proof?: { index: number; siblings: string }, createdAt = 100): Attestation {
  const id = String(++ids).padStart(64, '0')
  const template = attestationTemplate(app, 3, said, createdAt, proof)
  const read = parseAttestation({ ...template, id, pubkey: attester, sig: '' })
  if (!read.ok) throw new Error(read.reason)
  return read.value
}

function epochOf(mirrors: number) {
  const reports = Array.from({ length: mirrors }, (_, at) => report(at * 2 + 1))
  const { root, attested } = commitTo(header, reports)
  const commitment: Commitment = {
    ...{ eventId: 'e', attester, app, epoch: 3, pool: 'p', root, count: mirrors, header, signature: '' },
  }
  return { commitment, reports, attested, events: attested.map(({ report, proof }) => told(report, proof)) }
}

describe.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 100])('a commitment to %i mirrors', (mirrors) => {
  const { commitment, reports, attested, events } = epochOf(mirrors)

  test('is reproduced from its attestations in any order, each proven by itself', () => {
    expect(bundleOf(commitment, [...events].reverse())?.reports).toEqual(reports)
    expect(events.every((event) => isCommitted(commitment, event))).toBe(true)
  })

  test('is reproduced beside whatever else its attester ever says', () => {
    const extras = attested.flatMap(({ report: { mirror }, proof }) => [
      // Dated back, without a proof, with a borrowed one, about another mirror, and what was committed to once more.
      told(report(mirror, 99), undefined, 1),
      told(report(mirror, 99), proof, 1),
      told(report(mirror + 1, 99), { ...proof, index: mirrors + 1 }, 1),
      told(report(mirror), proof, 1),
    ])
    for (const held of [[...extras, ...events], [...events, ...extras], extras.slice(3).concat(events)])
      expect(bundleOf(commitment, held)?.reports).toEqual(reports)
    const chosen = committedOf(commitment, [...extras, ...events])!
    expect(new Set(chosen.map(({ eventId }) => eventId)).size).toBe(mirrors)
  })

  test('is not reproduced while one is missing or another stands in its place', () => {
    expect(bundleOf(commitment, events.slice(1))).toBeUndefined()
    const other = told(report(reports[0]!.mirror, 11), attested[0]!.proof)
    expect(bundleOf(commitment, [other, ...events.slice(1)])).toBeUndefined()
    expect(bundleOf({ ...commitment, header: { ...header, latitude: 2 } }, events)).toBeUndefined()
  })
})

test('one who commits to two reports on a mirror has no bundle', () => {
  const { root, attested } = commitTo(header, [report(1, 1), report(1, 2), report(2)])
  const commitment = { ...epochOf(3).commitment, root }
  const events = attested.map(({ report: said, proof }) => told(said, proof))
  expect(bundleOf(commitment, events)).toBeUndefined()
  expect(bundleOf(commitment, [...events, told(report(7))])).toBeUndefined()
})
