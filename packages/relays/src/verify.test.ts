import type { NostrEvent } from '@understudy/protocol/event'
import { verifyEvent } from 'nostr-tools/pure'
import { describe, expect, test } from 'vitest'
import { loadSigner, signerOf } from './signer.ts'
import { loadVerify } from './verify.ts'

const verify = await loadVerify()
const secretKey = new Uint8Array(32).fill(1)
const template = {
  kind: 4617,
  created_at: 1_800_000_000,
  tags: [['d', 'ü"\\\n\u2028']],
  content: '\ud83d\ude00',
}

describe.each([
  ['signerOf', signerOf(secretKey)],
  ['loadSigner', await loadSigner(secretKey)],
])('an event by %s', (_, signer) => {
  test('is verified by nostr-tools and by us, and is nothing but an event', async () => {
    const event = await signer.signEvent(template)
    expect(event).toMatchObject({ ...template, pubkey: signer.pubkey })
    expect(Reflect.ownKeys(event).sort()).toEqual([
      'content',
      'created_at',
      'id',
      'kind',
      'pubkey',
      'sig',
      'tags',
    ])
    expect(verifyEvent({ ...event })).toBe(true)
    expect(verify(event)).toBe(true)
  })

  test('is refused when anything in it was changed', async () => {
    const event = (await signer.signEvent(template)) as NostrEvent
    const other = (await signer.signEvent({ ...template, content: 'other' })) as NostrEvent
    for (const changed of [
      { content: 'other' },
      { kind: 4616 },
      { created_at: 0 },
      { tags: [] },
      { pubkey: '0'.repeat(64) },
      { sig: other.sig },
      { id: other.id },
    ])
      expect(verify({ ...event, ...changed })).toBe(false)
    expect(verify(event)).toBe(true)
  })
})

test('an event that is too large for the checker is refused, and the checker goes on', async () => {
  const signer = signerOf(secretKey)
  const huge = await signer.signEvent({ ...template, content: 'x'.repeat(3_000_000) })
  const large = await signer.signEvent({ ...template, content: '\u20ac'.repeat(20_000) })
  for (let i = 0; i < 50; i++) {
    expect(verify(huge)).toBe(false)
    expect(verify(large)).toBe(true)
  }
})
