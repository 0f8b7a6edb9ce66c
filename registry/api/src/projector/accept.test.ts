import { repositoryTemplate } from '@understudy/protocol/app'
import { attestationTemplate } from '@understudy/protocol/attestation'
import type { EventTemplate, NostrEvent, Verify } from '@understudy/protocol/event'
import { heartbeatTemplate } from '@understudy/protocol/mirror'
import { loadVerify } from '@understudy/relays/verify'
import { beforeAll, describe, expect, it } from 'vitest'
import { author, chainId, contracts, Demo, testTime } from '../fixture.ts'
import { judge, maxAheadSeconds, type RefusalCode } from './accept.ts'

const demo = new Demo().register()
const { state } = demo.chain.read()
let verify: Verify
beforeAll(async () => {
  verify = await loadVerify()
})

const home = { chainId, pool: contracts.pool }
const judged = (input: unknown, over: { chainId?: number; pool?: string } = {}) =>
  judge(input, { home: { ...home, ...over }, chain: state, now: testTime, verify })

const [attester] = demo.attesters
const sign = (who: { signer: { signEvent(t: EventTemplate): unknown } }, template: Partial<EventTemplate>) =>
  who.signer.signEvent({ kind: 4617, created_at: testTime, tags: [], content: '', ...template }) as NostrEvent

describe('an event is kept', () => {
  it('when somebody whom the chain names signed it, whatever its kind', async () => {
    const events = [
      await demo.repository(),
      await demo.release(1),
      await demo.announcement(0),
      await demo.heartbeat(1, testTime),
      ...(await demo.epoch(0)).events,
    ]
    for (const event of events) expect(judged(event)).toMatchObject({ ok: true, event: { id: event.id } })
  })
})

describe('an event is refused, with a reason', () => {
  it('when it is malformed, oversized, unsigned, of another kind or time, or by a stranger', async () => {
    const good = await demo.repository()
    const template = attestationTemplate(demo.app, 0, demo.report(0), testTime)
    const other = new Demo('elsewhere')
    const table: [string, unknown, RefusalCode][] = [
      ['nothing', null, 'malformed'],
      ['text', 'EVENT', 'malformed'],
      ['a list', [], 'malformed'],
      ['no signature', { ...good, sig: undefined }, 'malformed'],
      ['a fraction of a second', { ...good, created_at: 0.5 }, 'malformed'],
      ['tags that are text', { ...good, tags: ['d'] }, 'malformed'],
      ['a number in a tag', { ...good, tags: [['d', 1]] }, 'malformed'],
      ['10 MB', { ...good, content: 'x'.repeat(10_000_000) }, 'malformed'],
      ['65 kB in all', sign(attester!, { content: 'x'.repeat(65_500) }), 'too-large'],
      ['kind 1', sign(attester!, { kind: 1 }), 'wrong-kind'],
      ['an ephemeral challenge', sign(attester!, { kind: 24617 }), 'wrong-kind'],
      ['tomorrow', sign(attester!, { ...template, created_at: testTime + 86_400 }), 'future'],
      ['an hour past its expiration', await demo.announcement(0, { at: testTime - 7_200 }), 'expired'],
      ['content changed after signing', { ...good, content: 'changed' }, 'bad-signature'],
      ["another's signature", { ...good, sig: (await demo.release(1)).sig }, 'bad-signature'],
      ['a signature of zeros', { ...good, sig: '0'.repeat(128) }, 'bad-signature'],
      ['content that is not JSON', sign(attester!, { ...template, content: '{' }), 'bad-content'],
      ['no epoch', sign(attester!, { ...template, tags: [] }), 'bad-content'],
      [
        'a report of -1 probes',
        sign(attester!, attestationTemplate(demo.app, 0, demo.report(0, { passed: -1 }), testTime)),
        'bad-content',
      ],
      [
        'a reason with a NUL',
        sign(attester!, attestationTemplate(demo.app, 0, demo.report(0, { reasons: { '\0': 1 } }), testTime)),
        'bad-content',
      ],
      ['half a character', await demo.repository({ name: '\ud83d' }), 'bad-content'],
      ['an app that is not on the chain', await other.repository(), 'unknown-app'],
      [
        'an attestation of an unknown app',
        sign(attester!, attestationTemplate('f'.repeat(64), 0, demo.report(0), testTime)),
        'unknown-app',
      ],
      ['an attestation by no attester', sign(author(99), template), 'stranger'],
      ["an attestation by the app's own maintainer", sign(demo.maintainer, template), 'stranger'],
      ['a release by a mirror', sign(demo.nodes[0]!, { ...(await demo.release(1)) }), 'stranger'],
      [
        'a heartbeat by an attester',
        sign(attester!, heartbeatTemplate(demo.app, 'a'.repeat(40), testTime)),
        'stranger',
      ],
      [
        'an attester whom no rules list',
        sign(author(99), {
          kind: 14617,
          tags: [
            ['frequency', '60'],
            ['timeout', '1000'],
          ],
        }),
        'stranger',
      ],
    ]
    for (const [what, input, code] of table) {
      const verdict = judged(input)
      expect(verdict, what).toEqual({ ok: false, code, reason: expect.stringMatching(/\w{2}/) })
    }
  })

  it('when a signature under money was made for another pool or chain', async () => {
    const { events } = await demo.epoch(0)
    for (const event of events.filter(({ kind }) => kind !== 4617)) {
      expect(judged(event, { pool: 'ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM.other' })).toMatchObject({
        code: 'bad-content',
      })
      expect(judged(event, { chainId: 1 })).toMatchObject({ code: 'bad-content' })
    }
  })

  it('only when its clock is further ahead than clocks may differ', async () => {
    expect(judged(await demo.repository({ at: testTime + maxAheadSeconds }))).toMatchObject({ ok: true })
    expect(judged(await demo.repository({ at: testTime + maxAheadSeconds + 1 }))).toMatchObject({
      code: 'future',
    })
  })

  it('when somebody else announces under the same identifier', () => {
    const thief = author(66)
    const { pubkey } = thief.signer
    const repository = {
      pubkey,
      d: demo.d,
      name: 'Demo',
      description: '',
      clone: [],
      web: [],
      relays: [],
      stx: '',
    }
    expect(judged(sign(thief, repositoryTemplate(repository, testTime)))).toMatchObject({
      code: 'unknown-app',
    })
  })
})
