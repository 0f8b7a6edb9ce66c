import { expect, test } from 'vitest'
import { hashFiles } from './manifest.ts'
import type { Objects } from './objects.ts'

const bytes: Record<string, string> = { ['1'.repeat(40)]: '', ['2'.repeat(40)]: 'two' }
const poured: string[] = []
const objects: Pick<Objects, 'pour'> = {
  async pour(oid, sink) {
    poured.push(oid)
    // As when git dies half-way: what came first does not count.
    sink.begin(9, 'blob')
    await sink.chunk(Buffer.from('half'))
    sink.begin(bytes[oid]!.length, 'blob')
    await sink.chunk(Buffer.from(bytes[oid]!))
  },
}
const blob = (path: string, oid = '2'.repeat(40)) => ({ path, oid })

test('every file is hashed, each object read once', async () => {
  const hashed = await hashFiles([blob('a'), blob('b/c d.txt'), blob('empty', '1'.repeat(40))], objects)
  const two = { sha256: '3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', size: 3 }
  expect(hashed).toEqual({
    ok: true,
    value: [
      { path: '/a', oid: '2'.repeat(40), ...two },
      { path: '/b/c d.txt', oid: '2'.repeat(40), ...two },
      {
        path: '/empty',
        oid: '1'.repeat(40),
        sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
        size: 0,
      },
    ],
  })
  expect(poured).toHaveLength(2)
})

test.each([
  ['bad\u0007bell', /cannot hold/],
  ['not \ufffd utf-8', /cannot hold/],
  [`${'long'.repeat(300)}`, /cannot hold/],
  ['.well-known/understudy.json', /speak for themselves/],
  ['.well-known/understudy/challenge', /speak for themselves/],
])('the path %j has no place in a release', async (path, reason) => {
  const refused = await hashFiles([blob('fine'), blob(path)], objects)
  expect(refused).toEqual({ ok: false, reason: expect.stringMatching(reason) })
})

test('too many bytes in all are refused', async () => {
  const refused = await hashFiles([blob('a')], objects, { maxBytes: 2 })
  expect(refused).toMatchObject({ ok: false, reason: expect.stringMatching(/more than 2 bytes/) })
})
