import type { Release } from '@understudy/protocol/release'
import type { Seen } from '@understudy/protocol/seen'
import { describe, expect, test } from 'vitest'
import { acceptableReleases, choosePaths, judgeFile, type ReleaseFiles } from './freshness.ts'
import { worst } from './verdict.ts'

const attesters = ['a', 'b', 'c']
const release = (seq: number): Release => ({
  eventId: `r${seq}`,
  kind: 5128,
  pubkey: 'key',
  app: 'app',
  commit: String(seq),
  tree: '',
  seq,
  manifest: '',
  manifestBytes: 0,
  entry: '/index.html',
  createdAt: 0,
})
const seenBy = (who: string, seq: number, burnHeight: number): Seen => ({
  attester: who,
  app: 'app',
  release: `r${seq}`,
  burnHeight,
})
const terms = (burnHeight: number) => ({ attesters: new Set(attesters), m: 2, grace: 5, burnHeight })
const seqs = (releases: readonly Release[]) => releases.map((r) => r.seq)

describe('acceptable releases', () => {
  const all = [release(1), release(2), release(3)]
  const seen = [
    ...attesters.map((a) => seenBy(a, 1, 10)),
    ...attesters.map((a, at) => seenBy(a, 2, 20 + at)),
    seenBy('a', 3, 30),
  ]

  test('are all of them while none is older than the grace', () => {
    expect(seqs(acceptableReleases(all, seen, terms(14)))).toEqual([3, 2, 1])
  })

  test('begin with the newest one that M attesters saw more than the grace ago', () => {
    expect(seqs(acceptableReleases(all, seen, terms(25)))).toEqual([3, 2, 1])
    expect(seqs(acceptableReleases(all, seen, terms(26)))).toEqual([3, 2])
  })

  test('keep a release in grace that fewer than M saw, however old, whatever strangers and doubled words say', () => {
    const more = [...seen, seenBy('stranger', 3, 1), seenBy('a', 3, 2)]
    expect(seqs(acceptableReleases(all, more, terms(1_000)))).toEqual([3, 2])
  })
})

describe('a file', () => {
  const files = (seq: number, list: Record<string, string>): ReleaseFiles => ({
    release: release(seq),
    files: new Map(Object.entries(list)),
  })
  const newest = files(3, { '/index.html': 'i3', '/added.js': 'a' })
  const required = files(2, { '/index.html': 'i2', '/same.css': 's' })
  const old = files(1, { '/index.html': 'i1', '/same.css': 's' })
  const judge = (path: string, sha256: string, status = 200, cors = true) => {
    const verdict = judgeFile({ path, status, sha256, cors }, [newest, required], [old])
    return verdict.outcome === 'failed'
      ? `${verdict.reason}${verdict.wrongBytes ? '!' : ''}`
      : verdict.outcome
  }

  test.each([
    ['/index.html', 'i3', 200, true, 'passed'],
    ['/index.html', 'i2', 200, true, 'passed'],
    ['/index.html', 'i1', 200, true, 'stale'],
    ['/index.html', 'zz', 200, true, 'wrong-bytes!'],
    ['/same.css', 'i2', 200, true, 'wrong-bytes!'],
    ['/index.html', 'i2', 200, false, 'no-cors'],
    ['/index.html', '', 404, true, 'missing'],
    ['/same.css', '', 404, true, 'passed'],
    ['/index.html', 'i2', 503, true, 'status-503'],
  ] as const)('%s with bytes %s, status %i, CORS %s: %s', (path, sha256, status, cors, expected) => {
    expect(judge(path, sha256, status, cors)).toBe(expected)
  })

  test('is chosen so that an old release shows: the entry, one that changed, one at random', () => {
    const changed = files(2, { '/index.html': 'i', '/same.css': 's', '/app.js': 'new', '/x': 'x', '/y': 'y' })
    const before = files(1, { '/index.html': 'i', '/same.css': 's', '/app.js': 'old', '/x': 'x', '/y': 'y' })
    const chosen = choosePaths([changed], [before], () => 0.99)
    expect(chosen).toEqual(['/index.html', '/app.js', '/y'])
  })
})

test('evidence outweighs failure, failure outweighs doubt', () => {
  const failure = { outcome: 'failed', reason: 'stale', wrongBytes: false } as const
  const evidence = { outcome: 'failed', reason: 'wrong-answer', wrongBytes: true } as const
  const doubt = { outcome: 'inconclusive', reason: 'own-dns' } as const
  expect(worst([doubt, failure, evidence])).toBe(evidence)
  expect(worst([doubt, failure, { outcome: 'passed' }])).toBe(failure)
  expect(worst([{ outcome: 'passed' }, doubt])).toBe(doubt)
})
