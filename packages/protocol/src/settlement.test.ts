import { readFileSync } from 'node:fs'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { Cl, signStructuredData } from '@stacks/transactions'
import { describe, expect, it } from 'vitest'
import { buffer } from './clarity.ts'
import { type CommitmentMessage, commitmentHash } from './commitment.ts'
import { inputsHash, type SettlementMessage, settlementHash } from './settlement.ts'
import { recoverKey, signHash } from './sip018.ts'

const vectors = JSON.parse(readFileSync(new URL('../vectors/signatures.json', import.meta.url), 'utf8'))
const settlements = vectors.settlements.map((v: { message: { allocated: string } }) => ({
  ...v,
  message: { ...v.message, allocated: BigInt(v.message.allocated) },
})) as { chainId: number; message: SettlementMessage; hash: string; signatures: string[] }[]

describe('structured hashes', () => {
  it('agree with the vectors', () => {
    for (const v of vectors.commitments as { chainId: number; message: CommitmentMessage; hash: string }[]) {
      expect(bytesToHex(commitmentHash(v.message, v.chainId))).toBe(v.hash)
    }
    for (const v of settlements) expect(bytesToHex(settlementHash(v.message, v.chainId))).toBe(v.hash)
    expect(inputsHash(vectors.inputs)).toBe(vectors.inputs.hash)
  })

  it('stand for every member of the inputs, in whatever order their lists are', () => {
    const { inputs } = vectors
    const hash = inputsHash({
      ...inputs,
      commitments: inputs.commitments.toReversed(),
      former: inputs.former.toReversed(),
    })
    expect(hash).toBe(inputs.hash)
    const [first, ...rest] = inputs.former
    for (const former of [
      rest,
      [{ ...first, epoch: 7 }, ...rest],
      [{ ...first, root: '00'.repeat(32) }, ...rest],
    ])
      expect(inputsHash({ ...inputs, former })).not.toBe(inputs.hash)
  })

  it('agree with what a wallet signs for the same tuple', () => {
    const { message, chainId, hash } = settlements[0]!
    const key = vectors.keys.find((k: { parity: number }) => k.parity === 2)
    const signature = signStructuredData({
      domain: Cl.tuple({
        name: Cl.stringAscii('understudy'),
        version: Cl.stringAscii('1'),
        'chain-id': Cl.uint(chainId),
      }),
      message: Cl.tuple({
        topic: Cl.stringAscii('settlement'),
        pool: Cl.principal(message.pool),
        app: buffer(message.app),
        epoch: Cl.uint(message.epoch),
        round: Cl.uint(message.round),
        inputs: buffer(message.inputs),
        root: buffer(message.root),
        allocated: Cl.uint(message.allocated),
        count: Cl.uint(message.count),
      }),
      privateKey: key.secret,
    })
    expect(recoverKey(hexToBytes(hash), signature)).toBe(key.even)
  })

  it('recover the even-Y key of every signer, whatever the parity of its secret', () => {
    expect(new Set(vectors.keys.map((k: { parity: number }) => k.parity))).toEqual(new Set([2, 3]))
    for (const v of settlements) {
      v.signatures.forEach((signature, i) => {
        expect(recoverKey(hexToBytes(v.hash), signature)).toBe(vectors.keys[i].even)
        expect(signHash(hexToBytes(v.hash), hexToBytes(vectors.keys[i].secret))).toBe(signature)
      })
    }
  })

  it('change with every field of the message and with the chain', () => {
    const { message, chainId } = settlements[0]!
    const base = bytesToHex(settlementHash(message, chainId))
    const other = '11'.repeat(32)
    const changed: Partial<SettlementMessage>[] = [
      { pool: `${message.pool}x` },
      { app: other },
      { epoch: message.epoch + 1 },
      { round: message.round + 1 },
      { inputs: other },
      { root: other },
      { allocated: message.allocated + 1n },
      { count: message.count + 1 },
    ]
    for (const change of changed)
      expect(bytesToHex(settlementHash({ ...message, ...change }, chainId))).not.toBe(base)
    expect(bytesToHex(settlementHash(message, chainId + 1))).not.toBe(base)
  })

  it('recover nothing from garbage', () => {
    expect(recoverKey(hexToBytes('00'.repeat(32)), 'zz')).toBeUndefined()
    expect(recoverKey(hexToBytes('11'.repeat(32)), 'ff'.repeat(65))).toBeUndefined()
  })
})
