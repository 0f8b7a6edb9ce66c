import { appId, coordinateOf } from '@understudy/protocol/app'
import { epochTag } from '@understudy/protocol/attestation'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { describe, expect, test } from 'vitest'
import { appScope, type Members, understudyScope } from './scope.ts'

const [maintainer, releaseKey, attester, mirror, stranger] = ['1', '2', '3', '4', '5'].map((n) =>
  n.repeat(64),
) as [string, string, string, string, string]
const coordinate = coordinateOf(maintainer, 'site')
const app = appId(coordinate)
const other = coordinateOf(maintainer, 'other')
let members: Members = {
  releaseKeys: new Set([releaseKey]),
  attesters: new Set([attester]),
  mirrors: new Set([mirror]),
}
const admit = appScope(coordinate, () => members)
const event = (kind: number, pubkey: string, ...tags: string[][]): NostrEvent => ({
  id: '',
  pubkey,
  kind,
  tags,
  created_at: 0,
  content: '',
  sig: '',
})

const mine: [string, NostrEvent][] = [
  ['the repository', event(kinds.repository, maintainer, ['d', 'site'])],
  ['its refs', event(kinds.repositoryState, maintainer, ['d', 'site'])],
  ['a release', event(kinds.release, releaseKey, ['d', 'site'], ['a', coordinate])],
  ['a snapshot', event(kinds.releaseSnapshot, releaseKey, ['a', coordinate])],
  ['a mirror', event(kinds.mirror, mirror, ['d', app], ['a', coordinate])],
  ['a heartbeat', event(kinds.heartbeat, mirror, ['d', app])],
  ['a challenge', event(kinds.challenge, attester, ['d', app])],
  ['an answer', event(kinds.answer, mirror, ['d', app])],
  ['a seen', event(kinds.seen, attester, ['d', app])],
  ['a commitment', event(kinds.commitment, attester, ['d', epochTag(app, 3)])],
  ['an attestation', event(kinds.attestation, attester, ['d', epochTag(app, 3)])],
  ['a proposal', event(kinds.proposal, attester, ['d', epochTag(app, 3)])],
  ['a co-signature', event(kinds.coSignature, attester, ['d', epochTag(app, 3)])],
  ['an attester', event(kinds.attester, attester)],
  ['a deletion', event(5, releaseKey)],
  ["a mirror's relay list", event(kinds.relayList, mirror)],
]

describe('a node keeps the events of its app', () => {
  test.each(mine)('%s', (_, e) => expect(admit(e)).toEqual({ ok: true }))
  test.each(mine)('but not %s by a stranger', (_, e) =>
    expect(admit({ ...e, pubkey: stranger })).toMatchObject({ ok: false }),
  )
  test.each(mine.filter(([, e]) => e.tags.length > 0))('and not %s about another app', (_, e) => {
    const swap: Record<string, string> = { site: 'other', [coordinate]: other, [app]: appId(other) }
    swap[epochTag(app, 3)] = epochTag(appId(other), 3)
    const tags = e.tags.map(([name, value]) => [name!, swap[value!]!])
    expect(admit({ ...e, tags })).toMatchObject({ ok: false })
  })
  test('not notes or profiles', () => {
    for (const kind of [0, 1]) expect(admit(event(kind, maintainer))).toMatchObject({ ok: false })
  })
  test('of anybody, as long as the chain has not been read', () => {
    const known = members
    members = {}
    expect(admit(event(kinds.attestation, stranger, ['d', epochTag(app, 3)]))).toEqual({ ok: true })
    members = known
  })
})

test('a relay alone keeps Understudy’s kinds of any app and anybody', () => {
  for (const kind of Object.values(kinds))
    expect(understudyScope(event(kind, stranger))).toEqual({ ok: true })
  expect(understudyScope(event(1, maintainer))).toEqual({
    ok: false,
    reason: 'kind 1 is none that this relay keeps',
  })
})

test('a coordinate that is none is refused at once', () => {
  expect(() => appScope('30617:site', () => ({}))).toThrow('expected 30617')
})
