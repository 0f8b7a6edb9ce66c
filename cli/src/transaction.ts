import { cvToString } from '@stacks/transactions'
import { type ContractCall, describeCall } from '@understudy/chain/calls'
import type { Transaction } from '@understudy/chain/client'
import { addressOf, confirmed, signCall, submit } from '@understudy/chain/transactions'
import { parseAmount } from './amount.ts'
import type { Io } from './command.ts'
import { Failure } from './failure.ts'
import type { Chain } from './network.ts'

const defaultFee = 20_000n

export interface Sender {
  readonly address: string
  /** Says what may move, signs, sends and waits until the call is in a block. Throws `Failure` when it is refused or fails. */
  send(call: ContractCall): Promise<Transaction>
  /** Several at once, in this order; each answer is the transaction or why it failed. */
  sendAll(calls: readonly ContractCall[]): Promise<(Transaction | Failure)[]>
}

export function createSender(chain: Chain, secret: Uint8Array, txFee: string | undefined, io: Io): Sender {
  const privateKey = Buffer.from(secret).toString('hex')
  const { client, info } = chain
  const address = addressOf(privateKey, info.chainId)
  const fee = txFee === undefined ? defaultFee : parseAmount('tx-fee', txFee)

  async function broadcast(call: ContractCall, nonce: bigint): Promise<string> {
    io.say(`${call.functionName}: ${describeCall(call).join(' ')}`)
    const signed = await signCall(call, { privateKey, nonce, fee, chainId: info.chainId })
    const sent = await submit(client, signed)
    if (sent.ok) {
      io.say(`${call.functionName}: sent ${sent.txid}`)
      return sent.txid
    }
    const fixes: Record<string, string> = {
      NotEnoughFunds: `${address} needs more STX`,
      FeeTooLow: 'give a higher --tx-fee',
    }
    throw new Failure('refused', `the node refused ${call.functionName}: ${sent.reason}`, fixes[sent.reason])
  }

  async function settled(call: ContractCall, txid: string): Promise<Transaction> {
    const outcome = await confirmed(client, txid, { timeoutMs: 30 * 60_000 })
    if (outcome.ok) return outcome.transaction
    const { result, status } = outcome.transaction ?? {}
    const answer = result ? ` ${cvToString(result)}` : ''
    throw new Failure(outcome.reason, `${call.functionName} ${txid}: ${status ?? 'unknown'}${answer}`)
  }

  return {
    address,
    async send(call) {
      const txid = await broadcast(call, await client.nonce(address))
      return settled(call, txid)
    },
    async sendAll(calls) {
      const first = await client.nonce(address)
      const txids: (string | Failure)[] = []
      let nonce = first
      for (const call of calls) {
        try {
          txids.push(await broadcast(call, nonce))
          nonce++
        } catch (error) {
          if (!(error instanceof Failure)) throw error
          txids.push(error)
        }
      }
      return Promise.all(
        txids.map(async (txid, at) => {
          if (txid instanceof Failure) return txid
          return settled(calls[at]!, txid).catch((error: unknown) => {
            if (error instanceof Failure) return error
            throw error
          })
        }),
      )
    },
  }
}
