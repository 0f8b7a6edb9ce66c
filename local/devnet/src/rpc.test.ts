import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { type ServerType, serve } from '@hono/node-server'
import { STACKS_TESTNET } from '@stacks/network'
import {
  broadcastTransaction,
  Cl,
  type ClarityValue,
  deserializeTransaction,
  fetchAbi,
  fetchCallReadOnlyFunction,
  fetchContractMapEntry,
  fetchFeeEstimate,
  fetchNonce,
  makeContractCall,
  makeContractDeploy,
  makeRandomPrivKey,
  makeSTXTokenTransfer,
  Pc,
  type PostCondition,
  type PostConditionModeName,
  type StacksTransactionWire,
} from '@stacks/transactions'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ACCOUNTS, type Account, MINER } from './accounts.ts'
import { buildApp } from './app.ts'
import { type Chain, openChain } from './chain.ts'
import { createFaucet } from './faucet.ts'
import { memoryJournal } from './journal.ts'
import { openSimnet } from './simnet.ts'

const SOURCE = readFileSync(new URL('../fixtures/vault.clar', import.meta.url), 'utf8')
const FEE = 2_000n

const account = (name: string) => ACCOUNTS.find((candidate) => candidate.name === name)!
const deployer = account('deployer')

let server: ServerType
let chain: Chain
let url: string
let network: typeof STACKS_TESTNET
const failures: Error[] = []

beforeAll(async () => {
  chain = await openChain(await openSimnet(0, () => {}), memoryJournal)
  const app = buildApp(chain, createFaucet(chain), (error) => failures.push(error))
  server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 })
  await new Promise((resolve) => server.once('listening', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  network = { ...STACKS_TESTNET, client: { baseUrl: url } }
  await deploy('vault', SOURCE)
})

afterAll(async () => {
  await new Promise((resolve) => server.close(resolve))
  expect(failures).toEqual([])
})

// biome-ignore lint/suspicious/noExplicitAny: the API's JSON, asserted on below
type Json = any

async function get(path: string): Promise<Json> {
  return (await fetch(url + path)).json()
}

async function post(path: string, body?: unknown): Promise<{ status: number; body: Json }> {
  const response = await fetch(url + path, {
    method: 'POST',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: response.status, body: await response.json() }
}

const mine = (burnBlocks = 1) => post('/devnet/mine', { burnBlocks })
const send = (transaction: StacksTransactionWire) => broadcastTransaction({ transaction, network })

async function mined(transaction: StacksTransactionWire): Promise<Json> {
  const sent = await send(transaction)
  expect(sent).not.toHaveProperty('error')
  await mine()
  return get(`/extended/v1/tx/${sent.txid}`)
}

interface CallOptions {
  readonly mode?: PostConditionModeName
  readonly conditions?: PostCondition[]
  readonly nonce?: bigint
  readonly fee?: bigint
}

function call(
  sender: Account,
  functionName: string,
  functionArgs: ClarityValue[] = [],
  options: CallOptions = {},
) {
  const { mode = 'allow', conditions = [], nonce, fee = FEE } = options
  return makeContractCall({
    contractAddress: deployer.address,
    contractName: 'vault',
    functionName,
    functionArgs,
    senderKey: sender.privateKey,
    postConditionMode: mode,
    postConditions: conditions,
    fee,
    ...(nonce === undefined ? {} : { nonce }),
    network,
  })
}

async function deploy(contractName: string, codeBody: string, clarityVersion?: number) {
  const transaction = await makeContractDeploy({
    contractName,
    codeBody,
    senderKey: deployer.privateKey,
    clarityVersion,
    fee: 100_000n,
    postConditionMode: 'allow',
    network,
  })
  return mined(transaction)
}

function transfer(
  sender: Account,
  recipient: string,
  amount: bigint,
  options: { nonce?: bigint; fee?: bigint } = {},
) {
  return makeSTXTokenTransfer({
    recipient,
    amount,
    senderKey: sender.privateKey,
    fee: options.fee ?? FEE,
    ...(options.nonce === undefined ? {} : { nonce: options.nonce }),
    network,
  })
}

function read(functionName: string): Promise<ClarityValue> {
  return fetchCallReadOnlyFunction({
    contractAddress: deployer.address,
    contractName: 'vault',
    functionName,
    functionArgs: [],
    senderAddress: deployer.address,
    network,
  })
}

const balanceOf = async (address: string) =>
  BigInt((await get(`/extended/v1/address/${address}/balances`)).stx.balance)

/** A funded account of its own for each test that needs one, so that no test leans on another's nonces. */
async function newcomer(amount = 10_000_000n): Promise<Account> {
  const privateKey = makeRandomPrivKey()
  const { getAddressFromPrivateKey } = await import('@stacks/transactions')
  const address = getAddressFromPrivateKey(privateKey, 'testnet')
  await mined(await transfer(account('funder'), address, amount))
  return { name: 'newcomer', privateKey, address, balance: amount }
}

describe('a transaction', () => {
  test('stays pending until a block carries it, and then reports the block that Clarity saw', async () => {
    const sender = await newcomer()
    const sent = await send(await call(sender, 'increment'))
    const pending = await get(`/extended/v1/tx/${sent.txid}`)
    expect(pending).toMatchObject({ tx_status: 'pending', sender_address: sender.address, nonce: 0 })

    await mine()
    const tx = await get(`/extended/v1/tx/${sent.txid}`)
    expect(tx).toMatchObject({
      tx_status: 'success',
      tx_type: 'contract_call',
      fee_rate: '2000',
      event_count: 1,
    })
    const printed = Cl.prettyPrint(Cl.deserialize(tx.events[0].contract_log.value.hex))
    expect(printed).toContain(`stacks: u${tx.block_height}`)
    expect(printed).toContain(`burn: u${tx.burn_block_height}`)
    expect(await get(`/extended/v2/blocks/${tx.block_hash}`)).toMatchObject({
      height: tx.block_height,
      burn_block_height: tx.burn_block_height,
      tx_count: 1,
    })
  })

  test('is answered with its quoted id, sent as JSON or as bytes, and once more when sent again', async () => {
    const sender = await newcomer()
    const transaction = await transfer(sender, deployer.address, 1n)
    const body = Uint8Array.from(transaction.serializeBytes())
    const headers = { 'content-type': 'application/octet-stream' }
    for (let i = 0; i < 2; i++) {
      const response = await fetch(`${url}/v2/transactions`, { method: 'POST', headers, body })
      expect(await response.text()).toBe(`"${transaction.txid()}"`)
    }
    expect(await send(transaction)).toEqual({ txid: transaction.txid() })
    await mine()
    expect(await fetchNonce({ address: sender.address, network })).toBe(1n)
  })

  test('pays its fee to the miner, and balances add up', async () => {
    const sender = await newcomer(1_000_000n)
    const miner = await balanceOf(MINER.address)
    const recipient = await balanceOf(deployer.address)
    const tx = await mined(await transfer(sender, deployer.address, 300_000n, { fee: 700n }))
    expect(tx).toMatchObject({ tx_status: 'success', tx_type: 'token_transfer' })
    expect(await balanceOf(sender.address)).toBe(1_000_000n - 300_000n - 700n)
    expect(await balanceOf(MINER.address)).toBe(miner + 700n)
    expect(await balanceOf(deployer.address)).toBe(recipient + 300_000n)
    expect(BigInt((await get(`/v2/accounts/${sender.address}?proof=0`)).balance)).toBe(699_300n)
  })

  test('waits for the nonces before it; a block carries the whole run in order', async () => {
    const sender = await newcomer()
    const later = await send(await call(sender, 'increment', [], { nonce: 1n }))
    const last = await send(await call(sender, 'increment', [], { nonce: 2n }))
    await mine()
    expect(await get(`/extended/v1/tx/${later.txid}`)).toMatchObject({ tx_status: 'pending' })
    expect(await get(`/extended/v1/address/${sender.address}/nonces`)).toEqual({
      last_executed_tx_nonce: null,
      last_mempool_tx_nonce: 2,
      possible_next_nonce: 3,
      detected_missing_nonces: [0],
      detected_mempool_nonces: [2, 1],
    })
    const first = await mined(await call(sender, 'increment', [], { nonce: 0n }))
    const [second, third] = [
      await get(`/extended/v1/tx/${later.txid}`),
      await get(`/extended/v1/tx/${last.txid}`),
    ]
    expect([first, second, third].map((tx) => tx.tx_status)).toEqual(['success', 'success', 'success'])
    expect(third.block_height).toBe(first.block_height + 2)
    expect(third.burn_block_height).toBe(first.burn_block_height)
  })

  test('that pays more replaces the one that waits with its nonce', async () => {
    const sender = await newcomer()
    const cheap = await send(await call(sender, 'increment', [], { nonce: 0n }))
    const dear = await send(await call(sender, 'increment', [], { nonce: 0n, fee: FEE + 1n }))
    await mine()
    expect(await get(`/extended/v1/tx/${dear.txid}`)).toMatchObject({ tx_status: 'success' })
    expect(await get(`/extended/v1/tx/${cheap.txid}`)).toMatchObject({
      tx_status: 'dropped_replace_by_fee',
      replaced_by_tx_id: `0x${dear.txid}`,
    })
  })

  test('that answers err, or breaks, keeps nothing but its fee and nonce', async () => {
    const sender = await newcomer()
    const count = await read('get-count')
    const refused = await mined(await call(sender, 'refuse'))
    const crashed = await mined(await call(sender, 'crash'))
    expect(refused).toMatchObject({ tx_status: 'abort_by_response', tx_result: { repr: '(err u5)' } })
    expect(crashed).toMatchObject({ tx_status: 'abort_by_response', tx_result: { repr: '(err none)' } })
    expect(crashed.vm_error).toContain('DivisionByZero')
    expect(await read('get-count')).toEqual(count)
    expect(await balanceOf(sender.address)).toBe(10_000_000n - 2n * FEE)
    expect(await fetchNonce({ address: sender.address, network })).toBe(2n)
  })
})

describe('a deployment', () => {
  test('without a version speaks Clarity 6, with one that version', async () => {
    const clarity6 = '(define-read-only (time) stacks-block-time)'
    expect(await deploy('unversioned', clarity6)).toMatchObject({
      tx_status: 'success',
      smart_contract: { clarity_version: null, contract_id: `${deployer.address}.unversioned` },
    })
    expect(await deploy('old', clarity6, 2)).toMatchObject({ tx_status: 'abort_by_response' })
    expect(await deploy('older', '(define-read-only (h) block-height)', 2)).toMatchObject({
      tx_status: 'success',
      smart_contract: { clarity_version: 2 },
    })
  })

  test('that does not compile costs its fee, and its name stays free', async () => {
    expect(await deploy('broken', '(define-public (f) (ok nothing))')).toMatchObject({
      tx_status: 'abort_by_response',
      tx_result: { repr: '(err none)' },
    })
    expect(await deploy('broken', '(define-public (f) (ok true))')).toMatchObject({ tx_status: 'success' })
  })

  test('is read back as interface and source', async () => {
    const abi = await fetchAbi({ contractAddress: deployer.address, contractName: 'vault', network })
    expect(abi.functions.find(({ name }) => name === 'write-note')).toMatchObject({
      access: 'public',
      args: [
        { name: 'id', type: 'uint128' },
        { name: 'text', type: { 'string-ascii': { length: 20 } } },
      ],
    })
    const { source, publish_height } = await get(`/v2/contracts/source/${deployer.address}/vault`)
    expect(source).toBe(SOURCE)
    expect(publish_height).toBeGreaterThan(1)
  })
})

describe('a node refuses', () => {
  const reasonOf = async (transaction: StacksTransactionWire) => {
    const sent = await send(transaction)
    expect(sent).toMatchObject({ error: 'transaction rejected', txid: transaction.txid() })
    return 'reason' in sent ? (sent as Json) : undefined
  }

  test('a nonce that was used', async () => {
    const sender = await newcomer()
    await mined(await call(sender, 'increment'))
    expect(await reasonOf(await call(sender, 'increment', [], { nonce: 0n, fee: 3_000n }))).toMatchObject({
      reason: 'BadNonce',
      reason_data: { expected: 1, actual: 0, is_origin: true, principal: sender.address },
    })
  })

  test('a nonce that waits already, for no higher fee', async () => {
    const sender = await newcomer()
    await send(await call(sender, 'increment', [], { nonce: 0n }))
    expect(await reasonOf(await call(sender, 'refuse', [], { nonce: 0n }))).toMatchObject({
      reason: 'ConflictingNonceInMempool',
    })
    await mine()
  })

  test('the 26th transaction in a row', async () => {
    const sender = await newcomer()
    expect(await reasonOf(await call(sender, 'increment', [], { nonce: 25n }))).toMatchObject({
      reason: 'TooMuchChaining',
    })
  })

  test('a fee below one µSTX per byte', async () => {
    const sender = await newcomer()
    expect(await reasonOf(await call(sender, 'increment', [], { fee: 10n }))).toMatchObject({
      reason: 'FeeTooLow',
      reason_data: { actual: 10 },
    })
  })

  test('what its sender cannot pay', async () => {
    const sender = await newcomer(10_000n)
    expect(await reasonOf(await transfer(sender, deployer.address, 9_000n))).toMatchObject({
      reason: 'NotEnoughFunds',
      reason_data: { expected: `0x${(11_000).toString(16).padStart(32, '0')}` },
    })
    expect(await reasonOf(await call(sender, 'increment', [], { fee: 10_001n }))).toMatchObject({
      reason: 'NotEnoughFunds',
    })
  })

  test('a signature by another key, and a transaction that was changed after signing', async () => {
    const sender = await newcomer()
    const signed = await transfer(sender, deployer.address, 5n)
    const forged = deserializeTransaction(signed.serializeBytes())
    forged.auth.spendingCondition.signer = '11'.repeat(20)
    expect(await reasonOf(forged)).toMatchObject({ reason: 'SignatureValidation' })

    const changed = deserializeTransaction(signed.serializeBytes())
    Object.assign(changed.payload, { amount: 6n })
    expect(await reasonOf(changed)).toMatchObject({ reason: 'SignatureValidation' })
  })

  test('another network', async () => {
    const sender = await newcomer()
    const options = {
      recipient: deployer.address,
      amount: 5n,
      senderKey: sender.privateKey,
      fee: FEE,
      nonce: 0n,
    }
    const mainnet = await makeSTXTokenTransfer({ ...options, network: 'mainnet' })
    expect(await reasonOf(mainnet)).toMatchObject({ reason: 'BadTransactionVersion' })
    const other = await makeSTXTokenTransfer({
      ...options,
      network: { ...STACKS_TESTNET, chainId: 0x80000123 },
    })
    expect(await reasonOf(other)).toMatchObject({ reason: 'SignatureValidation' })
  })

  test('what is no transaction', async () => {
    const sender = await newcomer()
    const { body } = await post('/v2/transactions', { tx: '00ff' })
    expect(body).toMatchObject({ error: 'transaction rejected', reason: 'Deserialization' })
    const padded = `${(await transfer(sender, deployer.address, 5n)).serialize()}00`
    expect((await post('/v2/transactions', { tx: padded })).body).toMatchObject({ reason: 'Deserialization' })
  })

  test('a transfer to its sender, or of nothing', async () => {
    const sender = await newcomer()
    expect(await reasonOf(await transfer(sender, sender.address, 5n))).toMatchObject({
      reason: 'TransferRecipientCannotEqualSender',
    })
    expect(await reasonOf(await transfer(sender, deployer.address, 0n))).toMatchObject({
      reason: 'TransferAmountMustBePositive',
    })
  })

  test('a contract name that is taken', async () => {
    const transaction = await makeContractDeploy({
      contractName: 'vault',
      codeBody: SOURCE,
      senderKey: deployer.privateKey,
      fee: 100_000n,
      network,
    })
    expect(await reasonOf(transaction)).toMatchObject({
      reason: 'ContractAlreadyExists',
      reason_data: { contract_identifier: `${deployer.address}.vault` },
    })
  })

  test('a call of what is not there, or with the wrong arguments', async () => {
    const sender = await newcomer()
    const elsewhere = await makeContractCall({
      contractAddress: sender.address,
      contractName: 'vault',
      functionName: 'increment',
      functionArgs: [],
      senderKey: sender.privateKey,
      fee: FEE,
      network,
    })
    expect(await reasonOf(elsewhere)).toMatchObject({ reason: 'NoSuchContract' })
    expect(await reasonOf(await call(sender, 'nothing'))).toMatchObject({ reason: 'NoSuchPublicFunction' })
    expect(await reasonOf(await call(sender, 'get-count'))).toMatchObject({ reason: 'NoSuchPublicFunction' })
    for (const args of [[], [Cl.int(1)], [Cl.uint(1), Cl.uint(2)]]) {
      expect(await reasonOf(await call(sender, 'mint', args))).toMatchObject({
        reason: 'BadFunctionArgument',
      })
    }
  })
})

describe('post-conditions', () => {
  const coin = `${deployer.address}.vault` as const
  const to = Cl.principal(account('operator1').address)

  /** Sends the call and tells whether it went through; whenever it did not, nothing but fee and nonce moved. */
  async function passes(sender: Account, name: string, args: ClarityValue[], options: CallOptions) {
    const before = await holdings(sender)
    const tx = await mined(await call(sender, name, args, options))
    const after = await holdings(sender)
    if (tx.tx_status === 'success') {
      expect(tx.events.length).toBeGreaterThan(0)
      return true
    }
    expect(tx).toMatchObject({ tx_status: 'abort_by_post_condition', events: [] })
    expect(after).toEqual({ ...before, stx: before.stx - FEE, nonce: before.nonce + 1n })
    return false
  }

  async function holdings({ address }: Account) {
    const balances = await get(`/extended/v1/address/${address}/balances`)
    return {
      stx: BigInt(balances.stx.balance),
      coins: balances.fungible_tokens[`${coin}::coin`]?.balance ?? '0',
      deeds: balances.non_fungible_tokens[`${coin}::deed`]?.count ?? '0',
      count: Cl.prettyPrint(await read('get-count')),
      nonce: await fetchNonce({ address, network }),
    }
  }

  test('in allow mode only bind what they name', async () => {
    const sender = await newcomer()
    const pay = (conditions: PostCondition[]) =>
      passes(sender, 'send-stx', [Cl.uint(500), to], { mode: 'allow', conditions })
    expect(await pay([])).toBe(true)
    expect(await pay([Pc.principal(sender.address).willSendEq(500).ustx()])).toBe(true)
    expect(await pay([Pc.principal(sender.address).willSendLte(499).ustx()])).toBe(false)
    expect(await pay([Pc.principal(deployer.address).willSendGte(1).ustx()])).toBe(false)
  })

  test('in deny mode want every asset named', async () => {
    const sender = await newcomer()
    const pay = (conditions: PostCondition[]) =>
      passes(sender, 'send-stx', [Cl.uint(500), to], { mode: 'deny', conditions })
    expect(await pay([])).toBe(false)
    expect(await pay([Pc.principal(sender.address).willSendEq(500).ustx()])).toBe(true)
    expect(await pay([Pc.principal(sender.address).willSendGt(500).ustx()])).toBe(false)
    expect(await pay([Pc.principal(sender.address).willSendLt(501).ustx()])).toBe(true)
  })

  test('in deny mode cover the contract that pays, in originator mode only the caller', async () => {
    const sender = await newcomer()
    await mined(await transfer(account('funder'), coin, 10_000n))
    const claim = (mode: PostConditionModeName, conditions: PostCondition[]) =>
      passes(sender, 'pay-out', [Cl.uint(100)], { mode, conditions })
    expect(await claim('deny', [])).toBe(false)
    expect(await claim('deny', [Pc.principal(coin).willSendLte(100).ustx()])).toBe(true)
    expect(await claim('originator', [])).toBe(true)
    expect(await passes(sender, 'send-stx', [Cl.uint(5), to], { mode: 'originator' })).toBe(false)
  })

  test('guard fungible tokens, burnt ones too', async () => {
    const sender = await newcomer()
    await mined(await call(sender, 'mint', [Cl.uint(1)]))
    const coins = (amount: number) => Pc.principal(sender.address).willSendEq(amount).ft(coin, 'coin')
    const sendCoin = (conditions: PostCondition[]) =>
      passes(sender, 'send-coin', [Cl.uint(10), to], { mode: 'deny', conditions })
    expect(await sendCoin([])).toBe(false)
    expect(await sendCoin([coins(9)])).toBe(false)
    expect(await sendCoin([coins(10)])).toBe(true)
    expect(await passes(sender, 'burn-coin', [Cl.uint(10)], { mode: 'deny' })).toBe(false)
    expect(await passes(sender, 'burn-coin', [Cl.uint(10)], { mode: 'deny', conditions: [coins(10)] })).toBe(
      true,
    )
    expect(await holdings(sender)).toMatchObject({ coins: '80' })
  })

  test('guard non-fungible tokens one by one', async () => {
    const sender = await newcomer()
    for (const id of [21, 22, 23]) await mined(await call(sender, 'mint', [Cl.uint(id)]))
    const deed = (id: number) => ({ asset: `${coin}::deed` as const, id: Cl.uint(id) })
    const sendDeed = (id: number, conditions: PostCondition[], mode: PostConditionModeName = 'deny') =>
      passes(sender, 'send-deed', [Cl.uint(id), to], { mode, conditions })
    const owner = Pc.principal(sender.address)
    expect(await sendDeed(21, [])).toBe(false)
    expect(await sendDeed(21, [owner.willSendAsset().nft(deed(22).asset, deed(22).id)])).toBe(false)
    expect(await sendDeed(21, [owner.willSendAsset().nft(deed(21).asset, deed(21).id)])).toBe(true)
    expect(await sendDeed(22, [owner.willNotSendAsset().nft(deed(22).asset, deed(22).id)], 'allow')).toBe(
      false,
    )
    expect(await sendDeed(22, [owner.willNotSendAsset().nft(deed(23).asset, deed(23).id)], 'allow')).toBe(
      true,
    )
    expect(await holdings(sender)).toMatchObject({ deeds: '1' })
  })

  test('that fail keep what came before and after them in the block', async () => {
    const sender = await newcomer()
    const before = Number(Cl.prettyPrint(await read('get-count')).slice(1))
    const sent = [
      await send(await call(sender, 'increment', [], { nonce: 0n })),
      await send(await call(sender, 'send-stx', [Cl.uint(5), to], { nonce: 1n, mode: 'deny' })),
      await send(await call(sender, 'increment', [], { nonce: 2n })),
    ]
    await mine()
    const txs = await Promise.all(sent.map(({ txid }) => get(`/extended/v1/tx/${txid}`)))
    expect(txs.map(({ tx_status }) => tx_status)).toEqual(['success', 'abort_by_post_condition', 'success'])
    expect(txs.map(({ block_height }) => block_height - txs[0].block_height)).toEqual([0, 1, 2])
    expect(Cl.prettyPrint(await read('get-count'))).toBe(`u${before + 2}`)
  })
})

describe('reads', () => {
  test('answer map entries, none where there is none, and data variables', async () => {
    await mined(await call(await newcomer(), 'write-note', [Cl.uint(7), Cl.stringAscii('hello')]))
    const entry = (id: number) =>
      fetchContractMapEntry({
        contractAddress: deployer.address,
        contractName: 'vault',
        mapName: 'notes',
        mapKey: Cl.uint(id),
        network,
      })
    expect(await entry(7)).toEqual(Cl.some(Cl.stringAscii('hello')))
    expect(await entry(8)).toEqual(Cl.none())
    const { data } = await get(`/v2/data_var/${deployer.address}/vault/count`)
    expect(Cl.deserialize(data)).toEqual(await read('get-count'))
  })

  test('see the heights that the API reports', async () => {
    await mine(3)
    const info = await get('/v2/info')
    expect(Cl.prettyPrint(await read('get-heights'))).toBe(
      `{ burn: u${info.burn_block_height}, stacks: u${info.stacks_tip_height} }`,
    )
    expect(info.server_version).toMatch(/^understudy-devnet/)
    expect(info.network_id).toBe(0x80000000)
  })

  test('do not run what is not read-only', async () => {
    const { body } = await post(`/v2/contracts/call-read/${deployer.address}/vault/increment`, {
      sender: deployer.address,
      arguments: [],
    })
    expect(body).toEqual({ okay: false, cause: 'NotReadOnly' })
  })

  test("find a contract's events newest first, with the height of each", async () => {
    const sender = await newcomer()
    for (let nonce = 0n; nonce < 3n; nonce++) await send(await call(sender, 'increment', [], { nonce }))
    await mine()
    const events = (query: string) => get(`/extended/v1/contract/${deployer.address}.vault/events?${query}`)
    const { results } = await events('limit=3')
    const { results: second } = await events('limit=1&offset=1')
    expect(second).toEqual([results[1]])
    const counts = results.map(
      (row: Json) => (Cl.deserialize(row.contract_log.value.hex) as Json).value.count.value,
    )
    expect(counts.map(BigInt)).toEqual([0n, 1n, 2n].map((behind) => BigInt(counts[0]) - behind))
    expect(results[0]).toMatchObject({
      event_index: 0,
      event_type: 'smart_contract_log',
      contract_log: { contract_id: `${deployer.address}.vault`, topic: 'print' },
      block_height: (await get(`/extended/v1/tx/${results[0].tx_id}`)).block_height,
    })
  })

  test('find the last Stacks block below a burn height', async () => {
    const sender = await newcomer()
    const tx = await mined(await call(sender, 'increment'))
    await mine(2)
    const { results } = await get(`/extended/v2/burn-blocks/${tx.burn_block_height}/blocks?limit=1`)
    expect(results).toHaveLength(1)
    const anchor = results[0]
    const next = await get(`/extended/v2/blocks/${anchor.height + 1}`)
    expect(anchor).toMatchObject({ hash: tx.block_hash, burn_block_height: tx.burn_block_height })
    expect(next).toMatchObject({
      parent_block_hash: anchor.hash,
      burn_block_height: tx.burn_block_height + 1,
    })
    expect(await get('/extended/v2/blocks/latest')).toMatchObject({ height: chain.tip().stacks })
  })

  test("list an address's transactions newest first, received ones too", async () => {
    const sender = await newcomer()
    await mined(await call(sender, 'increment'))
    const { total, results } = await get(`/extended/v1/address/${sender.address}/transactions?limit=2`)
    expect(total).toBe(2)
    expect(results.map((tx: Json) => tx.tx_type)).toEqual(['contract_call', 'token_transfer'])
  })

  test('estimate a fee that is accepted', async () => {
    const sender = await newcomer()
    const transaction = await call(sender, 'increment', [], { fee: 0n })
    const fee = BigInt(await fetchFeeEstimate({ transaction, network }))
    expect(await mined(await call(sender, 'increment', [], { fee }))).toMatchObject({ tx_status: 'success' })
  })
})

test('the faucet pays by transactions, also to several at once', async () => {
  const addresses = ['operator7', 'operator8'].map((name) => account(name).address)
  const before = await Promise.all(addresses.map(balanceOf))
  const sent = await Promise.all(
    addresses.map((address) => post(`/extended/v1/faucets/stx?address=${address}`)),
  )
  expect(sent.map(({ body }) => body.success)).toEqual([true, true])
  await mine()
  const after = await Promise.all(addresses.map(balanceOf))
  expect(after).toEqual(before.map((balance) => balance + 500_000_000n))
})

describe('bad input', () => {
  const { address } = deployer
  test.each([
    ['GET', '/extended/v1/tx/0x12', undefined, 400],
    ['GET', `/extended/v1/tx/0x${'00'.repeat(32)}`, undefined, 404],
    ['GET', '/extended/v2/blocks/999999', undefined, 404],
    ['GET', '/extended/v2/blocks/-1', undefined, 400],
    ['GET', '/extended/v2/burn-blocks/999999/blocks', undefined, 404],
    ['GET', '/extended/v1/address/nobody/balances', undefined, 400],
    ['GET', `/extended/v1/contract/${address}.vault/events?limit=51`, undefined, 400],
    ['GET', `/v2/contracts/interface/${address}/nothing`, undefined, 404],
    ['POST', `/v2/map_entry/${address}/vault/nothing`, '"0x00"', 404],
    ['POST', `/v2/map_entry/${address}/vault/notes`, '"0xff"', 400],
    ['POST', `/v2/contracts/call-read/${address}/vault/get-count`, '{"sender":"x"}', 400],
    ['POST', `/v2/contracts/call-read/${address}/vault/get-count`, 'x'.repeat(600_000), 413],
    ['POST', '/v2/transactions', '{', 400],
    ['POST', '/v2/transactions', '{"tx":"xyz"}', 400],
    ['POST', '/v2/transactions', JSON.stringify({ tx: '00'.repeat(3_000_000) }), 413],
    ['POST', '/v2/transactions', JSON.stringify({ tx: '00'.repeat(2_000_000) }), 400],
    ['POST', '/v2/fees/transaction', '{}', 400],
    ['POST', '/devnet/mine', '{"burnBlocks":-1}', 400],
    ['POST', '/extended/v1/faucets/stx', undefined, 400],
    ['GET', '/nowhere', undefined, 404],
  ])('%s %s', async (method, path, body, status) => {
    const response = await fetch(url + path, { method, ...(body === undefined ? {} : { body }) })
    expect(response.status).toBe(status)
    expect((await response.json()).error).toEqual(expect.any(String))
  })
})
