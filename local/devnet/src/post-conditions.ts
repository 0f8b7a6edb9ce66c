import {
  addressToString,
  cvToHex,
  FungibleConditionCode,
  NonFungibleConditionCode,
  PostConditionMode,
  PostConditionPrincipalId,
  type PostConditionPrincipalWire,
  PostConditionType,
  type PostConditionWire,
} from '@stacks/transactions'
import type { SimnetEvent } from './simnet.ts'

/** What one principal let go of in a transaction: sent and burnt alike. Minting sends nothing. */
export interface Sent {
  readonly principal: string
  /** `STX`, or `<contract>::<token>` */
  readonly asset: string
  /** The consensus encoding (0x…) of a non-fungible token's identifier. */
  readonly token?: string
  readonly amount: bigint
}

const LEAVES = new Set([
  'stx_transfer_event',
  'stx_burn_event',
  'ft_transfer_event',
  'ft_burn_event',
  'nft_transfer_event',
  'nft_burn_event',
])

export function assetsSent(events: readonly SimnetEvent[]): Sent[] {
  return events
    .filter(({ event }) => LEAVES.has(event))
    .map(({ data }) => {
      const principal = String(data.sender)
      const asset = String(data.asset_identifier ?? 'STX')
      return data.raw_value === undefined
        ? { principal, asset, amount: BigInt(String(data.amount)) }
        : { principal, asset, token: String(data.raw_value), amount: 1n }
    })
}

/**
 * Whether a transaction may keep what it did (SIP-005 §Post-conditions, SIP-040 for the originator mode).
 *
 * Every condition must hold, even those about principals that sent nothing. Beyond that, `deny` wants every asset that
 * anyone sent to be named by a condition, `originator` those that the origin sent, `allow` none.
 */
export function postConditionsHold(
  mode: PostConditionMode,
  conditions: readonly PostConditionWire[],
  origin: string,
  sent: readonly Sent[],
): boolean {
  if (!conditions.every((condition) => holds(condition, origin, sent))) return false
  if (mode === PostConditionMode.Allow) return true
  const guarded =
    mode === PostConditionMode.Deny ? sent : sent.filter(({ principal }) => principal === origin)
  return guarded.every((asset) => conditions.some((condition) => covers(condition, origin, asset)))
}

function holds(condition: PostConditionWire, origin: string, sent: readonly Sent[]): boolean {
  const covered = sent.filter((asset) => covers(condition, origin, asset))
  switch (condition.conditionType) {
    case PostConditionType.STX:
    case PostConditionType.Fungible: {
      const total = covered.reduce((sum, { amount }) => sum + amount, 0n)
      return compares(total, condition.conditionCode, BigInt(condition.amount))
    }
    case PostConditionType.NonFungible:
      if (condition.conditionCode === NonFungibleConditionCode.MaybeSent) return true
      return (condition.conditionCode === NonFungibleConditionCode.Sends) === covered.length > 0
    default:
      throw new Error(`post-condition of type ${condition.conditionType} was let in`)
  }
}

function covers(condition: PostConditionWire, origin: string, asset: Sent): boolean {
  if (principalOf(condition.principal, origin) !== asset.principal) return false
  switch (condition.conditionType) {
    case PostConditionType.STX:
      return asset.asset === 'STX'
    case PostConditionType.Fungible:
      return asset.token === undefined && asset.asset === assetOf(condition)
    case PostConditionType.NonFungible:
      return asset.asset === assetOf(condition) && asset.token === cvToHex(condition.assetName)
    default:
      return false
  }
}

/** Simnet locks no STX, so conditions on staking (SIP-044) cannot be judged. */
export function isSupported({ conditionType }: PostConditionWire): boolean {
  return conditionType !== PostConditionType.Staking && conditionType !== PostConditionType.PoX
}

type AssetCondition = Extract<PostConditionWire, { readonly asset: unknown }>

function assetOf({ asset }: AssetCondition): string {
  const { address, contractName, assetName } = asset
  return `${addressToString(address)}.${contractName.content}::${assetName.content}`
}

function principalOf(principal: PostConditionPrincipalWire, origin: string): string {
  switch (principal.prefix) {
    case PostConditionPrincipalId.Origin:
      return origin
    case PostConditionPrincipalId.Standard:
      return addressToString(principal.address)
    case PostConditionPrincipalId.Contract:
      return `${addressToString(principal.address)}.${principal.contractName.content}`
  }
}

function compares(actual: bigint, code: FungibleConditionCode, amount: bigint): boolean {
  switch (code) {
    case FungibleConditionCode.Equal:
      return actual === amount
    case FungibleConditionCode.Greater:
      return actual > amount
    case FungibleConditionCode.GreaterEqual:
      return actual >= amount
    case FungibleConditionCode.Less:
      return actual < amount
    case FungibleConditionCode.LessEqual:
      return actual <= amount
  }
}
