export type { Asset } from '@understudy/protocol/money'

/** A contract principal: `<address>.<name>`. */
export type ContractId = `${string}.${string}`

/** The names that the three contracts are deployed under, in the order in which they have to be deployed. */
export const contractNames = ['attester-quorum', 'mirror-registry', 'reward-pool'] as const

/** The three contracts of one deployment. */
export interface Contracts {
  /** Apps, rules, keys. */
  readonly quorum: ContractId
  /** Mirrors and their bonds. */
  readonly registry: ContractId
  /** Deposits, settlements, claims. */
  readonly pool: ContractId
}

/** The contracts that this address deployed. */
export function contractsOf(deployer: string): Contracts {
  const [quorum, registry, pool] = contractNames
  return {
    quorum: `${deployer}.${quorum}`,
    registry: `${deployer}.${registry}`,
    pool: `${deployer}.${pool}`,
  }
}

/** Address and name of a contract id. */
export function splitContract(contract: string): readonly [address: string, name: string] {
  const at = contract.indexOf('.')
  if (at < 1 || at === contract.length - 1) throw new Error(`not a contract principal: ${contract}`)
  return [contract.slice(0, at), contract.slice(at + 1)]
}

/** The one sBTC contract of each network, and the name of its token. Local chains hold a stand-in under testnet's address. */
const sbtc = {
  mainnet: 'SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4.sbtc-token',
  testnet: 'ST1F7QA2MDF17S807EPA36TSS8AMEFY4KA9TVGWXT.sbtc-token',
} as const
export const sbtcToken = 'sbtc-token'

/** The sBTC contract that a deployment of ours pins: that of the network that its address belongs to. */
export function sbtcOf(contract: ContractId): ContractId {
  return /^S[PM]/.test(contract) ? sbtc.mainnet : sbtc.testnet
}

/**
 * What is deployed of a contract's source: without comments and indentation, which every call would pay for again, and on mainnet with
 * mainnet's sBTC contract in place of testnet's, the constant `SBTC`. Nothing else differs between networks.
 */
export function deployedSource(source: string, chainId: number): string {
  const code = source
    .replace(/"(?:[^"\\]|\\.)*"|;;.*/g, (token) => (token.startsWith('"') ? token : ''))
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n')
  return chainId === 1 ? code.replaceAll(`'${sbtc.testnet}`, `'${sbtc.mainnet}`) : code
}
