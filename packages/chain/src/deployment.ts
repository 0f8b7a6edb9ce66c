import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { StacksClient } from './client.ts'
import { contractNames } from './contracts.ts'
import {
  confirmed,
  deployContract,
  deploymentPayload,
  type SignedTransaction,
  submit,
} from './transactions.ts'

type Name = (typeof contractNames)[number]

/** One of the three contracts as it would be, or was, deployed. */
export interface PlannedContract {
  readonly name: Name
  readonly source: string
  /** Of the source. */
  readonly bytes: number
  /** sha256 of the source, hex. */
  readonly hash: string
  /** `different`: the address has another contract of this name, and names are for ever. */
  readonly state: 'missing' | 'deployed' | 'different'
  /** µSTX; 0 where it is deployed. */
  readonly fee: bigint
}

/** Of a transaction around its payload: version, chain, authorization, modes. */
const envelopeBytes = 200

/** What has to be deployed from this address, in order: a contract comes after those that it calls. */
export async function planDeployment(
  client: Pick<StacksClient, 'contractSource' | 'feeEstimate'>,
  sources: Readonly<Record<Name, string>>,
  target: { readonly deployer: string | undefined; readonly chainId: number },
): Promise<PlannedContract[]> {
  return Promise.all(
    contractNames.map(async (name) => {
      const source = sources[name]
      const code = utf8ToBytes(source)
      const there = target.deployer && (await client.contractSource(`${target.deployer}.${name}`))
      const state = there === undefined ? 'missing' : there === source ? 'deployed' : 'different'
      let fee = 0n
      if (state === 'missing') {
        const payload = await deploymentPayload(name, source, target.chainId)
        const bytes = payload.length / 2 + envelopeBytes
        // Nodes take nothing below 1 µSTX per byte, whatever is estimated.
        const least = BigInt(bytes)
        const estimate = (await client.feeEstimate(payload, bytes)) ?? least
        fee = estimate > least ? estimate : least
      }
      return { name, source, bytes: code.length, hash: bytesToHex(sha256(code)), state, fee }
    }),
  )
}

/** A deployment that was signed, and perhaps sent. */
export interface SentDeployment extends SignedTransaction {
  readonly name: Name
  readonly nonce: number
}

/** Where each transaction is written down before it is sent, so that a later run sends the same one and no second. */
export interface DeploymentOutbox {
  read(): SentDeployment[]
  add(sent: SentDeployment): void
}

export interface DeploymentOptions {
  readonly outbox: DeploymentOutbox
  /** Until each is in a block, ms. */
  readonly timeoutMs: number
  readonly intervalMs?: number
  readonly say?: (line: string) => void
}

export type DeploymentResult =
  | { readonly ok: true; readonly txids: Readonly<Partial<Record<Name, string>>> }
  | {
      readonly ok: false
      /** `waiting`: transactions of the address that are not in the outbox are in the mempool. `lost`: what was deployed is something else. */
      readonly reason: 'different' | 'waiting' | 'refused' | 'aborted' | 'dropped' | 'timeout' | 'lost'
      readonly name: Name
      /** What the chain said. */
      readonly message: string
    }

/**
 * Deploys what a plan finds missing, each after the one before is in a block. Interrupted at any point, it goes on where it was when it
 * is called again. Throws `ChainError` where the chain cannot be asked.
 */
export async function deployPlanned(
  client: StacksClient,
  plan: readonly PlannedContract[],
  signing: { readonly privateKey: string; readonly chainId: number; readonly deployer: string },
  options: DeploymentOptions,
): Promise<DeploymentResult> {
  const { outbox, timeoutMs, intervalMs = 2_000, say = () => {} } = options
  const { privateKey, chainId, deployer } = signing
  const txids: Partial<Record<Name, string>> = {}
  const failed = (name: Name, reason: (DeploymentResult & { ok: false })['reason'], message: string) =>
    ({ ok: false, name, reason, message }) as const

  for (const { name, state } of plan)
    if (state === 'different') return failed(name, 'different', `${deployer}.${name} is another contract`)

  for (const { name, source, state, fee } of plan) {
    if (state === 'deployed') {
      say(`${name}: deployed already`)
      continue
    }
    let sent = await underWay(client, outbox, name, deployer)
    if (sent) say(`${name}: goes on with ${sent.txid}`)
    else {
      const [account, nonce] = await Promise.all([client.account(deployer), client.nonce(deployer)])
      if (nonce !== account.nonce)
        return failed(
          name,
          'waiting',
          `${nonce - account.nonce} transactions of ${deployer} wait for a block`,
        )
      const signed = await deployContract(name, source, { privateKey, nonce, fee, chainId })
      sent = { ...signed, name, nonce: Number(nonce) }
      outbox.add(sent)
    }
    const submission = await submit(client, sent)
    if (!submission.ok) return failed(name, 'refused', `${submission.reason} ${submission.message}`)
    say(`${name}: sent ${sent.txid}`)
    const outcome = await confirmed(client, sent.txid, { timeoutMs, intervalMs })
    if (!outcome.ok) return failed(name, outcome.reason, outcome.transaction?.status ?? 'unknown')
    if ((await client.contractSource(`${deployer}.${name}`)) !== source)
      return failed(name, 'lost', `${deployer}.${name} has not the source that was sent`)
    say(`${name}: deployed at Stacks block ${outcome.transaction.height}`)
    txids[name] = sent.txid
  }
  return { ok: true, txids }
}

/** The deployment of this contract that an earlier run signed and that may still succeed. */
async function underWay(
  client: StacksClient,
  outbox: DeploymentOutbox,
  name: Name,
  deployer: string,
): Promise<SentDeployment | undefined> {
  const sent = outbox.read().findLast((entry) => entry.name === name)
  if (!sent) return undefined
  const known = await client.transaction(sent.txid)
  if (known && !known.status.startsWith('dropped')) return known.status.startsWith('abort') ? undefined : sent
  return BigInt(sent.nonce) >= (await client.account(deployer)).nonce ? sent : undefined
}
