import { balanceOf } from '@understudy/chain/balance'
import { createStacksClient } from '@understudy/chain/client'
import type { ContractId } from '@understudy/chain/contracts'
import type { NetworkView } from '@understudy/protocol/api'
import { type Parsed, parsed, refused } from '@understudy/protocol/event'
import type { Asset } from './money.ts'

// Loaded only where there is a wallet to look into.

/** What a wallet can spend, in the smallest unit of each asset; of sBTC only where it is asked for. */
export type Holding = Readonly<Record<Asset, bigint>>

/** What the chain itself says that an address holds: of STX, which fees are paid in, and of the asset that is meant. */
export async function holdingOf(
  network: NetworkView,
  address: string,
  asset: Asset,
): Promise<Parsed<Holding>> {
  const client = createStacksClient({ url: network.stacksUrl, attempts: 1 })
  const pool = network.contracts.pool as ContractId
  try {
    const [stx, sbtc] = await Promise.all([
      balanceOf(client, pool, 'stx', address),
      asset === 'sbtc' ? balanceOf(client, pool, 'sbtc', address) : 0n,
    ])
    return parsed({ stx, sbtc })
  } catch {
    return refused('the chain does not answer')
  }
}
