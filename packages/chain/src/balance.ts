import { Cl, ClarityType } from '@stacks/transactions'
import type { Asset } from '@understudy/protocol/money'
import { ChainError, type StacksClient } from './client.ts'
import { type ContractId, sbtcOf } from './contracts.ts'

/**
 * What an address can spend of an asset, in its smallest unit; sBTC that waits for a withdrawal to Bitcoin is left out. `ours`: any contract of
 * the deployment, which tells the network. Throws `ChainError`.
 */
export async function balanceOf(
  client: Pick<StacksClient, 'account' | 'callReadOnly'>,
  ours: ContractId,
  asset: Asset,
  address: string,
): Promise<bigint> {
  if (asset === 'stx') return (await client.account(address)).balance
  const answer = await client.callReadOnly(sbtcOf(ours), 'get-balance-available', [Cl.principal(address)])
  if (answer.type === ClarityType.ResponseOk && answer.value.type === ClarityType.UInt)
    return BigInt(answer.value.value)
  throw new ChainError('malformed', 'get-balance-available: not an amount')
}
