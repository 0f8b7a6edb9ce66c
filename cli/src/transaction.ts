import { cvToString } from '@stacks/transactions'
import { balanceOf } from '@understudy/chain/balance'
import { type ContractCall, describeCall, takenFrom } from '@understudy/chain/calls'
import type { Transaction } from '@understudy/chain/client'
import { addressOf, confirmed, signCall, submit } from '@understudy/chain/transactions'
import { type Asset, formatMoney } from '@understudy/protocol/money'
import { parseAmount } from './amount.ts'
import type { Io, Result } from './command.ts'
import { Failure } from './failure.ts'
import type { Chain } from './network.ts'

const defaultFee = 20_000n

export interface Sender {
  readonly address: string
  /** What these calls would move and cost; nothing is signed or sent. Throws `Failure` where the sender has too little. */
  preview(calls: readonly ContractCall[]): Promise<Result>
  /** Says what may move, signs, sends and waits until the call is in a block. Throws `Failure` when it is refused or fails. */
  send(call: ContractCall): Promise<Transaction>
  /** Several at once, in this order; each answer is the transaction or why it failed. */
  sendAll(calls: readonly ContractCall[]): Promise<(Transaction | Failure)[]>
}

export function createSender(
  chain: Chain,
  secret: Uint8Array,
  args: { readonly 'tx-fee'?: string | undefined },
  io: Io,
): Sender {
  const privateKey = Buffer.from(secret).toString('hex')
  const { client, info, contracts } = chain
  const address = addressOf(privateKey, info.chainId)
  const fee = args['tx-fee'] === undefined ? defaultFee : parseAmount('tx-fee', args['tx-fee'], 'stx')
  const feeInWords = `${formatMoney(fee, 'stx')}, always in STX`

  /** What the sender has of each asset that it needs. Who lacks sBTC would learn of it from a failed transaction, for a fee. */
  async function covered(calls: readonly ContractCall[]): Promise<Partial<Record<Asset, bigint>>> {
    const taken = calls.map((call) => takenFrom(call, address))
    const needed = {
      stx: taken.reduce((sum, { stx }) => sum + stx, fee * BigInt(calls.length)),
      sbtc: taken.reduce((sum, { sbtc }) => sum + sbtc, 0n),
    }
    const held: Partial<Record<Asset, bigint>> = {}
    for (const asset of ['stx', 'sbtc'] as const) {
      if (needed[asset] === 0n) continue
      held[asset] = await balanceOf(client, contracts.pool, asset, address)
      if (held[asset] < needed[asset])
        throw new Failure(
          'too-little',
          `${address} has ${formatMoney(held[asset], asset)}; this takes ${formatMoney(needed[asset], asset)}${asset === 'stx' ? ', the fee included' : ''}`,
          `send it ${formatMoney(needed[asset] - held[asset], asset)} more`,
        )
    }
    return held
  }

  async function broadcast(call: ContractCall, nonce: bigint): Promise<string> {
    io.say(`${call.functionName}: ${describeCall(call).join(' ')} The fee is ${feeInWords}.`)
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
    async preview(calls) {
      const held = await covered(calls)
      const has = Object.entries(held).map(([asset, amount]) => formatMoney(amount, asset as Asset))
      return {
        lines: [
          ...calls.flatMap((call) => [
            `would call   ${call.contract} ${call.functionName}`,
            ...describeCall(call).map((sentence) => `             ${sentence}`),
          ]),
          ...(calls.length > 0
            ? [
                `network fee  ${formatMoney(fee * BigInt(calls.length), 'stx')}, always in STX`,
                `sender       ${address}, which has ${has.join(' and ')}`,
              ]
            : ['no transaction is needed']),
          'nothing was signed or sent',
        ],
        data: {
          dryRun: true,
          sender: address,
          fee: fee * BigInt(calls.length),
          held,
          calls: calls.map((call) => ({
            contract: call.contract,
            functionName: call.functionName,
            takes: takenFrom(call, address),
            moves: describeCall(call),
          })),
        },
      }
    },
    async send(call) {
      await covered([call])
      const txid = await broadcast(call, await client.nonce(address))
      return settled(call, txid)
    },
    async sendAll(calls) {
      if (calls.length > 0) await covered(calls)
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
