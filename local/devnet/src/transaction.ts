import {
  AuthType,
  addressFromVersionHash,
  addressHashModeToVersion,
  addressToString,
  type ContractCallPayload,
  cvToString,
  deserializeTransaction,
  PayloadType,
  type PostConditionMode,
  type PostConditionWire,
  type StacksTransactionWire,
} from '@stacks/transactions'
import { type Rejection, rejection } from './rejection.ts'
import { hasValidSignature, sha512Half } from './signature.ts'
import type { Payload } from './simnet.ts'

/** A decoded transaction: its envelope, and what it does. */
export interface Transaction {
  /** 0x-prefixed */
  readonly txid: string
  readonly raw: Uint8Array
  readonly sender: string
  readonly nonce: bigint
  /** µSTX */
  readonly fee: bigint
  readonly payload: Exclude<Payload, { readonly type: 'nothing' }>
  /** As stacks.js checks a call against an interface. */
  readonly call?: ContractCallPayload
  readonly memo: string
  readonly postConditionMode: PostConditionMode
  readonly postConditions: readonly PostConditionWire[]
}

export type Decoded =
  | { readonly ok: true; readonly transaction: Transaction }
  | { readonly ok: false; readonly rejection: Rejection; readonly txid: string }

/** Version byte and chain id of a testnet transaction (SIP-005). */
const TESTNET_VERSION = 0x80
export const TESTNET_CHAIN_ID = 0x80000000

/** SIP-005 allows no transaction above the size of a block. */
export const MAX_TRANSACTION_BYTES = 2 * 1024 * 1024

export const CONTRACT_NAME = /^[a-zA-Z][a-zA-Z0-9_-]{0,39}$/
export const CLARITY_NAME = /^[a-zA-Z][a-zA-Z0-9\-_!?+<>=/*]{0,127}$/

/** A transfer ends with its memo. */
const MEMO_BYTES = 34

export function txidOf(raw: Uint8Array): string {
  return `0x${Buffer.from(sha512Half(raw)).toString('hex')}`
}

/** Decodes a transaction and checks all that needs no state: encoding, network, kind, signature. */
export function decodeTransaction(raw: Uint8Array): Decoded {
  const txid = txidOf(raw)
  const refuse = (reason: string, message: string): Decoded => ({
    ok: false,
    txid,
    rejection: rejection(reason, { message }),
  })
  const wire = parse(raw)
  if (wire === undefined) return refuse('Deserialization', 'not a canonical encoding of a transaction')
  if (wire.transactionVersion !== TESTNET_VERSION) {
    return { ok: false, txid, rejection: rejection('BadTransactionVersion') }
  }
  if (wire.chainId !== TESTNET_CHAIN_ID)
    return refuse('SignatureValidation', 'not the chain id of this chain')
  if (wire.auth.authType !== AuthType.Standard) {
    return refuse('ServerFailureOther', 'sponsored transactions are not supported by this devnet')
  }
  if (!hasValidSignature(raw, wire)) {
    return refuse('SignatureValidation', 'the signature is not by the key of the origin')
  }
  const transaction = describe(raw, wire)
  if (transaction === undefined) return refuse('NoCoinbaseViaMempool', 'only miners send this kind')
  if (!namesAreValid(transaction.payload))
    return refuse('Deserialization', 'a name that Clarity does not allow')
  return { ok: true, transaction }
}

/** Decodes what was accepted before: a journalled transaction is not verified again. */
export function decodeAccepted(raw: Uint8Array): Transaction {
  const transaction = describe(raw, deserializeTransaction(raw))
  if (transaction === undefined) throw new Error('the journal holds what is no transaction')
  return transaction
}

function namesAreValid(payload: Transaction['payload']): boolean {
  if (payload.type === 'transfer') return true
  if (payload.type === 'deploy') return CONTRACT_NAME.test(payload.name)
  const [, contractName = ''] = payload.contractId.split('.')
  return CONTRACT_NAME.test(contractName) && CLARITY_NAME.test(payload.functionName)
}

function parse(raw: Uint8Array): StacksTransactionWire | undefined {
  try {
    const wire = deserializeTransaction(raw)
    return Buffer.compare(wire.serializeBytes(), raw) === 0 ? wire : undefined
  } catch {
    return undefined
  }
}

function describe(raw: Uint8Array, wire: StacksTransactionWire): Transaction | undefined {
  const { hashMode, signer, nonce, fee } = wire.auth.spendingCondition
  const envelope = {
    txid: txidOf(raw),
    raw,
    sender: addressToString(addressFromVersionHash(addressHashModeToVersion(hashMode, 'testnet'), signer)),
    nonce: BigInt(nonce),
    fee: BigInt(fee),
    memo: '',
    postConditionMode: wire.postConditionMode,
    postConditions: wire.postConditions.values as PostConditionWire[],
  }
  const { payload } = wire
  switch (payload.payloadType) {
    case PayloadType.TokenTransfer: {
      const { recipient, amount } = payload
      return {
        ...envelope,
        memo: `0x${Buffer.from(raw.subarray(-MEMO_BYTES)).toString('hex')}`,
        payload: { type: 'transfer', recipient: cvToString(recipient), amount: BigInt(amount) },
      }
    }
    case PayloadType.ContractCall: {
      const { contractAddress, contractName, functionName, functionArgs: args } = payload
      const contractId = `${addressToString(contractAddress)}.${contractName.content}`
      return {
        ...envelope,
        call: payload,
        payload: { type: 'call', contractId, functionName: functionName.content, args },
      }
    }
    case PayloadType.SmartContract:
    case PayloadType.VersionedSmartContract: {
      const { contractName, codeBody } = payload
      const version = 'clarityVersion' in payload ? { clarityVersion: payload.clarityVersion } : {}
      return {
        ...envelope,
        payload: { type: 'deploy', name: contractName.content, source: codeBody.content, ...version },
      }
    }
    default:
      return undefined
  }
}
