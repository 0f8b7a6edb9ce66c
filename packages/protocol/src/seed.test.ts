import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { expect, test } from 'vitest'
import { createSeeds, isFixedBy, momentOf, nextMoment, seedBefore, seedChainLength } from './seed.ts'

const secret = new Uint8Array(32).fill(7)
const app = 'ab'.repeat(32)
const seeds = createSeeds(secret, app)

test('every seed fixes those of later epochs and none of earlier ones is missing', () => {
  for (const epoch of [1, 2, 255, 256, 257, seedChainLength - 1])
    expect(seedBefore(seeds(epoch))).toBe(seeds(epoch - 1))
  const said = (epoch: number) => ({ epoch, seed: seeds(epoch) })
  expect(isFixedBy(said(300), said(12))).toBe(true)
  expect(isFixedBy({ epoch: 300, seed: seeds(301) }, said(12))).toBe(false)
  expect(isFixedBy(said(seedChainLength), said(seedChainLength - 1))).toBeUndefined()
})

test('seeds are an attester’s and an app’s own, and come again after a loss of memory', () => {
  expect(createSeeds(secret, app)(9)).toBe(seeds(9))
  expect(createSeeds(secret, 'cd'.repeat(32))(9)).not.toBe(seeds(9))
  expect(createSeeds(new Uint8Array(32).fill(8), app)(9)).not.toBe(seeds(9))
})

test('a slot has one moment, as docs/protocol.md computes it', () => {
  const seed = bytesToHex(sha256(new Uint8Array()))
  const bytes = [...hexToBytes(seed), ...[0, 0, 0, 0, 0, 0, 0, 3], ...[0, 0, 0, 0, 0, 0, 0, 1]]
  const digest = bytesToHex(sha256(Uint8Array.from(bytes)))
  const fraction = Number.parseInt(digest.slice(0, 12), 16) / 2 ** 48
  expect(momentOf(seed, 3, 1, 600_000)).toBe(600_000 + Math.floor(fraction * 600_000))
})

test('moments follow one another, one in each slot', () => {
  let now = 1_000_000
  const moments = Array.from({ length: 50 }, () => (now = nextMoment(seeds(4), 1, now, 1_000)))
  expect(moments.slice(1).map((at) => Math.floor(at / 1_000))).toEqual(
    moments.slice(1).map((_, at) => Math.floor(moments[0]! / 1_000) + at + 1),
  )
})
