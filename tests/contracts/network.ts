import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { getSDK } from '@stacks/clarinet-sdk'
import {
  Cl,
  ClarityType,
  type ClarityValue,
  cvToString,
  privateKeyToAddress,
  serializeCV,
  type UIntCV,
} from '@stacks/transactions'
import type { ContractCall } from '@understudy/chain/calls'
import { fund, registerApp, registerMirror, settle, type Terms } from '@understudy/chain/calls'
import {
  type Asset,
  contractNames,
  contractsOf,
  deployedSource,
  sbtcOf,
  splitContract,
} from '@understudy/chain/contracts'
import type { Source, SourcedEntry } from '@understudy/chain/log'
import { appId, coordinateOf } from '@understudy/protocol/app'
import type { Schedule } from '@understudy/protocol/epoch'
import {
  emptyRoot,
  merkleProof,
  merkleRoot,
  type PayoutLeaf,
  payoutLeafHash,
} from '@understudy/protocol/merkle'
import { attesterKey } from '@understudy/protocol/rules'
import { type SettlementMessage, settlementHash } from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import { getPublicKey } from 'nostr-tools/pure'

/** Chain id of simnet, testnet's. */
export const chainId = 0x80000000
/** The address that the protocol's vectors name as the pool's. */
const deployer = 'ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM'
export const contracts = contractsOf(deployer)
/** Everyone here holds a million STX. */
export const accounts = {
  maintainer: 'ST975SGCQ2ERKX74D2JZNBRKHFA5SQXWRZ592DJS',
  funder: 'ST226HM68R2A9HY13Q5PH16QC80PK13RZM431J5JK',
  operator: 'STXVPP8YS29WGEZC1XVGMY80TBFTX3GFXGAPTWVY',
  neighbour: 'STYBGRYJ996Q5FXT8AWGKNVNWCM74G2PAQRBF302',
  stranger: 'ST3FCHJR4KXF1GJCRFPCA4AEW3SZ62CGQR6ZY5Q1W',
  patron: 'ST3NW1VGB5AWYG9VTC062A53NW8N34GD1R487DK2N',
  saver: 'ST10QTJZ91MTKCCK7Q3SAZBY9AC8H3H0TWKH6JV5P',
  host: 'ST248VEYQK67SZ06MZ0NMZ776TP42YC8AXJHJEB7W',
} as const

/** The source of a contract of ours, as it is written. */
export const sourceOf = (name: string): string =>
  readFileSync(new URL(`../../contracts/${name}.clar`, import.meta.url), 'utf8')

const sources: Record<string, string> = Object.fromEntries(
  contractNames.map((name) => [name, deployedSource(sourceOf(name), chainId)]),
)

/** What stands for sBTC, and who may mint it. */
export const sbtc = sbtcOf(contracts.pool)
const [signers, sbtcName] = splitContract(sbtc)
const sbtcSource = readFileSync(
  new URL('../../local/devnet/contracts/sbtc-token.clar', import.meta.url),
  'utf8',
)

/** What is deployed, on which chain. `tests/mutation` breaks the one and keeps the other warm. */
export const stage = {
  sources,
  async begin() {
    const simnet = await getSDK()
    await simnet.initEmptySession({ enabled: false })
    return simnet
  },
}

/** A principal of mainnet, to which a transfer on this chain would succeed and help nobody. */
export const foreigner = privateKeyToAddress('01'.repeat(33), 'mainnet')

/** Error names by code, as the contracts' sources define them. */
export const errorNames: ReadonlyMap<bigint, string> = new Map(
  Object.values(sources).flatMap((source) =>
    [...source.matchAll(/\(define-constant (ERR_\w+) \(err u(\d+)\)\)/g)].map(
      ([, name, code]) => [BigInt(code!), name!] as const,
    ),
  ),
)

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()

/** An attester's secret and its key as the rules list it. */
export interface Attester {
  readonly secret: Uint8Array
  readonly key: string
}

/** `n` attesters in the order of their keys. */
export function attestersOf(n: number): Attester[] {
  return Array.from({ length: n }, (_, i) => {
    const secret = new Uint8Array(sha256(`attester ${i}`))
    return { secret, key: attesterKey(getPublicKey(secret)) }
  }).sort((a, b) => (a.key < b.key ? -1 : 1))
}

export const terms: Terms = {
  budget: 100_000_000n,
  keys: attestersOf(3).map(({ key }) => key),
  places: 3,
  levels: ['network'],
  floor: 500_000,
  domainBond: 100_000_000n,
  fee: 3_000_000n,
  grace: 5,
  minBond: 10_000_000n,
  faults: 1,
  window: 30,
  challenge: 6,
  claimPeriod: 600,
  releaseKey: '11'.repeat(32),
  minSeq: 0,
}

/** Payouts as leaves under a root. */
export interface Tree {
  readonly leaves: readonly PayoutLeaf[]
  readonly root: string
  readonly allocated: bigint
  readonly count: number
  proof(index: number): ReturnType<typeof merkleProof>
}

export function treeOf(payouts: readonly (readonly [recipient: string, amount: bigint])[]): Tree {
  const leaves = payouts.map(([recipient, amount], index) => ({
    index,
    mirror: index + 1,
    recipient,
    amount,
  }))
  const hashes = leaves.map(payoutLeafHash)
  return {
    leaves,
    root: leaves.length === 0 ? emptyRoot : merkleRoot(hashes),
    allocated: leaves.reduce((sum, leaf) => sum + leaf.amount, 0n),
    count: leaves.length,
    proof: (index) => merkleProof(hashes, index),
  }
}

interface SimnetEvent {
  readonly event: string
  readonly data: Record<string, unknown>
}

export interface Answer {
  /** `ok`, or the name of the error in the contract's source. */
  readonly outcome: string
  readonly value: ClarityValue
  /** STX that moved, by sender. */
  readonly moved: ReadonlyMap<string, bigint>
  /** sBTC that moved, by sender. */
  readonly movedSbtc: ReadonlyMap<string, bigint>
}

/** A fresh simnet with the three contracts at Clarity 6. Tests share it, each with an app of its own. */
export async function openNetwork() {
  const simnet = await stage.begin()
  simnet.setEpoch('4.0')
  deploy(sbtcName, sbtcSource, signers)
  for (const name of contractNames) deploy(name)
  for (const account of Object.values(accounts)) {
    simnet.mintSTX(account, 1_000_000_000_000n)
    const minted = [Cl.uint(1_000_000_000_000n), Cl.principal(account), Cl.bufferFromHex('01')]
    simnet.callPublicFn(sbtc, 'protocol-mint', minted, signers)
  }

  /** Everything that the contracts printed, oldest first. */
  const entries: SourcedEntry[] = []
  let calls = 0
  let apps = 0

  /** Deploys a contract of ours, or other source under its name, unversioned: at Clarity 6 in epoch 4.0. */
  function deploy(name: string, source = sources[name]!, sender = deployer): void {
    const { result } = simnet.deployContract(name, source, null, sender)
    if (result.type !== ClarityType.BoolTrue) throw new Error(`deploy ${name}: ${cvToString(result)}`)
  }

  /** Sends a call. Where it succeeds, its post-conditions in deny mode are checked against what moved. */
  function send(call: ContractCall, sender: string): Answer {
    const { result, events } = simnet.callPublicFn(
      call.contract,
      call.functionName,
      call.functionArgs,
      sender,
    )
    calls++
    if (result.type === ClarityType.ResponseErr) {
      const code = result.value
      const name = code.type === ClarityType.UInt ? errorNames.get(BigInt(code.value)) : undefined
      return { outcome: name ?? cvToString(result), value: code, moved: new Map(), movedSbtc: new Map() }
    }
    if (result.type !== ClarityType.ResponseOk) throw new Error(cvToString(result))
    const moved = new Map<string, bigint>()
    const movedSbtc = new Map<string, bigint>()
    for (const [index, event] of (events as SimnetEvent[]).entries()) {
      if (event.event === 'stx_transfer_event' || event.event === 'ft_transfer_event') {
        const { sender: from, amount } = event.data as { sender: string; amount: string }
        const sums = event.event === 'stx_transfer_event' ? moved : movedSbtc
        sums.set(from, (sums.get(from) ?? 0n) + BigInt(amount))
      }
      if (event.event === 'print_event') entries.push(entryOf(event, calls, index))
    }
    if (!passes(call, moved, movedSbtc))
      throw new Error(`${call.functionName}: its post-conditions forbid ${[...moved, ...movedSbtc]}`)
    return { outcome: 'ok', value: result.value, moved, movedSbtc }
  }

  function read(contract: string, name: string, args: ClarityValue[]): ClarityValue {
    return simnet.callReadOnlyFn(contract, name, args, accounts.stranger).result
  }

  function balance(address: string): bigint {
    return simnet.getAssetsMap().get('STX')?.get(address) ?? 0n
  }

  /** Satoshis of the stand-in. */
  function sbtcBalance(address: string): bigint {
    const answer = read(sbtc, 'get-balance', [Cl.principal(address)])
    if (answer.type !== ClarityType.ResponseOk) throw new Error(cvToString(answer))
    return BigInt((answer.value as UIntCV).value)
  }

  /** Mines empty blocks until the burn height is reached. */
  function mineTo(burnHeight: number): void {
    const missing = burnHeight - simnet.burnBlockHeight
    if (missing < 0) throw new Error(`burn height ${burnHeight} is past`)
    if (missing > 0) simnet.mineEmptyBurnBlocks(missing)
  }

  const nextSchedule = (): Schedule => ({
    start: simnet.burnBlockHeight + 2,
    length: 60,
    notice: 3,
    cap: 1_000_000_000n,
  })

  /** A coordinate that no other test uses. */
  const nextCoordinate = (): string => coordinateOf('ab'.repeat(32), `app-${apps++}`)

  /** Registers an app with a schedule that starts in two burn blocks. */
  function openApp(changes: Partial<Terms> = {}, asset: Asset = 'stx') {
    const coordinate = nextCoordinate()
    const schedule = nextSchedule()
    const id = appId(coordinate)
    const app = { coordinate, schedule, terms: { ...terms, ...changes }, asset }
    const { outcome } = send(registerApp(contracts, app), accounts.maintainer)
    if (outcome !== 'ok') throw new Error(`register-app: ${outcome}`)
    return { id, ...app, end: (epoch: number) => schedule.start + (epoch + 1) * schedule.length }
  }

  type App = ReturnType<typeof openApp>

  /** A deposit that asks for a share per µSTX, which is the least that is ever minted. */
  function deposit(app: App, amount: bigint, funder: string = accounts.funder, rulesVersion = 1): Answer {
    return send(
      fund(contracts, funder, { app: app.id, amount, rulesVersion, minShares: amount, asset: app.asset }),
      funder,
    )
  }

  function bondMirror(
    app: App,
    changes: { nodeKey?: string; endpoint?: string; bond?: bigint } = {},
    owner: string = accounts.operator,
  ): Answer {
    const mirror = {
      nodeKey: '22'.repeat(32),
      endpoint: 'https://mirror.example',
      bond: terms.minBond,
      ...changes,
    }
    return send(registerMirror(contracts, owner, { app: app.id, asset: app.asset, ...mirror }), owner)
  }

  function messageOf(
    app: App,
    epoch: number,
    tree: Pick<Tree, 'root' | 'allocated' | 'count'>,
    round = 0,
  ): SettlementMessage {
    const { root, allocated, count } = tree
    return {
      pool: contracts.pool,
      app: app.id,
      epoch,
      round,
      inputs: '33'.repeat(32),
      root,
      allocated,
      count,
    }
  }

  /** What the pool says of an app's money. */
  function poolOf(app: Pick<App, 'id'>): Readonly<Record<string, bigint>> {
    const row = read(contracts.pool, 'get-pool', [Cl.bufferFromHex(app.id)])
    if (row.type !== ClarityType.Tuple) throw new Error('get-pool: no tuple')
    return Object.fromEntries(
      Object.entries(row.value).flatMap(([name, value]) =>
        value.type === ClarityType.UInt ? [[name, BigInt(value.value)]] : [],
      ),
    )
  }

  /** Sends a settlement, signed by the first two of three attesters unless told otherwise. */
  function settleWith(
    message: SettlementMessage,
    signatures: readonly (string | null)[] = signaturesOf(message),
    sender: string = accounts.stranger,
  ): Answer {
    return send(settle(contracts, message, signatures), sender)
  }

  return {
    simnet,
    entries,
    deploy,
    send,
    read,
    balance,
    sbtcBalance,
    mineTo,
    nextSchedule,
    nextCoordinate,
    openApp,
    deposit,
    bondMirror,
    messageOf,
    poolOf,
    settleWith,
    get burnHeight() {
      return simnet.burnBlockHeight
    },
  }
}

export type Network = Awaited<ReturnType<typeof openNetwork>>
export type App = ReturnType<Network['openApp']>

/** Positional signatures of a message: `true` where the attester of that position signs. */
export function signaturesOf(
  message: SettlementMessage,
  signing: readonly boolean[] = [true, true, false],
  chain = chainId,
): (string | null)[] {
  const hash = settlementHash(message, chain)
  const attesters = attestersOf(signing.length)
  return signing.map((signs, i) => (signs ? signHash(hash, attesters[i]!.secret) : null))
}

function entryOf(event: SimnetEvent, call: number, index: number): SourcedEntry {
  const { contract_identifier, value } = event.data as { contract_identifier: string; value: ClarityValue }
  const bySource: Record<Source, string> = contracts
  const source = (Object.keys(bySource) as Source[]).find((name) => bySource[name] === contract_identifier)
  if (!source) throw new Error(`a print of ${contract_identifier}`)
  const txid = `0x${sha256(`call ${call}`).toString('hex')}`
  return { source, txid, index, hex: `0x${serializeCV(value).replace(/^0x/, '')}` }
}

/** Whether deny mode lets these amounts move. */
function passes(
  call: ContractCall,
  moved: ReadonlyMap<string, bigint>,
  movedSbtc: ReadonlyMap<string, bigint>,
): boolean {
  const token = `${sbtc}::sbtc-token`
  const named = { stx: new Set<string>(), sbtc: new Set<string>() }
  const kept = call.postConditions.every((condition) => {
    if (condition.type !== 'stx-postcondition' && condition.type !== 'ft-postcondition') return false
    if (condition.type === 'ft-postcondition' && condition.asset !== token) return false
    const asset = condition.type === 'stx-postcondition' ? 'stx' : 'sbtc'
    named[asset].add(condition.address)
    const sent = (asset === 'stx' ? moved : movedSbtc).get(condition.address) ?? 0n
    const amount = BigInt(condition.amount)
    if (condition.condition === 'eq') return sent === amount
    return condition.condition === 'gte' ? sent >= amount : condition.condition === 'lte' && sent <= amount
  })
  return (
    call.postConditionMode === 'deny' &&
    kept &&
    [...moved.keys()].every((sender) => named.stx.has(sender)) &&
    [...movedSbtc.keys()].every((sender) => named.sbtc.has(sender))
  )
}
