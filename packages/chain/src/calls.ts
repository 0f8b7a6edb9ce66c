import { Cl, type ClarityValue, type PostCondition } from '@stacks/transactions'
import type { Schedule } from '@understudy/protocol/epoch'
import { merkleProof, type PayoutLeaf, type ProofStep, payoutLeafHash } from '@understudy/protocol/merkle'
import { type Asset, formatMoney } from '@understudy/protocol/money'
import type { Rules } from '@understudy/protocol/rules'
import type { SettlementMessage } from '@understudy/protocol/settlement'
import { structuredHash } from '@understudy/protocol/sip018'
import { type ContractId, type Contracts, sbtcOf, sbtcToken } from './contracts.ts'

/** A contract call, ready for a wallet or for `signCall`. Money is in the smallest unit of the app's asset: µSTX or satoshis. */
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

/** What moves in an app's asset, where a call moves money. */
interface Money {
  /** The app's. Default STX. */
  readonly asset?: Asset
}

function sends(
  contracts: Contracts,
  asset: Asset | undefined,
  address: string,
  amount: bigint,
  condition: 'eq' | 'lte' | 'gte' = 'eq',
): PostCondition {
  if (asset !== 'sbtc') return { type: 'stx-postcondition', address, condition, amount }
  const token = `${sbtcOf(contracts.pool)}::${sbtcToken}` as const
  return { type: 'ft-postcondition', address, condition, amount, asset: token }
}

function termsTuple(terms: Terms): ClarityValue {
  return Cl.tuple({
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
  })
}

/** Registers an app; its sender is its maintainer. `coordinate` is `30617:<pubkey>:<d>`; its asset is fixed for ever. */
export function registerApp(
  contracts: Contracts,
  app: { readonly coordinate: string; readonly schedule: Schedule; readonly terms: Terms } & Money,
): ContractCall {
  const { schedule, terms, asset } = app
  return call(contracts.quorum, 'register-app', [
    Cl.bufferFromAscii(app.coordinate),
    Cl.tuple({
      start: Cl.uint(schedule.start),
      length: Cl.uint(schedule.length),
      notice: Cl.uint(schedule.notice),
      cap: Cl.uint(schedule.cap),
      sbtc: Cl.bool(asset === 'sbtc'),
    }),
    termsTuple(terms),
  ])
}

/** Announces rules for the epochs from `from` on, more than `notice` epochs ahead; the maintainer only. */
export function changeRules(
  contracts: Contracts,
  change: { readonly app: string; readonly from: number; readonly terms: Terms },
): ContractCall {
  return call(contracts.quorum, 'change-rules', [
    hexBuffer(change.app),
    Cl.uint(change.from),
    termsTuple(change.terms),
  ])
}

/** Winds an app down after the notice; its maintainer only. */
export function endRules(contracts: Contracts, app: string): ContractCall {
  return call(contracts.quorum, 'end-rules', [hexBuffer(app)])
}

/** Names another release key from the next epoch on; the maintainer only. */
export function replaceReleaseKey(
  contracts: Contracts,
  key: { readonly app: string; readonly releaseKey: string; readonly minSeq: number },
): ContractCall {
  return call(contracts.quorum, 'replace-release-key', [
    hexBuffer(key.app),
    hexBuffer(key.releaseKey),
    Cl.uint(key.minSeq),
  ])
}

/** Offers an app to another maintainer, or to nobody (`null`) any more; the maintainer only. */
export function offerMaintainer(
  contracts: Contracts,
  offer: { readonly app: string; readonly to: string | null },
): ContractCall {
  const to = offer.to === null ? Cl.none() : Cl.some(Cl.principal(offer.to))
  return call(contracts.quorum, 'offer-maintainer', [hexBuffer(offer.app), to])
}

/** Takes over an app that was offered to the sender. */
export function acceptMaintainer(contracts: Contracts, app: string): ContractCall {
  return call(contracts.quorum, 'accept-maintainer', [hexBuffer(app)])
}

/** Registers a mirror of `sender`, who sends the bond. */
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
  } & Money,
): ContractCall {
  return call(
    contracts.registry,
    'register-mirror',
    [hexBuffer(mirror.app), hexBuffer(mirror.nodeKey), Cl.stringAscii(mirror.endpoint), Cl.uint(mirror.bond)],
    [sends(contracts, mirror.asset, sender, mirror.bond)],
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

/** Names another node key for a mirror; its owner only. */
export function replaceNodeKey(
  contracts: Contracts,
  mirror: { readonly app: string; readonly mirror: number; readonly nodeKey: string },
): ContractCall {
  return call(contracts.registry, 'replace-node-key', [
    hexBuffer(mirror.app),
    Cl.uint(mirror.mirror),
    hexBuffer(mirror.nodeKey),
  ])
}

/** Adds `amount` of `sender`, the mirror's owner, to its bond. */
export function addBond(
  contracts: Contracts,
  sender: string,
  mirror: { readonly app: string; readonly mirror: number; readonly amount: bigint } & Money,
): ContractCall {
  return call(
    contracts.registry,
    'add-bond',
    [hexBuffer(mirror.app), Cl.uint(mirror.mirror), Cl.uint(mirror.amount)],
    [sends(contracts, mirror.asset, sender, mirror.amount)],
  )
}

/** Says that a mirror is gone for good, and starts to take its bond back; its owner only. */
export function retire(
  contracts: Contracts,
  mirror: { readonly app: string; readonly mirror: number },
): ContractCall {
  return call(contracts.registry, 'retire', [hexBuffer(mirror.app), Cl.uint(mirror.mirror)])
}

/** Starts to take a bond back; the mirror's owner only. */
export function beginUnbond(
  contracts: Contracts,
  mirror: { readonly app: string; readonly mirror: number },
): ContractCall {
  return call(contracts.registry, 'begin-unbond', [hexBuffer(mirror.app), Cl.uint(mirror.mirror)])
}

/** Takes a bond back from the registry; the mirror's owner only. */
export function withdraw(
  contracts: Contracts,
  mirror: { readonly app: string; readonly mirror: number; readonly bond: bigint } & Money,
): ContractCall {
  return call(
    contracts.registry,
    'withdraw',
    [hexBuffer(mirror.app), Cl.uint(mirror.mirror)],
    [sends(contracts, mirror.asset, contracts.registry, mirror.bond)],
  )
}

/** Deposits `amount` of `sender` under the rules that it names. */
export function fund(
  contracts: Contracts,
  sender: string,
  deposit: {
    readonly app: string
    readonly amount: bigint
    readonly rulesVersion: number
    /** Fewer shares than this undo the deposit. */
    readonly minShares: bigint
  } & Money,
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
    [sends(contracts, deposit.asset, sender, deposit.amount)],
  )
}

/** Mints the shares of a deposit that waited; anyone may send it. */
export function activate(
  contracts: Contracts,
  deposit: { readonly app: string; readonly funder: string },
): ContractCall {
  return call(contracts.pool, 'activate', [hexBuffer(deposit.app), Cl.principal(deposit.funder)])
}

/** Takes the sender's waiting deposit back. */
export function takeBack(
  contracts: Contracts,
  deposit: { readonly app: string; readonly amount: bigint } & Money,
): ContractCall {
  return call(
    contracts.pool,
    'take-back',
    [hexBuffer(deposit.app)],
    [sends(contracts, deposit.asset, contracts.pool, deposit.amount)],
  )
}

/** Asks to leave with so many shares two epochs later; 0 takes the wish back. */
export function requestExit(
  contracts: Contracts,
  exit: { readonly app: string; readonly shares: bigint },
): ContractCall {
  return call(contracts.pool, 'request-exit', [hexBuffer(exit.app), Cl.uint(exit.shares)])
}

/** Leaves as requested; undone where the shares bring less than `least`. */
export function exit(
  contracts: Contracts,
  request: { readonly app: string; readonly least: bigint } & Money,
): ContractCall {
  const atLeast = sends(contracts, request.asset, contracts.pool, request.least, 'gte')
  return call(contracts.pool, 'exit', [hexBuffer(request.app)], [atLeast])
}

/** Voids the first settlement of an epoch before it is payable; the maintainer only. */
export function veto(
  contracts: Contracts,
  settlement: { readonly app: string; readonly epoch: number },
): ContractCall {
  return call(contracts.pool, 'veto', [hexBuffer(settlement.app), Cl.uint(settlement.epoch)])
}

/** Returns what nobody claimed in an epoch's claim period to the pool; anyone may send it. */
export function sweep(
  contracts: Contracts,
  settlement: { readonly app: string; readonly epoch: number },
): ContractCall {
  return call(contracts.pool, 'sweep', [hexBuffer(settlement.app), Cl.uint(settlement.epoch)])
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

/** Adds signatures to a live settlement, places as in `settle`; anyone may send it. */
export function addSignatures(
  contracts: Contracts,
  settlement: { readonly app: string; readonly epoch: number },
  signatures: readonly (string | null)[],
): ContractCall {
  return call(contracts.pool, 'add-signatures', [
    hexBuffer(settlement.app),
    Cl.uint(settlement.epoch),
    Cl.list(signatures.map((rsv) => (rsv === null ? Cl.none() : Cl.some(hexBuffer(rsv))))),
  ])
}

/** Whom a report accuses: an attester key (33 bytes hex) that the rules row `version` lists in an epoch. */
export interface Accused extends Money {
  readonly app: string
  readonly epoch: number
  readonly version: number
  readonly key: string
}

/** What the reporter gets: a tenth of the bond that the pool then gives up. */
function rewarded(contracts: Contracts, accused: Accused, bond: bigint): PostCondition[] {
  return [sends(contracts, accused.asset, contracts.pool, bond / 10n, 'lte')]
}

/** Reports two commitments of one attester for one epoch; anyone may send it. `bond`: what is at stake. */
export function reportCommitments(
  contracts: Contracts,
  accused: Accused,
  contradiction: readonly [
    { readonly root: string; readonly count: number; readonly signature: string },
    { readonly root: string; readonly count: number; readonly signature: string },
  ],
  bond = 0n,
): ContractCall {
  const said = contradiction.map(({ root, count, signature }) =>
    Cl.tuple({ root: hexBuffer(root), count: Cl.uint(count), signature: hexBuffer(signature) }),
  )
  const { app, epoch, version, key } = accused
  const args = [hexBuffer(app), Cl.uint(epoch), Cl.uint(version), hexBuffer(key), ...said]
  return call(contracts.pool, 'report-commitments', args, rewarded(contracts, accused, bond))
}

/** An outcome that an attester signed. */
type Said = Pick<SettlementMessage, 'root' | 'allocated' | 'count'> & { readonly signature: string }

/** Reports two outcomes that one attester signed for one round and one set of inputs; anyone may send it. */
export function reportSettlements(
  contracts: Contracts,
  accused: Accused & { readonly round: number; readonly inputs: string },
  contradiction: readonly [Said, Said],
  bond = 0n,
): ContractCall {
  const said = contradiction.map(({ root, allocated, count, signature }) =>
    Cl.tuple({
      root: hexBuffer(root),
      allocated: Cl.uint(allocated),
      count: Cl.uint(count),
      signature: hexBuffer(signature),
    }),
  )
  const { app, epoch, version, key, round, inputs } = accused
  const whom = [hexBuffer(app), Cl.uint(epoch), Cl.uint(version), hexBuffer(key)]
  const args = [...whom, Cl.uint(round), hexBuffer(inputs), ...said]
  return call(contracts.pool, 'report-settlements', args, rewarded(contracts, accused, bond))
}

/** Voids a settlement that is not payable yet and that fewer than M keys still stand behind; anyone may send it. */
export function strike(
  contracts: Contracts,
  settlement: { readonly app: string; readonly epoch: number },
): ContractCall {
  return call(contracts.pool, 'strike', [hexBuffer(settlement.app), Cl.uint(settlement.epoch)])
}

/** Puts `amount` of `sender` behind an attester's key, which signed `attesterBondHash`. */
export function bondAttester(
  contracts: Contracts,
  sender: string,
  bond: {
    readonly app: string
    readonly key: string
    readonly amount: bigint
    /** RSV, hex. */
    readonly signature: string
  } & Money,
): ContractCall {
  return call(
    contracts.pool,
    'bond-attester',
    [hexBuffer(bond.app), hexBuffer(bond.key), Cl.uint(bond.amount), hexBuffer(bond.signature)],
    [sends(contracts, bond.asset, sender, bond.amount)],
  )
}

/** Takes an attester's bond back; its owner only. */
export function withdrawAttester(
  contracts: Contracts,
  bond: { readonly app: string; readonly key: string; readonly amount: bigint } & Money,
): ContractCall {
  return call(
    contracts.pool,
    'withdraw-attester',
    [hexBuffer(bond.app), hexBuffer(bond.key)],
    [sends(contracts, bond.asset, contracts.pool, bond.amount)],
  )
}

/** What an attester signs (SIP-018) to let `owner` put a bond behind its key. */
export function attesterBondHash(
  contracts: Contracts,
  bond: { readonly app: string; readonly owner: string },
  chainId: number,
): Uint8Array {
  return structuredHash(
    Cl.tuple({
      topic: Cl.stringAscii('attester-bond'),
      pool: Cl.principal(contracts.pool),
      app: hexBuffer(bond.app),
      owner: Cl.principal(bond.owner),
    }),
    chainId,
  )
}

/** Has the pool pay a leaf to its recipient; anyone may send it. */
export function claim(
  contracts: Contracts,
  payout: {
    readonly app: string
    readonly epoch: number
    readonly leaf: PayoutLeaf
    readonly proof: readonly ProofStep[]
  } & Money,
): ContractCall {
  const { leaf } = payout
  return call(
    contracts.pool,
    'claim',
    [hexBuffer(payout.app), Cl.uint(payout.epoch), leafTuple(leaf), Cl.list(payout.proof.map(stepTuple))],
    // At most: a claim that another sender was first with then fails for what it is, not for its condition.
    [sends(contracts, payout.asset, contracts.pool, leaf.amount, 'lte')],
  )
}

/** Leaves of one `claimRange`: an aligned range of so many. */
export const rangeSize = 128

/**
 * Has the pool pay the leaves `start` … `start + 127` of a tree to their recipients; anyone may send it. Those that were paid or cannot be are
 * skipped. Throws unless `start` is a multiple of 128 below the number of leaves.
 */
export function claimRange(
  contracts: Contracts,
  payout: {
    readonly app: string
    readonly epoch: number
    /** All leaves of the tree. */
    readonly leaves: readonly PayoutLeaf[]
    readonly start: number
  } & Money,
): ContractCall {
  const { leaves, start } = payout
  const range = leaves.slice(start, start + rangeSize)
  if (start % rangeSize !== 0 || range.length === 0)
    throw new Error(`claim: no range begins at leaf ${start}`)
  // The first leaf of a subtree has a sibling at each level of it; what follows leads from the subtree to the root.
  const inside = Math.ceil(Math.log2(range.length))
  const proof = merkleProof(leaves.map(payoutLeafHash), start).slice(inside)
  const ordered = Array.from({ length: rangeSize }, (_, at) => range[reversed(at)])
  return call(
    contracts.pool,
    'claim-range',
    [
      hexBuffer(payout.app),
      Cl.uint(payout.epoch),
      Cl.list(ordered.map((leaf) => (leaf ? Cl.some(leafTuple(leaf)) : Cl.none()))),
      Cl.list(proof.map(stepTuple)),
    ],
    [
      sends(
        contracts,
        payout.asset,
        contracts.pool,
        range.reduce((sum, leaf) => sum + leaf.amount, 0n),
        'lte',
      ),
    ],
  )
}

/** Seven bits, back to front. */
function reversed(at: number): number {
  return Number.parseInt(at.toString(2).padStart(7, '0').split('').reverse().join(''), 2)
}

function leafTuple(leaf: PayoutLeaf): ClarityValue {
  return Cl.tuple({
    index: Cl.uint(leaf.index),
    mirror: Cl.uint(leaf.mirror),
    recipient: Cl.principal(leaf.recipient),
    amount: Cl.uint(leaf.amount),
  })
}

function stepTuple(step: ProofStep): ClarityValue {
  return Cl.tuple({ hash: hexBuffer(step.hash), left: Cl.bool(step.left) })
}

const comparisons = {
  eq: 'exactly',
  gt: 'more than',
  gte: 'at least',
  lt: 'less than',
  lte: 'at most',
} as const

/** Which of the two assets a condition is about; none for any other, a token that calls itself sBTC included. */
function assetOf(call: ContractCall, condition: PostCondition): Asset | undefined {
  if (condition.type === 'stx-postcondition') return 'stx'
  const token = `${sbtcOf(call.contract)}::${sbtcToken}`
  return condition.type === 'ft-postcondition' && condition.asset === token ? 'sbtc' : undefined
}

/** The most that a call takes from an address, in the smallest unit of each asset. The network fee, in STX, comes on top. */
export function takenFrom(call: ContractCall, address: string): Readonly<Record<Asset, bigint>> {
  const taken = { stx: 0n, sbtc: 0n }
  for (const condition of call.postConditions) {
    const asset = assetOf(call, condition)
    if (asset && 'amount' in condition && condition.address === address)
      taken[asset] += BigInt(condition.amount)
  }
  return taken
}

/** What may move when this call is sent, in plain words, one sentence each. */
export function describeCall(call: ContractCall): string[] {
  const sentences = call.postConditions.map((condition) => {
    const asset = assetOf(call, condition)
    if (!asset || !('amount' in condition))
      throw new Error(`no words for a condition of type ${condition.type}`)
    return `${condition.address} sends ${comparisons[condition.condition]} ${formatMoney(BigInt(condition.amount), asset)}.`
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
