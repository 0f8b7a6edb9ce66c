import { createHash } from 'node:crypto'
import { getAddressFromPrivateKey } from '@stacks/transactions'

/** A funded account of the local chain. Its key is public: it must never hold anything of value. */
export interface Account {
  readonly name: string
  /** secp256k1 private key, 32 bytes and the compression byte 01, in hex. */
  readonly privateKey: string
  /** Testnet address (ST…). */
  readonly address: string
  /** Balance at genesis, in µSTX. */
  readonly balance: bigint
}

// All balances together stay below 2^53 µSTX: simnet takes the amount of a plain transfer as a JSON number.
const BALANCE = 100_000_000_000_000n

const NAMES = [
  'deployer',
  'maintainer',
  'funder',
  ...Array.from({ length: 8 }, (_, i) => `operator${i + 1}`),
  ...Array.from({ length: 5 }, (_, i) => `attester${i + 1}`),
  'visitor',
]

/** The key of a devnet account is the hash of its name, so that anyone can derive it. */
function account(name: string, balance: bigint): Account {
  const key = createHash('sha256').update(`understudy devnet account ${name}`).digest('hex')
  const privateKey = `${key}01`
  return { name, privateKey, address: getAddressFromPrivateKey(privateKey, 'testnet'), balance }
}

/** Pays what `POST /extended/v1/faucets/stx` hands out. */
export const FAUCET: Account = account('faucet', 50n * BALANCE)

/** Receives every fee, as a miner would. Starts empty. */
export const MINER: Account = account('miner', 0n)

/** Every account of the chain at genesis, the same on every devnet. */
export const ACCOUNTS: readonly Account[] = [...NAMES.map((name) => account(name, BALANCE)), FAUCET, MINER]
