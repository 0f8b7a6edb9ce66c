import { describe, expect, test } from 'vitest'
import { type Filter, matchFilter, matchFilters, newestFirst } from './filter.ts'

const event = {
  id: 'a'.repeat(64),
  pubkey: 'b'.repeat(64),
  created_at: 100,
  kind: 4617,
  tags: [['d', 'x', 'y'], ['p', 'q'], ['p', 'r'], ['e']],
  content: '',
  sig: '',
}

describe('a filter asks for an event', () => {
  test.each<[string, Filter, boolean]>([
    ['when it names nothing', {}, true],
    ['by its id', { ids: ['0', event.id] }, true],
    ['not by another id', { ids: ['0'] }, false],
    ['by author and kind together', { authors: [event.pubkey], kinds: [1, 4617] }, true],
    ['not when one of the two differs', { authors: [event.pubkey], kinds: [1] }, false],
    ['from its own second', { since: 100, until: 100 }, true],
    ['not from later on', { since: 101 }, false],
    ['not until before', { until: 99 }, false],
    ['by any value of a repeated tag', { '#p': ['r'] }, true],
    ['by two tags at once', { '#p': ['q'], '#d': ['x'] }, true],
    ['not when one of two tags differs', { '#p': ['q'], '#d': ['z'] }, false],
    ['not by the second value of a tag', { '#d': ['y'] }, false],
    ['not by a tag without a value', { '#e': [''] }, false],
    ['not by an empty list', { kinds: [] }, false],
    ['whatever its limit', { limit: 0 }, true],
  ])('%s', (_, filter, expected) => {
    expect(matchFilter(filter, event)).toBe(expected)
  })

  test('when one of several does', () => {
    expect(matchFilters([{ kinds: [1] }, { '#d': ['x'] }], event)).toBe(true)
    expect(matchFilters([], event)).toBe(false)
  })
})

test('newest first, then by lowest id', () => {
  const of = (created_at: number, id: string) => ({ ...event, created_at, id })
  const sorted = [of(1, 'b'), of(2, 'b'), of(1, 'a')].sort(newestFirst)
  expect(sorted.map((e) => `${e.created_at}${e.id}`)).toEqual(['2b', '1a', '1b'])
})
