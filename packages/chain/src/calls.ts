import { Cl, type ClarityValue, type PostCondition } from '@stacks/transactions'
import type { Schedule } from '@understudy/protocol/epoch'
import type { PayoutLeaf, ProofStep } from '@understudy/protocol/merkle'
import type { Rules } from '@understudy/protocol/rules'
import type { SettlementMessage } from '@understudy/protocol/settlement'
import type { ContractId, Contracts } from './contracts.ts'

/** A contract call, ready for a wallet or for `signCall`. */
export interface ContractCall {
  readonly contract: ContractId
  readonly functionName: string
  readonly functionArgs: ClarityValue[]
  readonly postConditions: PostCondition[]
  /** `deny`: whatever no post-condition allows undoes the transaction. */
  readonly postConditionMode: 'deny' | 'allow' | 'originator'
}

/** The rules that a maintainer chooses: a row without its place in the row's order. */
export type Terms = Omit<Rules, 'version' | 'from' | 'until'>

const hexBuffer = (hex: string): ClarityValue => Cl.bufferFromHex(hex)

function call(
  contract: ContractId,
  functionName: string,
  functionArgs: ClarityValue[],
  postConditions: PostCondition[] = [],
): ContractCall {
  return { contract, functionName, functionArgs, postConditions, postConditionMode: 'deny' }
}

function sends(address: string, amount: bigint, condition: 'eq' | 'lte' = 'eq'): PostCondition {
  return { type: 'stx-postcondition', address, condition, amount }
}

/** Registers an app; its sender is its maintainer. `coordinate` is `30617:<pubkey>:<d>`. */
export function registerApp(
  contracts: Contracts,
  app: { readonly coordinate: string; readonly schedule: Schedule; readonly terms: Terms },
): ContractCall {
  const { schedule, terms } = app
  return call(contracts.quorum, 'register-app', [
    Cl.bufferFromAscii(app.coordinate),
    Cl.tuple({
      start: Cl.uint(schedule.start),
      length: Cl.uint(schedule.length),
      notice: Cl.uint(schedule.notice),
      cap: Cl.uint(schedule.cap),
    }),
    Cl.tuple({
      budget: Cl.uint(terms.budget),
      keys: Cl.list(terms.keys.map(hexBuffer)),
      places: Cl.uint(terms.places),
      levels: Cl.list(terms.levels.map(Cl.stringAscii)),
      floor: Cl.uint(terms.floor),
      'domain-bond': Cl.uint(terms.domainBond),
      fee: Cl.uint(terms.fee),
      grace: Cl.uint(terms.grace),
      'min-bond': Cl.uint(terms.minBond),
      faults: Cl.uint(terms.faults),
      window: Cl.uint(terms.window),
      challenge: Cl.uint(terms.challenge),
      'claim-period': Cl.uint(terms.claimPeriod),
      'release-key': hexBuffer(terms.releaseKey),
      'min-seq': Cl.uint(terms.minSeq),
    }),
  ])
}

/** Registers a mirror of `sender`, who sends the bond (µSTX). */
export function registerMirror(
  contracts: Contracts,
  sender: string,
  mirror: {
    readonly app: string
    /** Nostr public key of the node, hex. */
    readonly nodeKey: string
    /** URL, up to 200 ASCII characters. */
    readonly endpoint: string
    readonly bond: bigint
  },
): ContractCall {
  return call(
    contracts.registry,
    'register-mirror',
    [hexBuffer(mirror.app), hexBuffer(mirror.nodeKey), Cl.stringAscii(mirror.endpoint), Cl.uint(mirror.bond)],
    [sends(sender, mirror.bond)],
  )
}

/** Says where a mirror is now; its owner only. */
export function setEndpoint(
  contracts: Contracts,
  mirror: { readonly app: string; readonly mirror: number; readonly endpoint: string },
): ContractCall {
  return call(contracts.registry, 'set-endpoint', [
    hexBuffer(mirror.app),
    Cl.uint(mirror.mirror),
    Cl.stringAscii(mirror.endpoint),
  ])
}

/** Starts to take a bond back; the mirror's owner only. */
export function beginUnbond(
  contracts: Contracts,
  mirror: { readonly app: string; readonly mirror: number },
): ContractCall {
  return call(contracts.registry, 'begin-unbond', [hexBuffer(mirror.app), Cl.uint(mirror.mirror)])
}

/** Takes a bond (µSTX) back from the registry; the mirror's owner only. */
export function withdraw(
  contracts: Contracts,
  mirror: { readonly app: string; readonly mirror: number; readonly bond: bigint },
): ContractCall {
  return call(
    contracts.registry,
    'withdraw',
    [hexBuffer(mirror.app), Cl.uint(mirror.mirror)],
    [sends(contracts.registry, mirror.bond)],
  )
}

/** Deposits `amount` µSTX of `sender` under the rules that it names. */
export function fund(
  contracts: Contracts,
  sender: string,
  deposit: {
    readonly app: string
    readonly amount: bigint
    readonly rulesVersion: number
    /** Fewer shares than this undo the deposit. */
    readonly minShares: bigint
  },
): ContractCall {
  return call(
    contracts.pool,
    'fund',
    [
      hexBuffer(deposit.app),
      Cl.uint(deposit.amount),
      Cl.uint(deposit.rulesVersion),
      Cl.uint(deposit.minShares),
    ],
    [sends(sender, deposit.amount)],
  )
}

/** Settles an epoch. `signatures` are RSV hex, one place per attester key of the rules, `null` where one is missing. */
export function settle(
  contracts: Contracts,
  message: Omit<SettlementMessage, 'pool'>,
  signatures: readonly (string | null)[],
): ContractCall {
  return call(contracts.pool, 'settle', [
    hexBuffer(message.app),
    Cl.uint(message.epoch),
    Cl.uint(message.round),
    hexBuffer(message.inputs),
    hexBuffer(message.root),
    Cl.uint(message.allocated),
    Cl.uint(message.count),
    Cl.list(signatures.map((rsv) => (rsv === null ? Cl.none() : Cl.some(hexBuffer(rsv))))),
  ])
}

/** Has the pool pay a leaf to its recipient; anyone may send it. */
export function claim(
  contracts: Contracts,
  payout: {
    readonly app: string
    readonly epoch: number
    readonly leaf: PayoutLeaf
    readonly proof: readonly ProofStep[]
  },
): ContractCall {
  const { leaf } = payout
  return call(
    contracts.pool,
    'claim',
    [
      hexBuffer(payout.app),
      Cl.uint(payout.epoch),
      Cl.tuple({
        index: Cl.uint(leaf.index),
        mirror: Cl.uint(leaf.mirror),
        recipient: Cl.principal(leaf.recipient),
        amount: Cl.uint(leaf.amount),
      }),
      Cl.list(payout.proof.map((step) => Cl.tuple({ hash: hexBuffer(step.hash), left: Cl.bool(step.left) }))),
    ],
    // At most: a claim that another sender was first with then fails for what it is, not for its condition.
    [sends(contracts.pool, leaf.amount, 'lte')],
  )
}

/** µSTX as STX, without trailing zeros. */
export function formatStx(amount: bigint): string {
  const fraction = (amount % 1_000_000n).toString().padStart(6, '0').replace(/0+$/, '')
  const whole = (amount / 1_000_000n).toString()
  return `${fraction ? `${whole}.${fraction}` : whole} STX`
}

const comparisons = {
  eq: 'exactly',
  gt: 'more than',
  gte: 'at least',
  lt: 'less than',
  lte: 'at most',
} as const

/** What may move when this call is sent, in plain words, one sentence each. */
export function describeCall(call: ContractCall): string[] {
  const sentences = call.postConditions.map((condition) => {
    if (condition.type !== 'stx-postcondition')
      throw new Error(`no words for a condition of type ${condition.type}`)
    return `${condition.address} sends ${comparisons[condition.condition]} ${formatStx(BigInt(condition.amount))}.`
  })
  if (call.postConditionMode === 'allow') return [...sentences, 'Other assets may move as well.']
  const nothing = sentences.length === 0
  if (call.postConditionMode === 'originator')
    return [...sentences, `${nothing ? 'Nothing' : 'Nothing else'} of the sender's may move.`]
  return [
    ...sentences,
    nothing ? 'Nothing but the fee may move.' : 'Should anything else move, the whole transaction is undone.',
  ]
}
