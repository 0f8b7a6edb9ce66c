import { JsonRpcError, request } from '@stacks/connect'
import type { ContractCall } from '@understudy/chain/calls'

// Loaded on click only: it is many times the rest of the page.

/** `cancelled`: the person said no, which is no error. */
export type WalletAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly cancelled: boolean; readonly reason: string }

const networkOf = (chainId: number) => (chainId === 1 ? 'mainnet' : 'testnet')

/** Asks the wallet for the address that it would sign with on this chain. */
export async function askAddress(chainId: number, chooseAgain: boolean): Promise<WalletAnswer<string>> {
  return asked(async () => {
    const network = networkOf(chainId)
    const { addresses } = await request({ forceWalletSelect: chooseAgain }, 'getAddresses', { network })
    const prefix = network === 'mainnet' ? /^S[PM]/ : /^S[TN]/
    const found = addresses.find(({ address }) => prefix.test(address))
    if (!found) throw new Error(`It offers no ${network} address. Switch its network, and try again.`)
    return found.address
  })
}

/** Has the wallet sign and send a call. Gives the txid, with 0x. */
export async function sendCall(
  call: ContractCall,
  sender: string,
  chainId: number,
): Promise<WalletAnswer<string>> {
  const { contract, functionName, functionArgs, postConditions } = call
  if (call.postConditionMode !== 'deny') throw new Error('a call of this site denies what it does not name')
  return asked(async () => {
    const { txid } = await request('stx_callContract', {
      contract,
      functionName,
      functionArgs,
      postConditions,
      postConditionMode: 'deny',
      address: sender,
      network: networkOf(chainId),
    })
    const id = `0x${(txid ?? '').replace(/^0x/, '')}`
    if (!/^0x[0-9a-f]{64}$/.test(id)) throw new Error('It did not say which transaction it sent.')
    return id
  })
}

/** User rejection (SIP-030, EIP-1193) and a closed wallet picker. */
const cancelCodes = [-32_000, -31_001, 4_001]

async function asked<T>(ask: () => Promise<T>): Promise<WalletAnswer<T>> {
  try {
    return { ok: true, value: await ask() }
  } catch (error) {
    const cancelled = error instanceof JsonRpcError && cancelCodes.includes(error.code)
    const reason =
      error instanceof Error && error.message ? error.message.slice(0, 300) : 'It gave no reason.'
    return { ok: false, cancelled, reason }
  }
}
