import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as z from 'zod/mini'
import { attestationTemplate, parseAttestation, type Report, reportSchema } from './attestation.ts'

const report: Report = {
  ...{ mirror: 7, nodeKey: 'ab'.repeat(32), passed: 140, failed: 3, inconclusive: 1 },
  ...{ reasons: { timeout: 2 }, wrongBytes: false, principal: 'ST1', address: '203.0.113.9', asn: 64_512 },
  ...{ rttMicros: 12_345, geohash: 'u0yjj', commit: 'c0'.repeat(20), evidence: 'ee'.repeat(32) },
}
const eventOf = (content: string) => {
  const template = attestationTemplate('aa'.repeat(32), 3, report, 1_800_000_000)
  return { ...template, content, id: '00'.repeat(32), pubkey: '11'.repeat(32), sig: '22'.repeat(64) }
}

test('a report is read as its schema says, whatever stands in its place', () => {
  const limits = [-1, -0, 0, 1, 0.5, 1_000_000, 1_000_001, 4_294_967_295, 4_294_967_296, 60_000_001, 2 ** 53]
  const texts = ['', 'x'.repeat(12), 'x'.repeat(13), 'x'.repeat(65), 'x'.repeat(129)]
  const hex = [20, 32, 33].flatMap((bytes) => ['ab'.repeat(bytes), 'AB'.repeat(bytes)])
  const value = fc.oneof(
    fc.constantFrom<unknown>(...limits, ...texts, ...hex, undefined, null, true, [], {}, [1], {
      [texts[3]!]: 1,
    }),
    fc.dictionary(
      fc.oneof(fc.string(), fc.constant('__proto__')),
      fc.constantFrom<unknown>(...limits, 'x', null),
    ),
    fc.jsonValue(),
  )
  const field = fc.constantFrom(...Object.keys(report), 'unknown')
  fc.assert(
    fc.property(fc.array(fc.tuple(field, value), { maxLength: 3 }), (changes) => {
      const content = JSON.stringify({ ...report, ...Object.fromEntries(changes) })
      const expected = z.safeParse(reportSchema, JSON.parse(content))
      const read = parseAttestation(eventOf(content))
      expect(read.ok).toBe(expected.success)
      if (read.ok) expect(read.value.report).toEqual(expected.data)
    }),
    { numRuns: 2_000 },
  )
})

test('what is no report is refused with its first fault', () => {
  expect(parseAttestation(eventOf('{'))).toEqual({ ok: false, reason: 'not JSON' })
  expect(parseAttestation(eventOf('null'))).toMatchObject({ ok: false })
  expect(parseAttestation(eventOf(JSON.stringify({ ...report, asn: -1 })))).toMatchObject({
    reason: expect.stringContaining('asn'),
  })
  expect(parseAttestation(eventOf('x'.repeat(8_193)))).toMatchObject({ reason: 'larger than 8192 bytes' })
})

test('a proof is an index from 1 and whole hashes, at most twenty, or there is none', () => {
  const proofOf = (index: string, joined: string) => {
    const event = eventOf(JSON.stringify(report))
    const read = parseAttestation({ ...event, tags: [...event.tags, ['proof', index, joined]] })
    return read.ok ? read.value.proof : 'refused'
  }
  expect(proofOf('1', '')).toEqual({ index: 1, siblings: '' })
  const [a, b] = ['0a'.repeat(32), '0b'.repeat(32)]
  expect(proofOf('12', a + b)).toEqual({ index: 12, siblings: a + b })
  for (const [index, joined] of [
    ['0', a],
    ['01', a],
    ['12345678', a],
    ['1', a.slice(1)],
    ['1', a.toUpperCase()],
    ['1', a.repeat(21)],
  ] as const)
    expect(proofOf(index, joined)).toBeUndefined()
})
