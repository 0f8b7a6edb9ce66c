import { answerTemplate, challengeTemplate, parseChallenge } from '@understudy/protocol/challenge'
import type { NostrEvent } from '@understudy/protocol/event'
import { signerOf } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { beforeAll, expect, test } from 'vitest'
import { inTime, judgeAnswer } from './possession.ts'
import { lower } from './probe.ts'

const attester = signerOf(new Uint8Array(32).fill(1))
const node = signerOf(new Uint8Array(32).fill(2))
const stranger = signerOf(new Uint8Array(32).fill(3))
const right = 'aa'.repeat(32)
let verify: Awaited<ReturnType<typeof loadVerify>>
beforeAll(async () => {
  verify = await loadVerify()
})

async function challengeOf() {
  const asked = {
    app: '11'.repeat(32),
    nodeKey: node.pubkey,
    commit: '22'.repeat(20),
    nonce: '33'.repeat(32),
  }
  const event = await attester.signEvent(
    challengeTemplate({ ...asked, host: 'm:1', address: '192.0.2.1' }, 1_000),
  )
  const challenge = parseChallenge(event)
  if (!challenge.ok) throw new Error(challenge.reason)
  return challenge.value
}

async function judged(
  change: (challenge: Awaited<ReturnType<typeof challengeOf>>) => Promise<NostrEvent> | NostrEvent,
  expected: string | undefined = right,
) {
  const challenge = await challengeOf()
  return judgeAnswer(await change(challenge), challenge, { verify, digestOf: async () => expected })
}

test('a signed right answer to this very challenge passes', async () => {
  expect(await judged((c) => node.signEvent(answerTemplate(c, right, 1_000)))).toEqual({ outcome: 'passed' })
})

test('a signed wrong answer is evidence', async () => {
  const verdict = await judged((c) => node.signEvent(answerTemplate(c, 'bb'.repeat(32), 1_000)))
  expect(verdict).toEqual({ outcome: 'failed', reason: 'wrong-answer', wrongBytes: true })
})

test.each([
  ['signed by another key', (c) => stranger.signEvent(answerTemplate(c, 'bb'.repeat(32), 1_000))],
  [
    'for another nonce',
    (c) => node.signEvent(answerTemplate({ ...c, nonce: '44'.repeat(32) }, right, 1_000)),
  ],
  [
    'for another address',
    (c) => node.signEvent(answerTemplate({ ...c, address: '192.0.2.9' }, right, 1_000)),
  ],
  [
    'to another challenge',
    (c) => node.signEvent(answerTemplate({ ...c, eventId: '55'.repeat(32) }, right, 1_000)),
  ],
  [
    'changed after signing',
    async (c) => {
      const signed = await node.signEvent(answerTemplate(c, right, 1_000))
      return {
        ...signed,
        tags: signed.tags.map((t) => (t[0] === 'digest' ? ['digest', 'bb'.repeat(32)] : t)),
      }
    },
  ],
] as [string, Parameters<typeof judged>[0]][])(
  'an answer %s fails, and is no evidence',
  async (_, answer) => {
    expect(await judged(answer)).toEqual({ outcome: 'failed', reason: 'bad-answer', wrongBytes: false })
  },
)

test('without a clone of our own nothing is held against the node', async () => {
  const challenge = await challengeOf()
  const event = await node.signEvent(answerTemplate(challenge, right, 1_000))
  const verdict = await judgeAnswer(event, challenge, { verify, digestOf: async () => undefined })
  expect(verdict).toEqual({ outcome: 'inconclusive', reason: 'own-clone' })
})

test('an answer has the lowest round trip and 100 ms', () => {
  expect(inTime(120_000, 20_000)).toBe(true)
  expect(inTime(120_001, 20_000)).toBe(false)
  expect(inTime(9_000_000, 0)).toBe(true)
})

test('the lowest round trip belongs to one address', () => {
  const at = (address: string, micros: number) => ({ address, micros })
  expect(lower(at('', 0), 'x', 5)).toEqual(at('x', 5))
  expect(lower(at('x', 5), 'x', 9)).toEqual(at('x', 5))
  expect(lower(at('x', 5), 'y', 9)).toEqual(at('y', 9))
  expect(lower(at('x', 5), 'x', 0)).toEqual(at('x', 5))
})
