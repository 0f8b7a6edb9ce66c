import { deserializeTransaction, PayloadType, PostConditionMode } from '@stacks/transactions'
import { describe, expect, it } from 'vitest'
import { fund } from './calls.ts'
import { type Broadcast, ChainError, type StacksClient, type Transaction } from './client.ts'
import { contractsOf } from './contracts.ts'
import { addressOf, confirmed, deployContract, signCall, submit, transfer } from './transactions.ts'

const privateKey = '01'.repeat(32)
const testnet = 0x80000000
const sender = addressOf(privateKey, testnet)
const contracts = contractsOf(sender)
const signing = { privateKey, nonce: 7n, fee: 300n, chainId: testnet }

describe('signing', () => {
  it('puts call, conditions, nonce, fee and chain under one signature', async () => {
    const deposit = { app: 'aa'.repeat(32), amount: 5n, rulesVersion: 1, minShares: 5n }
    const { txid, hex } = await signCall(fund(contracts, sender, deposit), signing)
    const transaction = deserializeTransaction(hex)
    expect(`0x${transaction.txid()}`).toBe(txid)
    expect(transaction.chainId).toBe(testnet)
    expect(transaction.postConditionMode).toBe(PostConditionMode.Deny)
    expect(transaction.postConditions.values).toHaveLength(1)
    expect(transaction.auth.spendingCondition).toMatchObject({ nonce: 7n, fee: 300n })
    expect(() => transaction.verifyOrigin()).not.toThrow()
  })

  it('gives the same bytes for the same call, so that sending it again is the same submission', async () => {
    const first = await transfer(sender, 1n, signing, 'hello')
    expect(await transfer(sender, 1n, signing, 'hello')).toEqual(first)
    expect((await transfer(sender, 1n, { ...signing, nonce: 8n }, 'hello')).txid).not.toBe(first.txid)
  })

  it('deploys without naming a Clarity version', async () => {
    const { hex } = await deployContract('nothing', '(define-read-only (nothing) none)', signing)
    expect(deserializeTransaction(hex).payload.payloadType).toBe(PayloadType.SmartContract)
  })

  it('uses mainnet’s addresses on mainnet alone', () => {
    expect(addressOf(privateKey, 1)).toMatch(/^SP/)
    expect(addressOf(privateKey, testnet)).toMatch(/^ST/)
    expect(addressOf(`${privateKey}01`, testnet)).toBe(sender)
  })
})

/** What a node might say, one answer after the other. */
class Node implements Pick<StacksClient, 'broadcast' | 'transaction' | 'info'> {
  readonly broadcasts: (Broadcast | Error)[]
  readonly transactions: (Transaction | undefined)[]
  height = 100

  constructor(broadcasts: (Broadcast | Error)[], transactions: (Transaction | undefined)[]) {
    this.broadcasts = broadcasts
    this.transactions = transactions
  }

  async broadcast(): Promise<Broadcast> {
    const next = this.broadcasts.shift()
    if (next instanceof Error) throw next
    return next!
  }

  async transaction(): Promise<Transaction | undefined> {
    return this.transactions.length > 1 ? this.transactions.shift() : this.transactions[0]
  }

  async info() {
    return { chainId: testnet, burnHeight: 50, height: this.height++, serverVersion: '' }
  }
}

const txid = `0x${'cd'.repeat(32)}`
const signed = { txid, hex: '00' }
const inState = (status: string, height: number | null = null): Transaction => ({
  txid,
  status,
  height,
  burnHeight: null,
  result: null,
})
const badNonce: Broadcast = { ok: false, reason: 'BadNonce', message: 'no' }
const conflict: Broadcast = { ok: false, reason: 'ConflictingNonceInMempool', message: 'no' }

describe('submit', () => {
  const wait = async () => {}
  const outcomeOf = (answers: (Broadcast | Error)[], known: Transaction | undefined) =>
    submit(new Node(answers, [known]) as unknown as StacksClient, signed, { attempts: 3, wait })
  const outcome = (answer: Broadcast | Error, known: Transaction | undefined) => outcomeOf([answer], known)

  it('is done when the node takes the transaction', async () => {
    expect(await outcome({ ok: true, txid }, undefined)).toEqual({ ok: true, txid })
  })

  it('is done when the chain already has this very transaction', async () => {
    expect(await outcome(conflict, inState('pending'))).toEqual({ ok: true, txid })
    expect(await outcome(badNonce, inState('success', 9))).toEqual({ ok: true, txid })
  })

  it('is refused when another transaction has the nonce, or this one was dropped', async () => {
    expect(await outcome(conflict, undefined)).toEqual(conflict)
    expect(await outcome(badNonce, inState('dropped_replace_by_fee'))).toEqual(badNonce)
  })

  it('is done when the answer was lost and the transaction was not', async () => {
    const lost = new ChainError('timeout', 'lost')
    expect(await outcome(lost, inState('pending'))).toEqual({ ok: true, txid })
  })

  it('sends the same bytes again when no answer came, and gives up in the end', async () => {
    const lost = new ChainError('unreachable', 'lost')
    expect(await outcomeOf([lost, lost, { ok: true, txid }], undefined)).toEqual({ ok: true, txid })
    await expect(outcomeOf([lost, lost, lost, { ok: true, txid }], undefined)).rejects.toBe(lost)
  })

  it('does not believe an answer about another transaction', async () => {
    await expect(outcome({ ok: true, txid: `0x${'ee'.repeat(32)}` }, undefined)).rejects.toThrow(ChainError)
  })
})

describe('confirmed', () => {
  const wait = async () => {}

  it('waits through unknown and pending until the depth is reached', async () => {
    const node = new Node([], [undefined, inState('pending'), inState('success', 98)])
    const answer = await confirmed(node, txid, { depth: 6, wait })
    expect(answer.ok).toBe(true)
    expect(node.height).toBe(104)
  })

  it.each([
    ['abort_by_response', 'aborted'],
    ['abort_by_post_condition', 'aborted'],
    ['dropped_stale_garbage_collect', 'dropped'],
  ])('ends at %s', async (status, reason) => {
    expect(await confirmed(new Node([], [inState(status, 98)]), txid, { wait })).toMatchObject({
      ok: false,
      reason,
    })
  })

  it('ends when the time is up', async () => {
    let clock = 0
    const now = () => (clock += 400)
    const answer = await confirmed(new Node([], [inState('pending')]), txid, { timeoutMs: 1_000, now, wait })
    expect(answer).toMatchObject({ ok: false, reason: 'timeout' })
  })
})
