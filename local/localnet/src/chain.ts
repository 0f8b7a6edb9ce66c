import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { StacksClient } from '@understudy/chain/client'
import { contractNames } from '@understudy/chain/contracts'
import { addressOf, confirmed, deployContract, submit } from '@understudy/chain/transactions'
import { projectRoot } from './folders.ts'

const deployFee = 1_000_000n

/** Has the local chain's faucet fill each address that holds less than `least` µSTX, and waits until it shows. */
export async function fillAccounts(
  client: StacksClient,
  stacksUrl: string,
  addresses: readonly string[],
  least: bigint,
): Promise<void> {
  await Promise.all(
    addresses.map(async (address) => {
      const { balance } = await client.account(address)
      if (balance >= least) return
      const response = await fetch(`${stacksUrl}/extended/v1/faucets/stx?address=${address}`, {
        method: 'POST',
        signal: AbortSignal.timeout(10_000),
      })
      if (!response.ok) throw new Error(`the faucet answered ${response.status} for ${address}`)
      for (let tries = 0; (await client.account(address)).balance <= balance; tries++) {
        if (tries >= 60) throw new Error(`the faucet's money for ${address} does not arrive; read devnet.log`)
        await delay(500)
      }
    }),
  )
}

/** Deploys the contracts that are missing, by transactions signed with the deployer's key. Answers the txids. */
export async function deployContracts(client: StacksClient, secret: Uint8Array): Promise<string[]> {
  const privateKey = Buffer.from(secret).toString('hex')
  const { chainId } = await client.info()
  const deployer = addressOf(privateKey, chainId)
  let nonce = await client.nonce(deployer)
  const txids: string[] = []
  for (const name of contractNames.slice(Number(nonce))) {
    const source = await readFile(join(projectRoot, 'contracts', `${name}.clar`), 'utf8')
    const signed = await deployContract(name, source, { privateKey, nonce, fee: deployFee, chainId })
    const sent = await submit(client, signed)
    if (!sent.ok) throw new Error(`${name} was refused: ${sent.reason} ${sent.message}`)
    txids.push(sent.txid)
    nonce++
  }
  for (const txid of txids) {
    const outcome = await confirmed(client, txid, { timeoutMs: 60_000, intervalMs: 250 })
    if (!outcome.ok)
      throw new Error(`a contract's deployment ${txid} ended ${outcome.transaction?.status ?? 'unknown'}`)
  }
  return txids
}
