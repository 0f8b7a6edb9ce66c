import { hexToCV, makeContractCall, privateKeyToPublic } from '@stacks/transactions'
import { splitContract } from '@understudy/chain/contracts'
import { addressOf, submit } from '@understudy/chain/transactions'
import type { BrowserContext } from 'playwright-core'
import type { Network } from './network.ts'

/** µSTX that this wallet pays for every transaction. */
export const walletFee = 1_000n

/** What the page asked the wallet to sign. */
interface AskedCall {
  readonly contract: string
  readonly functionName: string
  readonly functionArgs: string[]
  readonly postConditions: string[]
  readonly postConditionMode: 'allow' | 'deny'
}

/** A wallet that a page finds like any other. It signs here, outside of the browser, and sends to the local chain. */
export interface TestWallet {
  readonly address: string
  /** Every call that it was asked to sign, those that it refused included. */
  readonly asked: readonly AskedCall[]
  /** What its person answers from now on. */
  answers: 'yes' | 'no'
}

type Answer = { result: unknown } | { error: { code: number; message: string } }

export async function installWallet(
  context: BrowserContext,
  network: Network,
  privateKey: string,
): Promise<TestWallet> {
  const { client, chainId } = network
  const asked: AskedCall[] = []
  const wallet: TestWallet = { address: addressOf(privateKey, chainId), asked, answers: 'yes' }

  async function callContract(call: AskedCall): Promise<Answer> {
    asked.push(call)
    if (wallet.answers === 'no') return { error: { code: -32_000, message: 'User rejected the request' } }
    const [contractAddress, contractName] = splitContract(call.contract)
    const { functionName, functionArgs, postConditions, postConditionMode } = call
    const transaction = await makeContractCall({
      contractAddress,
      contractName,
      functionName,
      functionArgs: functionArgs.map((hex) => hexToCV(hex)),
      postConditions,
      postConditionMode,
      senderKey: privateKey,
      nonce: await client.nonce(wallet.address),
      fee: walletFee,
      network: chainId === 1 ? 'mainnet' : 'testnet',
    })
    const hex = transaction.serialize()
    const sent = await submit(client, { txid: `0x${transaction.txid()}`, hex })
    if (!sent.ok) return { error: { code: -32_603, message: `the network refused it (${sent.reason})` } }
    return { result: { txid: sent.txid.slice(2), transaction: hex } }
  }

  function answer(method: string, params: unknown): Answer | Promise<Answer> {
    switch (method) {
      case 'getAddresses':
      case 'stx_getAddresses': {
        const address = { symbol: 'STX', address: wallet.address, publicKey: privateKeyToPublic(privateKey) }
        return { result: { addresses: [address] } }
      }
      case 'stx_callContract':
        return callContract(params as AskedCall)
      default:
        return { error: { code: -32_601, message: `no such method: ${method}` } }
    }
  }

  await context.exposeBinding('askTestWallet', (_, method: string, params: unknown) => answer(method, params))
  await context.addInitScript(() => {
    const page = window as unknown as {
      askTestWallet(method: string, params: unknown): Promise<unknown>
      TestWallet: unknown
      wbip_providers: unknown[]
    }
    page.TestWallet = {
      request: async (method: string, params: unknown) => ({
        jsonrpc: '2.0',
        id: '1',
        ...((await page.askTestWallet(method, params)) as object),
      }),
    }
    page.wbip_providers = [
      ...(page.wbip_providers ?? []),
      {
        id: 'TestWallet',
        name: 'Test Wallet',
        icon: 'data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1H0z"/></svg>',
        methods: ['getAddresses', 'stx_callContract'],
      },
    ]
  })
  return wallet
}
