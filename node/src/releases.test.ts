import { appId, coordinateOf } from '@understudy/protocol/app'
import type { NostrEvent } from '@understudy/protocol/event'
import { type ReleaseDraft, releaseTemplates } from '@understudy/protocol/release'
import { expect, test } from 'vitest'
import { createReleaseBook } from './releases.ts'

const key = 'b1'.repeat(32)
const coordinate = coordinateOf('aa'.repeat(32), 'demo')
const app = appId(coordinate)
let serial = 0

/** The snapshot of a release and the event that points at it, as the relays' layer would hand them over: verified. */
function eventsOf(seq: number, change: Partial<ReleaseDraft> & { pubkey?: string } = {}) {
  const { pubkey = key, ...rest } = change
  const draft = {
    app,
    d: 'demo',
    coordinate,
    commit: String(seq).padStart(40, '0'),
    tree: '1'.repeat(40),
    seq,
    entry: '/index.html',
    files: [{ path: '/index.html', sha256: '2'.repeat(64) }],
    ...rest,
  }
  const { snapshot, newest } = releaseTemplates(draft, 1_800_000_000)
  return [snapshot, newest].map(
    (template): NostrEvent => ({
      ...template,
      id: (serial++).toString(16).padStart(64, '0'),
      pubkey,
      sig: '0'.repeat(128),
    }),
  ) as [NostrEvent, NostrEvent]
}

function bookOf(...seqs: number[]) {
  const book = createReleaseBook(app, key)
  for (const seq of seqs) for (const event of eventsOf(seq)) expect(book.add(event)).toBeUndefined()
  return book
}

const numbers = (found: ReturnType<ReturnType<typeof bookOf>['after']>) =>
  found.map(({ release }) => release.seq)
const at = (seq: number) => bookOf(seq).after(undefined, 0)[0]!.release

test('a node that serves nothing yet begins with the newest, and falls back on older ones', () => {
  expect(numbers(bookOf(1, 2, 4).after(undefined, 0))).toEqual([4, 2, 1])
  expect(numbers(bookOf(1, 2, 4).after(undefined, 2))).toEqual([4, 2])
})

test('one that serves a release goes up only, and skips none', () => {
  expect(numbers(bookOf(1, 2, 3, 4).after(at(2), 0))).toEqual([4, 3])
  expect(numbers(bookOf(1, 2, 3, 5, 6).after(at(2), 0))).toEqual([3])
  expect(bookOf(1, 2, 3, 5, 6).skipped(at(2))).toEqual([5, 6])
  expect(numbers(bookOf(1).after(at(2), 0))).toEqual([])
  expect(bookOf(1).skipped(at(2))).toEqual([])
})

test('a new release key begins wherever it says, but above what is served', () => {
  const before = { ...at(2), pubkey: 'c1'.repeat(32) }
  expect(numbers(bookOf(1, 2, 5, 7).after(before, 0))).toEqual([7, 5])
  expect(bookOf(1, 2, 5, 7).skipped(before)).toEqual([])
})

test('a number that was given twice stays what it was', () => {
  const book = bookOf(1)
  const other = eventsOf(1, { commit: 'f'.repeat(40) })
  expect(book.add(other[0])).toMatch(/already made/)
  expect(book.after(undefined, 0)[0]!.release.commit).toBe('1'.padStart(40, '0'))
})

test('the snapshot names the release, in whichever order the two events come', () => {
  const [snapshot, newest] = eventsOf(1)
  for (const order of [
    [snapshot, newest],
    [newest, snapshot],
  ]) {
    const book = createReleaseBook(app, key)
    for (const event of order) book.add(event)
    expect(book.after(undefined, 0)[0]!.event.id).toBe(snapshot.id)
  }
})

test('what is no release of this app by its release key is refused', () => {
  const book = createReleaseBook(app, key)
  const [good] = eventsOf(1)
  const without = (name: string) => ({ ...good, tags: good.tags.filter((t) => t[0] !== name) })
  const refusals: [NostrEvent, RegExp][] = [
    [eventsOf(1, { pubkey: 'c1'.repeat(32) })[0], /release key/],
    [eventsOf(1, { coordinate: coordinateOf('bb'.repeat(32), 'demo') })[0], /another app/],
    [{ ...good, kind: 1 }, /not a release/],
    [without('commit'), /commit/],
    [without('seq'), /seq/],
    [without('manifest'), /manifest/],
    [{ ...good, tags: [...good.tags, ['path', '/../x', '2'.repeat(64)]] }, /manifest/],
  ]
  for (const [event, reason] of refusals) expect(book.add(event)).toMatch(reason)
  expect(book.after(undefined, 0)).toEqual([])
})
