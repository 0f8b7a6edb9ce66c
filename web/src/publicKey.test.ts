import { expect, it } from 'vitest'
import { parsePublicKey } from './publicKey.ts'

// The example of NIP-19.
const npub = 'npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg'
const hex = '7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e'

it('reads a key as hex and as npub', () => {
  expect(parsePublicKey(` ${hex.toUpperCase()} `)).toEqual({ ok: true, value: hex })
  expect(parsePublicKey(npub)).toEqual({ ok: true, value: hex })
})

it('finds a typing error in an npub', () => {
  for (const at of [6, 20, 40, 62]) {
    const typo = npub.slice(0, at) + (npub[at] === 'q' ? 'p' : 'q') + npub.slice(at + 1)
    expect(parsePublicKey(typo)).toMatchObject({ ok: false, reason: 'This npub has a typing error.' })
  }
  expect(parsePublicKey(npub.slice(0, -1)).ok).toBe(false)
})

it('refuses digits that are the x of no point of the curve', () => {
  // x = 5 has no y on secp256k1; x = 1 has.
  expect(parsePublicKey('5'.padStart(64, '0')).ok).toBe(false)
  expect(parsePublicKey('1'.padStart(64, '0')).ok).toBe(true)
  expect(parsePublicKey('f'.repeat(64)).ok).toBe(false)
  expect(parsePublicKey('0'.repeat(64)).ok).toBe(false)
})

it('warns of a secret key', () => {
  expect(parsePublicKey('nsec1whatever')).toMatchObject({ reason: expect.stringContaining('secret key') })
})
