import { challengeTemplate, parseAnswer, type TreeBlob } from '@understudy/protocol/challenge'
import type { NostrEvent } from '@understudy/protocol/event'
import { signerOf } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { beforeEach, expect, test } from 'vitest'
import { type ChallengeDesk, createChallengeDesk } from './challenges.ts'

const node = signerOf(new Uint8Array(32).fill(1))
const attester = signerOf(new Uint8Array(32).fill(2))
const stranger = signerOf(new Uint8Array(32).fill(3))
const app = '4'.repeat(64)
const commit = '5'.repeat(40)
const blobs: TreeBlob[] = [{ path: 'index.html', oid: '6'.repeat(40) }]

let clock: number
let reads: number
let attesters: ReadonlySet<string> | undefined
let desk: ChallengeDesk

beforeEach(async () => {
  clock = 1_800_000_000_000
  reads = 0
  attesters = new Set([attester.pubkey])
  desk = createChallengeDesk({
    app,
    host: 'mirror.example',
    signer: node,
    verify: await loadVerify(),
    attesters: () => attesters,
    site: { blobsOf: (asked) => (asked === commit ? blobs : undefined) },
    read: async () => {
      reads++
      return new Uint8Array(8)
    },
    now: () => clock,
  })
})

let serial = 0
const challenge = async (by = attester) =>
  by.signEvent(
    challengeTemplate(
      {
        app,
        nodeKey: node.pubkey,
        commit,
        nonce: (++serial).toString(16).padStart(64, '0'),
        host: 'mirror.example',
        address: '203.0.113.1',
      },
      clock / 1_000,
    ),
  ) as Promise<NostrEvent>

test('the same challenge, heard twice, is worked on once and answered alike', async () => {
  const event = await challenge()
  const [first, second] = await Promise.all([desk.answer(event, 'relays'), desk.answer(event, '203.0.113.9')])
  expect(first.ok && parseAnswer(first.event)).toMatchObject({ ok: true, value: { challenge: event.id } })
  expect(second).toEqual(first)
  expect(reads).toBe(32)
})

test('an attester that asks too fast is slowed down, and served again later', async () => {
  const codes: string[] = []
  for (let i = 0; i < 45; i++) {
    const answered = await desk.answer(await challenge(), '203.0.113.9')
    codes.push(answered.ok ? 'ok' : answered.code)
  }
  expect(codes.filter((code) => code === 'ok')).toHaveLength(40)
  expect(codes.slice(40)).toEqual(Array(5).fill('too-many'))
  clock += 1_000
  expect(await desk.answer(await challenge(), '203.0.113.9')).toMatchObject({ ok: true })
})

test('forged challenges use up the forger’s patience, not the attester’s', async () => {
  const forged = { ...(await challenge()), sig: '0'.repeat(128) }
  const codes = new Set<string>()
  for (let i = 0; i < 120; i++) {
    const answered = await desk.answer(forged, '198.51.100.7')
    codes.add(answered.ok ? 'ok' : answered.code)
  }
  expect([...codes]).toEqual(['bad-signature', 'too-many'])
  expect(await desk.answer(await challenge(), '203.0.113.9')).toMatchObject({ ok: true })
  expect(reads).toBe(32)
})

test('before the chain is read anybody may ask, afterwards attesters only', async () => {
  expect(await desk.answer(await challenge(stranger), 'x')).toMatchObject({ code: 'not-an-attester' })
  attesters = undefined
  expect(await desk.answer(await challenge(stranger), 'x')).toMatchObject({ ok: true })
})
