import { STACKS_MAINNET, STACKS_TESTNET, type StacksNetwork } from '@stacks/network'
import {
  makeContractCall,
  makeContractDeploy,
  makeSTXTokenTransfer,
  makeUnsignedContractDeploy,
  PostConditionMode,
  privateKeyToAddress,
  type StacksTransactionWire,
  serializePayload,
} from '@stacks/transactions'
import type { ContractCall } from './calls.ts'
import { ChainError, type StacksClient, type Transaction } from './client.ts'
import { deployedSource, splitContract } from './contracts.ts'

/** What a signature needs beside the transaction itself. */
export interface Signing {
  /** Hex; 32 bytes, or 33 with the trailing 01 of a compressed key. */
  readonly privateKey: string
  readonly nonce: bigint
  /** µSTX. */
  readonly fee: bigint
  readonly chainId: number
}

export interface SignedTransaction {
  /** With 0x. */
  readonly txid: string
  readonly hex: string
}

/** The generator of secp256k1. */
const anyPublicKey = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798'

/** Mainnet has chain id 1; every other chain uses testnet's addresses and version. */
function networkOf(chainId: number): StacksNetwork {
  return { ...(chainId === STACKS_MAINNET.chainId ? STACKS_MAINNET : STACKS_TESTNET), chainId }
}

/** The address that this key spends from on this chain. */
export function addressOf(privateKey: string, chainId: number): string {
  return privateKeyToAddress(compressed(privateKey), networkOf(chainId))
}

/** Stacks addresses belong to compressed keys, which a trailing 01 asks for. */
function compressed(privateKey: string): string {
  return privateKey.length === 64 ? `${privateKey}01` : privateKey
}

function spending({ privateKey, nonce, fee, chainId }: Signing) {
  return { senderKey: compressed(privateKey), nonce, fee, network: networkOf(chainId) }
}

function signed(transaction: StacksTransactionWire): SignedTransaction {
  return { txid: `0x${transaction.txid()}`, hex: transaction.serialize() }
}

export async function signCall(call: ContractCall, signing: Signing): Promise<SignedTransaction> {
  const [contractAddress, contractName] = splitContract(call.contract)
  const { functionName, functionArgs, postConditions, postConditionMode } = call
  return signed(
    await makeContractCall({
      contractAddress,
      contractName,
      functionName,
      functionArgs,
      postConditions,
      postConditionMode,
      ...spending(signing),
    }),
  )
}

/** Deploys `deployedSource` of Clarity source under the chain's newest Clarity version: the payload names none. */
export async function deployContract(
  name: string,
  source: string,
  signing: Signing,
): Promise<SignedTransaction> {
  return signed(
    await makeContractDeploy({
      contractName: name,
      codeBody: deployedSource(source, signing.chainId),
      // stacks.js fills in a version unless it is given as undefined, and epoch 4.1 refuses versioned deploys.
      clarityVersion: undefined,
      postConditionMode: PostConditionMode.Deny,
      ...spending(signing),
    }),
  )
}

/** The payload of such a deployment, hex: what a node estimates a fee by. */
export async function deploymentPayload(name: string, source: string, chainId: number): Promise<string> {
  const transaction = await makeUnsignedContractDeploy({
    contractName: name,
    codeBody: source,
    clarityVersion: undefined,
    // Nothing of it is in the payload; a transaction must have them.
    ...{ publicKey: anyPublicKey, nonce: 0, fee: 0, network: networkOf(chainId) },
  })
  return serializePayload(transaction.payload)
}

/** Sends `amount` µSTX. `memo`: up to 34 bytes. */
export async function transfer(
  recipient: string,
  amount: bigint,
  signing: Signing,
  memo?: string,
): Promise<SignedTransaction> {
  return signed(await makeSTXTokenTransfer({ recipient, amount, memo, ...spending(signing) }))
}

export type Submission =
  | { readonly ok: true; readonly txid: string }
  | { readonly ok: false; readonly reason: string; readonly message: string }

export interface SubmitOptions {
  /** Times that the same bytes are sent when no answer comes. Default 4. */
  readonly attempts?: number
  /** Before the second attempt; doubles with every further one, and is jittered, ms. Default 250. */
  readonly backoffMs?: number
  /** In [0, 1). */
  readonly random?: () => number
  readonly wait?: (ms: number) => Promise<void>
}

/**
 * Broadcasts a signed transaction; sending the same one again is the same submission, so it is sent again when no answer comes. A refusal of
 * a transaction that the chain already has, in the mempool or in a block, counts as accepted. Throws `ChainError` when nothing can be
 * known after the last attempt: submit the same bytes later.
 */
export async function submit(
  client: StacksClient,
  transaction: SignedTransaction,
  options: SubmitOptions = {},
): Promise<Submission> {
  const { txid, hex } = transaction
  const { attempts = 4, backoffMs = 250, random = Math.random } = options
  const wait = options.wait ?? ((ms: number) => new Promise<void>((done) => setTimeout(done, ms)))
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await client.broadcast(hex)
      if (answer.ok && answer.txid !== txid)
        throw new ChainError('malformed', `broadcast answered ${answer.txid} for ${txid}`)
      if (answer.ok) return answer
      return (await isKnown(client, txid)) ? { ok: true, txid } : answer
    } catch (error) {
      // The answer was lost, the transaction perhaps not.
      if (await isKnown(client, txid).catch(() => false)) return { ok: true, txid }
      const lost =
        error instanceof ChainError && (error.reason === 'unreachable' || error.reason === 'timeout')
      if (!lost || attempt >= attempts) throw error
      await wait(backoffMs * 2 ** (attempt - 1) * (0.5 + random()))
    }
  }
}

async function isKnown(client: StacksClient, txid: string): Promise<boolean> {
  const known = await client.transaction(txid)
  return known !== undefined && !known.status.startsWith('dropped')
}

export interface ConfirmationOptions {
  /** Default 60,000 ms. */
  readonly timeoutMs?: number
  /** Stacks blocks, the transaction's own included. Default 1. */
  readonly depth?: number
  /** Between two looks. Default 500 ms. */
  readonly intervalMs?: number
  readonly now?: () => number
  readonly wait?: (ms: number) => Promise<void>
}

export type Confirmation =
  | { readonly ok: true; readonly transaction: Transaction }
  | {
      readonly ok: false
      readonly reason: 'aborted' | 'dropped' | 'timeout'
      readonly transaction: Transaction | undefined
    }

/** Waits until a transaction succeeded `depth` blocks deep, failed, or the time is up. */
export async function confirmed(
  client: Pick<StacksClient, 'transaction' | 'info'>,
  txid: string,
  options: ConfirmationOptions = {},
): Promise<Confirmation> {
  const { timeoutMs = 60_000, depth = 1, intervalMs = 500, now = Date.now } = options
  const wait = options.wait ?? ((ms: number) => new Promise<void>((done) => setTimeout(done, ms)))
  const deadline = now() + timeoutMs
  for (;;) {
    const transaction = await client.transaction(txid)
    const status = transaction?.status ?? 'unknown'
    if (status.startsWith('abort')) return { ok: false, reason: 'aborted', transaction }
    if (status.startsWith('dropped')) return { ok: false, reason: 'dropped', transaction }
    if (transaction && status === 'success' && transaction.height !== null) {
      if (depth <= 1 || (await client.info()).height - transaction.height + 1 >= depth)
        return { ok: true, transaction }
    }
    if (now() >= deadline) return { ok: false, reason: 'timeout', transaction }
    await wait(intervalMs)
  }
}
