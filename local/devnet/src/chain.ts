import { createHash } from 'node:crypto'
import {
  type ClarityAbi,
  type ClarityValue,
  noneCV,
  responseErrorCV,
  responseOkCV,
  trueCV,
  validateContractCall,
} from '@stacks/transactions'
import { ACCOUNTS, MINER } from './accounts.ts'
import type { Entry, Journal } from './journal.ts'
import { createLedger, type Ledger } from './ledger.ts'
import { createMempool, minable } from './mempool.ts'
import { assetsSent, isSupported, postConditionsHold } from './post-conditions.ts'
import { type Rejection, rejection } from './rejection.ts'
import type { Execution, Heights, Operation, Simnet, SimnetEvent } from './simnet.ts'
import { decodeAccepted, decodeTransaction, type Transaction } from './transaction.ts'

/** A Stacks block. Its tenure is the burn block that it names; it holds one transaction, or none. */
export interface Block extends Heights {
  readonly hash: string
  readonly parentHash: string
  readonly burnHash: string
  readonly txids: readonly string[]
}

export interface Outcome {
  readonly status: 'success' | 'abort_by_response' | 'abort_by_post_condition'
  readonly block: Block
  readonly result: ClarityValue
  readonly events: readonly SimnetEvent[]
  /** Why a call or a deployment failed to run, in simnet's words. */
  readonly vmError?: string
}

export interface TransactionRecord {
  readonly transaction: Transaction
  /** Clarity's clock (s) when it entered the mempool. */
  readonly receivedAt: number
  readonly outcome?: Outcome
  /** The transaction with the same nonce and a higher fee. */
  readonly replacedBy?: string
}

/** A `print` of a contract. */
export interface ContractEvent {
  readonly contractId: string
  readonly txid: string
  readonly index: number
  readonly blockHeight: number
  readonly event: SimnetEvent
}

export type Accepted =
  | { readonly ok: true; readonly txid: string }
  | { readonly ok: false; readonly rejection: Rejection; readonly txid: string }

export interface Chain {
  readonly simnet: Simnet
  readonly ledger: Ledger
  readonly blocks: readonly Block[]
  /** Checks a transaction, and answers when it is in the mempool and on disk. */
  accept(raw: Uint8Array): Promise<Accepted>
  /** Mines burn blocks (0: Stacks blocks only); the first one's tenure carries what the mempool holds. */
  mine(burnBlocks: number): Promise<Block>
  tip(): Block
  blockAt(height: number): Block | undefined
  blockByHash(hash: string): Block | undefined
  blocksOfBurnBlock(burnHeight: number): readonly Block[]
  /** The Stacks height at which a contract was deployed: the first for boot contracts. */
  publishHeight(contractId: string): number
  transaction(txid: string): TransactionRecord | undefined
  /** Newest first. */
  transactionsOf(principal: string): readonly string[]
  /** Oldest first. */
  eventsOf(contractId: string): readonly ContractEvent[]
  nextNonce(address: string): bigint
  pendingOf(address: string): readonly Transaction[]
  readonly pending: number
}

/** A node queues no more than this many transactions of one sender. */
const MAX_CHAINING = 25n

/** While a long block is mined, requests are served at least this often (ms). */
const SLICE = 25

/**
 * The state machine: transactions in, blocks out. All of its state is a function of the journal's entries.
 *
 * @param entries what the journal holds; replayed before this resolves
 */
export async function openChain(
  simnet: Simnet,
  journal: Journal,
  entries: readonly Entry[] = [],
): Promise<Chain> {
  const ledger = createLedger()
  const mempool = createMempool()
  const records = new Map<string, TransactionRecord>()
  const nonces = new Map<string, bigint>()
  const blocks: Block[] = []
  const heightOfHash = new Map<string, number>()
  const firstOfBurn = new Map<number, number>()
  const byPrincipal = new Map<string, string[]>()
  const byContract = new Map<string, ContractEvent[]>()
  const published = new Map<string, number>()
  /** What the block under way carries cannot be replaced any more. */
  let underWay = new Set<string>()
  let mining: Promise<unknown> = Promise.resolve()
  let written: Promise<void> = Promise.resolve()

  const nextNonce = (address: string) => nonces.get(address) ?? 0n
  const tip = () => blocks.at(-1)!
  const blockAt = (height: number) => blocks[height - blocks[0]!.stacks]

  function recordBlock(txids: readonly string[]): Block {
    const heights = simnet.heights()
    const parent = blocks.at(-1)
    if (parent !== undefined && heights.stacks !== parent.stacks + 1) {
      throw new Error(`block ${heights.stacks} follows block ${parent.stacks}`)
    }
    const block: Block = {
      ...heights,
      parentHash: parent?.hash ?? digest('genesis'),
      hash: digest('block', parent?.hash ?? '', String(heights.stacks), String(heights.burn), ...txids),
      burnHash: digest('burn', String(heights.burn)),
      txids,
    }
    blocks.push(block)
    heightOfHash.set(block.hash, block.stacks)
    if (!firstOfBurn.has(block.burn)) firstOfBurn.set(block.burn, blocks.length - 1)
    return block
  }

  function insert(transaction: Transaction) {
    const { sender, nonce, txid } = transaction
    const replaced = mempool.at(sender, nonce)
    if (replaced !== undefined) {
      records.set(replaced.txid, { ...records.get(replaced.txid)!, replacedBy: txid })
    }
    mempool.add(transaction)
    records.set(txid, { transaction, receivedAt: tip().time })
  }

  /** A node cannot mine a transfer that its sender cannot pay: it waits. */
  function isPayable({ sender, fee, payload }: Transaction): boolean {
    return simnet.balance(sender) >= fee + (payload.type === 'transfer' ? payload.amount : 0n)
  }

  function mineTransaction(transaction: Transaction) {
    const { sender, nonce, fee, payload, txid } = transaction
    if (nonce !== nextNonce(sender) || !isPayable(transaction)) return
    const operation: Operation = { sender, fee, miner: MINER.address, payload }
    const judged = judge(transaction, simnet.execute(operation))
    if (judged.status === 'abort_by_post_condition') {
      simnet.replaceLast({ ...operation, payload: { type: 'nothing' } })
    }
    const outcome: Outcome = { ...judged, block: recordBlock([txid]) }
    mempool.remove(transaction)
    nonces.set(sender, nonce + 1n)
    records.set(txid, { ...records.get(txid)!, outcome })
    ledger.record({ event: 'stx_transfer_event', data: { sender, recipient: MINER.address, amount: fee } })
    index(transaction, outcome)
  }

  function index({ txid, sender, payload }: Transaction, { events, block, status }: Outcome) {
    const principals = new Set([sender])
    if (payload.type === 'call') principals.add(payload.contractId)
    if (payload.type === 'transfer') principals.add(payload.recipient)
    if (payload.type === 'deploy' && status === 'success') {
      published.set(`${sender}.${payload.name}`, block.stacks)
    }
    events.forEach((event, position) => {
      ledger.record(event)
      const { sender: from, recipient, contract_identifier: contractId } = event.data
      for (const principal of [from, recipient]) if (typeof principal === 'string') principals.add(principal)
      if (event.event !== 'print_event') return
      const row = { contractId: String(contractId), txid, index: position, blockHeight: block.stacks, event }
      append(byContract, row.contractId, row)
    })
    for (const principal of principals) append(byPrincipal, principal, txid)
  }

  async function apply(entry: Entry, breathe: () => Promise<void>) {
    switch (entry.type) {
      case 'genesis':
        return
      case 'transaction':
        return insert(decodeAccepted(Buffer.from(entry.raw, 'hex')))
      case 'mine': {
        const mineBurnBlock = () => {
          simnet.mineBurnBlock()
          recordBlock([])
        }
        if (entry.burnBlocks > 0) mineBurnBlock()
        for (const txid of entry.txids) {
          mineTransaction(records.get(txid)!.transaction)
          await breathe()
        }
        for (let i = 1; i < entry.burnBlocks; i++) mineBurnBlock()
      }
    }
  }

  function refusal(transaction: Transaction): Rejection | undefined {
    const { sender, nonce, fee, payload, raw } = transaction
    if (fee < BigInt(raw.length)) {
      return rejection('FeeTooLow', { expected: raw.length, actual: Number(fee) })
    }
    const next = nextNonce(sender)
    const nonceData = { expected: Number(next), actual: Number(nonce), is_origin: true, principal: sender }
    if (nonce < next) return rejection('BadNonce', nonceData)
    if (nonce >= next + MAX_CHAINING) return rejection('TooMuchChaining', nonceData)
    if (!transaction.postConditions.every(isSupported)) {
      return rejection('ServerFailureOther', { message: 'this devnet cannot judge conditions on staking' })
    }
    const refused = payload.type === 'transfer' ? refusedTransfer(transaction) : refusedContract(transaction)
    if (refused !== undefined) return refused
    const needed = fee + (payload.type === 'transfer' ? payload.amount : 0n)
    const balance = simnet.balance(sender)
    if (balance < needed) {
      return rejection('NotEnoughFunds', { expected: hex128(needed), actual: hex128(balance) })
    }
    const rival = mempool.at(sender, nonce)
    if (rival !== undefined && (fee <= rival.fee || underWay.has(rival.txid))) {
      return rejection('ConflictingNonceInMempool')
    }
    return undefined
  }

  function refusedTransfer({ sender, payload, postConditions }: Transaction): Rejection | undefined {
    if (payload.type !== 'transfer') return undefined
    if (payload.recipient === sender) {
      return rejection('TransferRecipientCannotEqualSender', { recipient: payload.recipient })
    }
    if (payload.amount === 0n) return rejection('TransferAmountMustBePositive')
    if (!payload.recipient.startsWith('ST') && !payload.recipient.startsWith('SN')) {
      return rejection('BadAddressVersionByte')
    }
    if (postConditions.length > 0) {
      return rejection('ServerFailureOther', { message: 'a transfer carries no post-conditions' })
    }
    return undefined
  }

  function refusedContract({ sender, payload, call }: Transaction): Rejection | undefined {
    if (payload.type === 'deploy') {
      const contractId = `${sender}.${payload.name}`
      if (simnet.source(contractId) === undefined) return undefined
      return rejection('ContractAlreadyExists', { contract_identifier: contractId })
    }
    if (payload.type !== 'call' || call === undefined) return undefined
    const abi = simnet.abi(payload.contractId)
    if (abi === undefined) return rejection('NoSuchContract')
    const target = abi.functions.find(({ name }) => name === payload.functionName)
    if (target?.access !== 'public') return rejection('NoSuchPublicFunction')
    try {
      validateContractCall(call, abi as unknown as ClarityAbi)
      return undefined
    } catch (error) {
      return rejection('BadFunctionArgument', { message: (error as Error).message })
    }
  }

  recordBlock([])
  for (const { address: recipient, balance: amount } of ACCOUNTS) {
    ledger.record({ event: 'stx_mint_event', data: { recipient, amount } })
  }
  for (const entry of entries) await apply(entry, async () => {})

  return {
    simnet,
    ledger,
    blocks,
    async accept(raw) {
      const decoded = decodeTransaction(raw)
      if (!decoded.ok) return decoded
      const { transaction } = decoded
      const { txid, sender, nonce } = transaction
      if (mempool.at(sender, nonce)?.txid !== txid) {
        const refused = refusal(transaction)
        if (refused !== undefined) return { ok: false, rejection: refused, txid }
        insert(transaction)
        written = journal.append({ type: 'transaction', raw: Buffer.from(raw).toString('hex') })
      }
      await written
      return { ok: true, txid }
    },
    mine(burnBlocks) {
      const block = mining.then(async () => {
        const txids = minable(mempool, nextNonce).map(({ txid }) => txid)
        if (burnBlocks === 0 && txids.length === 0) return tip()
        underWay = new Set(txids)
        const entry: Entry = { type: 'mine', burnBlocks, txids }
        await journal.append(entry)
        await apply(entry, pacer())
        underWay = new Set()
        return tip()
      })
      mining = block
      return block
    },
    tip,
    blockAt,
    blockByHash: (hash) => blockAt(heightOfHash.get(hash) ?? -1),
    publishHeight: (contractId) => published.get(contractId) ?? blocks[0]!.stacks,
    blocksOfBurnBlock(burnHeight) {
      const first = firstOfBurn.get(burnHeight)
      if (first === undefined) return []
      return blocks.slice(first, firstOfBurn.get(burnHeight + 1) ?? blocks.length)
    },
    transaction: (txid) => records.get(txid),
    transactionsOf: (principal) => (byPrincipal.get(principal) ?? []).toReversed(),
    eventsOf: (contractId) => byContract.get(contractId) ?? [],
    nextNonce,
    pendingOf: (address) => mempool.ofSender(address),
    get pending() {
      return mempool.size
    },
  }
}

/** A node judges post-conditions whatever the call returned; an error in running it undoes everything anyway. */
function judge(transaction: Transaction, execution: Execution): Omit<Outcome, 'block'> {
  const { payload, postConditionMode, postConditions, sender } = transaction
  if (!execution.ok) {
    return {
      status: 'abort_by_response',
      result: responseErrorCV(noneCV()),
      events: [],
      vmError: execution.failed,
    }
  }
  const { events } = execution
  const result = payload.type === 'deploy' ? responseOkCV(trueCV()) : execution.result
  const held =
    payload.type === 'transfer' ||
    postConditionsHold(postConditionMode, postConditions, sender, assetsSent(events))
  if (!held) return { status: 'abort_by_post_condition', result, events: [] }
  if (result.type === 'err') return { status: 'abort_by_response', result, events: [] }
  return { status: 'success', result, events }
}

function pacer(): () => Promise<void> {
  let last = performance.now()
  return async () => {
    if (performance.now() - last < SLICE) return
    await new Promise((resolve) => setImmediate(resolve))
    last = performance.now()
  }
}

function append<K, V>(lists: Map<K, V[]>, key: K, value: V) {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}

function digest(...parts: readonly string[]): string {
  return `0x${createHash('sha256').update(parts.join('\n')).digest('hex')}`
}

function hex128(amount: bigint): string {
  return `0x${amount.toString(16).padStart(32, '0')}`
}
