import { readFile } from 'node:fs/promises'
import type { ContractCall } from './calls.ts'
import { createStacksClient, type StacksClient, type Transaction } from './client.ts'
import { type Contracts, contractNames, contractsOf } from './contracts.ts'
import {
  addressOf,
  confirmed,
  deployContract,
  type SignedTransaction,
  signCall,
  submit,
} from './transactions.ts'

/** For tests: the contracts on a devnet that mines when it is told. */
export interface SampleChain {
  readonly url: string
  readonly client: StacksClient
  readonly chainId: number
  readonly contracts: Contracts
  readonly deployer: string
  addressOf(privateKey: string): string
  /** Gives the burn height. */
  mine(burnBlocks?: number): Promise<number>
  /** Gives each key's account money of the faucet. */
  fill(privateKeys: readonly string[]): Promise<void>
  /** Submits and mines; resolves with what became of it. */
  land(transaction: SignedTransaction): Promise<Transaction | undefined>
  /** Signs, submits and mines a call. Throws when the contract refuses it. */
  send(privateKey: string, call: ContractCall): Promise<Transaction>
}

const fee = 100_000n

/** Deploys the contracts, by transactions signed with the deployer's key, on a devnet of which nothing is known but its URL. */
export async function sampleChain(url: string, deployerKey: string): Promise<SampleChain> {
  const client = createStacksClient({ url })
  const { chainId } = await client.info()
  const addressAt = (privateKey: string) => addressOf(privateKey, chainId)

  async function post(path: string, body: object): Promise<unknown> {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(60_000),
    })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }
  async function mine(burnBlocks = 1): Promise<number> {
    const { burn_block_height } = (await post('/devnet/mine', { burnBlocks })) as {
      burn_block_height: number
    }
    return burn_block_height
  }
  async function fill(privateKeys: readonly string[]): Promise<void> {
    for (const key of privateKeys) await post(`/extended/v1/faucets/stx?address=${addressAt(key)}`, {})
    await mine()
  }
  async function land(transaction: SignedTransaction): Promise<Transaction | undefined> {
    const submission = await submit(client, transaction)
    if (!submission.ok) throw new Error(`refused: ${submission.reason} ${submission.message}`)
    await mine()
    return (await confirmed(client, transaction.txid, { intervalMs: 20 })).transaction
  }

  await fill([deployerKey])
  const deployer = addressAt(deployerKey)
  for (const [nonce, name] of contractNames.entries()) {
    const source = await readFile(new URL(`../../../contracts/${name}.clar`, import.meta.url), 'utf8')
    const signing = { privateKey: deployerKey, nonce: BigInt(nonce), fee, chainId }
    const transaction = await land(await deployContract(name, source, signing))
    if (transaction?.status !== 'success') throw new Error(`${name}: ${transaction?.status}`)
  }
  return {
    url,
    client,
    chainId,
    contracts: contractsOf(deployer),
    deployer,
    addressOf: addressAt,
    mine,
    fill,
    land,
    async send(privateKey, call) {
      const nonce = await client.nonce(addressAt(privateKey))
      const transaction = await land(await signCall(call, { privateKey, nonce, fee, chainId }))
      if (transaction?.status !== 'success') throw new Error(`${call.functionName}: ${transaction?.status}`)
      return transaction
    },
  }
}
