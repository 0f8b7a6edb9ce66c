import { type ClarityValue, cvToHex, deserializeCV, PostConditionMode } from '@stacks/transactions'
import type { Block, Chain, ContractEvent, TransactionRecord } from './chain.ts'
import { repr } from './repr.ts'
import type { SimnetEvent } from './simnet.ts'
import { TESTNET_CHAIN_ID } from './transaction.ts'

// The JSON of the node's RPC (`/v2`) and of the Stacks Blockchain API (`/extended`), as far as this chain has it.

export const SERVER_VERSION = 'understudy-devnet 0.1.0 (simnet-backed, not consensus-equivalent)'

export function infoAnswer(chain: Chain) {
  const tip = chain.tip()
  return {
    peer_version: 402653189,
    server_version: SERVER_VERSION,
    network_id: TESTNET_CHAIN_ID,
    parent_network_id: 3669344250,
    burn_block_height: tip.burn,
    stable_burn_block_height: tip.burn,
    pox_consensus: tip.burnHash.slice(2, 42),
    stable_pox_consensus: tip.burnHash.slice(2, 42),
    stacks_tip_height: tip.stacks,
    stacks_tip: tip.hash.slice(2),
    stacks_tip_consensus_hash: tip.burnHash.slice(2, 42),
    tenure_height: tip.burn,
    genesis_chainstate_hash: chain.blocks[0]!.hash.slice(2),
    exit_at_block_height: null,
    is_fully_synced: true,
  }
}

export function statusAnswer(chain: Chain) {
  const tip = chain.tip()
  return {
    server_version: SERVER_VERSION,
    status: 'ready',
    chain_tip: {
      block_height: tip.stacks,
      block_hash: tip.hash,
      index_block_hash: tip.hash,
      burn_block_height: tip.burn,
      tx_count: chain.blocks.reduce((sum, { txids }) => sum + txids.length, 0),
      tx_count_unanchored: 0,
    },
  }
}

export function blockAnswer(block: Block) {
  return {
    canonical: true,
    height: block.stacks,
    hash: block.hash,
    index_block_hash: block.hash,
    parent_block_hash: block.parentHash,
    parent_index_block_hash: block.parentHash,
    block_time: block.time,
    block_time_iso: iso(block.time),
    tenure_height: block.burn,
    burn_block_height: block.burn,
    burn_block_hash: block.burnHash,
    burn_block_time: block.time,
    burn_block_time_iso: iso(block.time),
    tx_count: block.txids.length,
  }
}

export function burnBlockAnswer(blocks: readonly Block[]) {
  const first = blocks[0]!
  return {
    burn_block_height: first.burn,
    burn_block_hash: first.burnHash,
    burn_block_time: first.time,
    burn_block_time_iso: iso(first.time),
    stacks_blocks: blocks.map(({ hash }) => hash).toReversed(),
    total_tx_count: blocks.reduce((sum, { txids }) => sum + txids.length, 0),
  }
}

const MODES = {
  [PostConditionMode.Allow]: 'allow',
  [PostConditionMode.Deny]: 'deny',
  [PostConditionMode.Originator]: 'originator',
}

export function transactionAnswer({ transaction, receivedAt, outcome, replacedBy }: TransactionRecord) {
  const { txid, sender, nonce, fee, postConditionMode } = transaction
  const common = {
    tx_id: txid,
    nonce: Number(nonce),
    fee_rate: String(fee),
    sender_address: sender,
    sponsored: false,
    post_condition_mode: MODES[postConditionMode],
    anchor_mode: 'any',
    ...payloadAnswer(transaction),
  }
  if (outcome === undefined) {
    return {
      ...common,
      tx_status: replacedBy === undefined ? 'pending' : 'dropped_replace_by_fee',
      replaced_by_tx_id: replacedBy ?? null,
      receipt_time: receivedAt,
      receipt_time_iso: iso(receivedAt),
    }
  }
  const { block, status, result, events, vmError } = outcome
  return {
    ...common,
    tx_status: status,
    tx_result: valueAnswer(result),
    vm_error: vmError ?? null,
    block_hash: block.hash,
    block_height: block.stacks,
    block_time: block.time,
    block_time_iso: iso(block.time),
    parent_block_hash: block.parentHash,
    burn_block_height: block.burn,
    burn_block_time: block.time,
    burn_block_time_iso: iso(block.time),
    canonical: true,
    is_unanchored: false,
    microblock_canonical: true,
    tx_index: 0,
    event_count: events.length,
    events: events.map((event, position) => eventAnswer(txid, event, position)),
  }
}

function payloadAnswer({ payload, sender, memo }: TransactionRecord['transaction']) {
  switch (payload.type) {
    case 'transfer': {
      const { recipient: recipient_address, amount } = payload
      const token_transfer = { recipient_address, amount: String(amount), memo }
      return { tx_type: 'token_transfer', token_transfer }
    }
    case 'call': {
      const { contractId: contract_id, functionName: function_name, args } = payload
      const contract_call = { contract_id, function_name, function_args: args.map(valueAnswer) }
      return { tx_type: 'contract_call', contract_call }
    }
    case 'deploy': {
      const contract_id = `${sender}.${payload.name}`
      const clarity_version = payload.clarityVersion ?? null
      const smart_contract = { clarity_version, contract_id, source_code: payload.source }
      return { tx_type: 'smart_contract', smart_contract }
    }
  }
}

function valueAnswer(value: ClarityValue) {
  return { hex: cvToHex(value), repr: repr(value) }
}

/** Shown at the API's four kinds; everything else that simnet reports (locks) keeps its name and data. */
function eventAnswer(tx_id: string, { event, data }: SimnetEvent, event_index: number) {
  const [, asset, asset_event_type] = /^(stx|ft|nft)_(transfer|mint|burn)_event$/.exec(event) ?? []
  const row = { event_index, tx_id }
  if (event === 'print_event') {
    const { contract_identifier: contract_id, topic, raw_value } = data
    const value = valueAnswer(deserializeCV(String(raw_value)))
    return { ...row, event_type: 'smart_contract_log', contract_log: { contract_id, topic, value } }
  }
  const { sender = '', recipient = '', amount, memo, asset_identifier: asset_id, raw_value } = data
  switch (asset) {
    case 'stx':
      return {
        ...row,
        event_type: 'stx_asset',
        asset: { asset_event_type, sender, recipient, amount, ...(memo ? { memo } : {}) },
      }
    case 'ft':
      return {
        ...row,
        event_type: 'fungible_token_asset',
        asset: { asset_event_type, asset_id, sender, recipient, amount },
      }
    case 'nft': {
      const value = valueAnswer(deserializeCV(String(raw_value)))
      return {
        ...row,
        event_type: 'non_fungible_token_asset',
        asset: { asset_event_type, asset_id, sender, recipient, value },
      }
    }
    default:
      return { ...row, event_type: event, data }
  }
}

/** The API's row, and the height of its block, which saves a reader one request per event. */
export function contractEventAnswer({ txid, event, index, blockHeight }: ContractEvent) {
  return { ...eventAnswer(txid, event, index), block_height: blockHeight }
}

export function noncesAnswer(chain: Chain, address: string) {
  const next = Number(chain.nextNonce(address))
  const pending = chain
    .pendingOf(address)
    .map(({ nonce }) => Number(nonce))
    .sort((a, b) => a - b)
  const held = new Set(pending)
  const last = pending.at(-1) ?? next - 1
  const missing = Array.from({ length: Math.max(0, last - next) }, (_, i) => next + i).filter(
    (n) => !held.has(n),
  )
  return {
    last_executed_tx_nonce: next === 0 ? null : next - 1,
    last_mempool_tx_nonce: pending.at(-1) ?? null,
    possible_next_nonce: Math.max(next, last + 1),
    detected_missing_nonces: missing.toReversed(),
    detected_mempool_nonces: pending.toReversed(),
  }
}

export function balancesAnswer(chain: Chain, principal: string) {
  const fungible = chain.ledger.fungible(principal)
  const stx = fungible.get('STX')
  return {
    stx: {
      balance: String(chain.simnet.balance(principal)),
      total_sent: String(stx?.sent ?? 0n),
      total_received: String(stx?.received ?? 0n),
      locked: '0',
      lock_tx_id: '',
      lock_height: 0,
      burnchain_lock_height: 0,
      burnchain_unlock_height: 0,
    },
    fungible_tokens: Object.fromEntries(
      [...fungible]
        .filter(([asset]) => asset !== 'STX')
        .map(([asset, { sent, received }]) => [
          asset,
          { balance: String(received - sent), total_sent: String(sent), total_received: String(received) },
        ]),
    ),
    non_fungible_tokens: Object.fromEntries(
      [...chain.ledger.nonFungible(principal)].map(([asset, { sent, received }]) => [
        asset,
        { count: String(received - sent), total_sent: String(sent), total_received: String(received) },
      ]),
    ),
  }
}

export function accountAnswer(chain: Chain, principal: string) {
  return {
    balance: `0x${chain.simnet.balance(principal).toString(16).padStart(32, '0')}`,
    locked: `0x${'0'.repeat(32)}`,
    unlock_height: 0,
    nonce: Number(chain.nextNonce(principal)),
    balance_proof: '',
    nonce_proof: '',
  }
}

/** One µSTX per byte is what a node asks; the middle estimate, which wallets take, is twice that. */
export function feeAnswer(bytes: number) {
  const zero = { read_count: 0, read_length: 0, runtime: 0, write_count: 0, write_length: 0 }
  return {
    cost_scalar_change_by_byte: 0,
    estimated_cost: zero,
    estimated_cost_scalar: bytes,
    estimations: [1, 2, 5].map((rate) => ({ fee: bytes * rate, fee_rate: rate })),
  }
}

function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString()
}
