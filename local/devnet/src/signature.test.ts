import {
  AddressHashMode,
  createStacksPublicKey,
  deserializeTransaction,
  getAddressFromPrivateKey,
  makeRandomPrivKey,
  makeSTXTokenTransfer,
  privateKeyToPublic,
} from '@stacks/transactions'
import { describe, expect, test } from 'vitest'
import { hasValidSignature } from './signature.ts'
import { decodeTransaction } from './transaction.ts'

const recipient = 'ST000000000000000000002AMW42H'
const options = { recipient, amount: 7n, fee: 1_000n, nonce: 3n, network: 'testnet' } as const

describe('a signature', () => {
  test('of one key is found valid, and the sender is its address', async () => {
    for (const senderKey of [makeRandomPrivKey(), makeRandomPrivKey().slice(0, 64)]) {
      const transaction = await makeSTXTokenTransfer({ ...options, senderKey })
      const decoded = decodeTransaction(transaction.serializeBytes())
      expect(decoded).toMatchObject({
        ok: true,
        transaction: { sender: getAddressFromPrivateKey(senderKey, 'testnet'), nonce: 3n, fee: 1_000n },
      })
    }
  })

  test('of two keys out of three is found valid, of one it is not', async () => {
    const keys = [makeRandomPrivKey(), makeRandomPrivKey(), makeRandomPrivKey()]
    const publicKeys = keys.map((key) => privateKeyToPublic(key) as string)
    expect(createStacksPublicKey(publicKeys[0]!).data).toHaveLength(33)
    const multisig = (signerKeys: string[]) =>
      makeSTXTokenTransfer({ ...options, publicKeys, numSignatures: 2, signerKeys })
    const signed = (await multisig(keys.slice(0, 2))).serializeBytes()
    expect(decodeTransaction(signed)).toMatchObject({ ok: true })
    const half = (await multisig(keys.slice(0, 1))).serializeBytes()
    expect(decodeTransaction(half)).toMatchObject({ ok: false, rejection: { reason: 'SignatureValidation' } })
  })

  test('is bound to every byte of the transaction', async () => {
    const signed = (
      await makeSTXTokenTransfer({ ...options, senderKey: makeRandomPrivKey() })
    ).serializeBytes()
    for (let at = 0; at < signed.length; at++) {
      const changed = Uint8Array.from(signed)
      changed[at]! ^= 1
      expect(decodeTransaction(changed), `byte ${at}`).toMatchObject({ ok: false })
    }
  })

  test('agrees with what stacks.js finds', async () => {
    const transaction = await makeSTXTokenTransfer({ ...options, senderKey: makeRandomPrivKey() })
    const raw = transaction.serializeBytes()
    const wire = deserializeTransaction(raw)
    expect(wire.auth.spendingCondition.hashMode).toBe(AddressHashMode.P2PKH)
    expect(wire.verifyOrigin()).toHaveLength(64)
    expect(hasValidSignature(raw, wire)).toBe(true)
  })
})
