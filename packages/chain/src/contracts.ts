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
