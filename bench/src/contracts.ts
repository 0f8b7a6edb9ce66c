import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { getSDK } from '@stacks/clarinet-sdk'
import {
  Cl,
  ClarityType,
  cvToString,
  privateKeyToAddress,
  privateKeyToPublic,
  serializeCVBytes,
} from '@stacks/transactions'
import {
  type ContractCall,
  claim,
  claimRange,
  fund,
  rangeSize,
  registerApp,
  settle,
  type Terms,
} from '@understudy/chain/calls'
import {
  type Asset,
  contractNames,
  contractsOf,
  deployedSource,
  sbtcOf,
  splitContract,
} from '@understudy/chain/contracts'
import { appId, coordinateOf } from '@understudy/protocol/app'
import { merkleProof, merkleRoot, type PayoutLeaf, payoutLeafHash } from '@understudy/protocol/merkle'
import { attesterKey } from '@understudy/protocol/rules'
import { settlementHash } from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import type { BenchResult } from './result.ts'

/** Claims that fit in one block, in ranges. */
const goal = 12_000
const goalSbtc = 6_500
/** Of settling, with any number of mirrors. */
const goalReads = 18
/** A block's budget in each of Clarity's five dimensions, and its bytes. */
const limits = {
  runtime: 5_000_000_000,
  readCount: 15_000,
  readLength: 100_000_000,
  writeCount: 15_000,
  writeLength: 15_000_000,
} as const
const blockBytes = 2 * 1_024 * 1_024
/** Of a transaction around its arguments: version, chain, authorization, modes, contract and function name. */
const envelopeBytes = 200

type Cost = Readonly<Record<keyof typeof limits, number>>

const chainId = 0x80000000
const deployer = 'ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM'
const sender = 'ST975SGCQ2ERKX74D2JZNBRKHFA5SQXWRZ592DJS'
const contracts = contractsOf(deployer)
const sbtc = sbtcOf(contracts.pool)
const hash = (text: string) => createHash('sha256').update(text).digest()

/** x-only. */
const publicKeyOf = (secret: Uint8Array): string =>
  String(privateKeyToPublic(`${Buffer.from(secret).toString('hex')}01`)).slice(2)

/** Attesters by ascending key. */
const attestersOf = (n: number) =>
  Array.from({ length: n }, (_, at) => new Uint8Array(hash(`bench attester ${at}`)))
    .map((secret) => ({ secret, key: attesterKey(publicKeyOf(secret)) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))

const termsOf = (keys: readonly string[]): Terms => ({
  ...{ budget: 100_000_000n, keys, places: 3, levels: ['network'], floor: 500_000, domainBond: 10n },
  ...{ fee: 0n, grace: 5, minBond: 10n, faults: 0, window: 30, challenge: 6, claimPeriod: 600 },
  ...{ releaseKey: '11'.repeat(32), minSeq: 0 },
})

/** As many different recipients as leaves: the worst that a block can be asked to pay. */
const leaves: readonly PayoutLeaf[] = Array.from({ length: 2 * rangeSize }, (_, index) => ({
  ...{ index, mirror: index + 1, amount: BigInt(index + 1) },
  recipient: privateKeyToAddress(`${hash(`bench operator ${index}`).toString('hex')}01`, 'testnet'),
}))
const hashes = leaves.map(payoutLeafHash)

async function openChain() {
  const simnet = await getSDK({ trackCosts: true, trackCoverage: false })
  await simnet.initEmptySession({ enabled: false })
  simnet.setEpoch('4.0')
  const deployBytes: Record<string, number> = {}
  const sourceBytes: Record<string, number> = {}
  const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')
  const [signers, sbtcName] = splitContract(sbtc)
  simnet.deployContract(sbtcName, await read('local/devnet/contracts/sbtc-token.clar'), null, signers)
  for (const name of contractNames) {
    const written = await read(`contracts/${name}.clar`)
    const source = deployedSource(written, chainId)
    sourceBytes[name] = Buffer.byteLength(written)
    deployBytes[name] = Buffer.byteLength(source)
    const { result } = simnet.deployContract(name, source, null, deployer)
    if (result.type !== ClarityType.BoolTrue) throw new Error(`${name}: ${cvToString(result)}`)
  }
  simnet.mintSTX(sender, 1_000_000_000_000n)
  const minted = [Cl.uint(1_000_000_000_000n), Cl.principal(sender), Cl.bufferFromHex('01')]
  simnet.callPublicFn(sbtc, 'protocol-mint', minted, signers)

  function send(call: ContractCall): Cost {
    const { contract, functionName, functionArgs } = call
    const { result, costs } = simnet.callPublicFn(contract, functionName, functionArgs, sender)
    if (result.type !== ClarityType.ResponseOk || !costs)
      throw new Error(`${functionName}: ${cvToString(result)}`)
    return costs.total as unknown as Cost
  }
  return { simnet, send, deployBytes, sourceBytes }
}

const bytesOf = (call: ContractCall): number =>
  envelopeBytes + call.functionArgs.reduce((sum, arg) => sum + serializeCVBytes(arg).length, 0)

/** How many of these calls a block takes, by whichever limit is reached first. */
function perBlock(cost: Cost, bytes: number): { readonly calls: number; readonly wall: string } {
  const dimensions = Object.keys(limits) as (keyof Cost)[]
  const walls = [
    ...dimensions.map((name) => ({ wall: name as string, calls: Math.floor(limits[name] / cost[name]) })),
    { wall: 'bytes', calls: Math.floor(blockBytes / bytes) },
  ]
  return walls.reduce((least, next) => (next.calls < least.calls ? next : least))
}

/** What settling and claiming cost on the current Clarity, against a block's limits. `floor`: the claims of a block sent one by one. */
export async function bench(): Promise<BenchResult> {
  const { simnet, send, deployBytes, sourceBytes } = await openChain()

  /** Settles epoch 0 of a new app with `n` attesters, all signing, and says what that cost. */
  function settled(n: number, tree: { readonly root: string; readonly count: number }, asset: Asset = 'stx') {
    const attesters = attestersOf(n)
    const coordinate = coordinateOf('ab'.repeat(32), `bench-${asset}-${n}-${tree.count}`)
    const app = appId(coordinate)
    const start = simnet.burnBlockHeight + 2
    const schedule = { start, length: 60, notice: 3, cap: 100_000_000n }
    const terms = termsOf(attesters.map(({ key }) => key))
    send(registerApp(contracts, { coordinate, schedule, terms, asset }))
    send(fund(contracts, sender, { app, amount: 100_000_000n, rulesVersion: 1, minShares: 1n, asset }))
    simnet.mineEmptyBurnBlocks(start + 60 - simnet.burnBlockHeight)
    const outcome = { app, epoch: 0, round: 0, inputs: '33'.repeat(32), ...tree, allocated: 50_000_000n }
    const signed = settlementHash({ pool: contracts.pool, ...outcome }, chainId)
    const signatures = attesters.map(({ secret }) => signHash(signed, secret))
    return { app, cost: send(settle(contracts, outcome, signatures)) }
  }

  const root = merkleRoot(hashes)
  const bySignatures = Object.fromEntries(
    Array.from({ length: 10 }, (_, at) => 2 * at + 1).map((n) => [
      n,
      settled(n, { root, count: 256 + n }).cost,
    ]),
  )
  const byMirrors = Object.fromEntries(
    [1, 1_000, 1_000_000].map((count) => [count, settled(3, { root, count }).cost]),
  )
  /** A single claim and a range of them. */
  function claimed(asset: Asset) {
    const { app } = settled(3, { root, count: leaves.length }, asset)
    simnet.mineEmptyBurnBlocks(6)
    const proof = merkleProof(hashes, 200)
    const single = claim(contracts, { app, epoch: 0, leaf: leaves[200]!, proof, asset })
    const range = claimRange(contracts, { app, epoch: 0, leaves, start: 0, asset })
    const costs = {
      claim: { ...send(single), bytes: bytesOf(single) },
      claimRange: { ...send(range), bytes: bytesOf(range) },
    }
    const one = perBlock(costs.claim, costs.claim.bytes)
    const many = perBlock(costs.claimRange, costs.claimRange.bytes)
    return { ...costs, one, many, claims: many.calls * rangeSize }
  }
  const inStx = claimed('stx')
  const inSbtc = claimed('sbtc')
  const value = inStx.claims
  const constant = new Set(Object.values(byMirrors).map((cost) => cost.readCount)).size === 1
  const reads = Math.max(...Object.values(bySignatures).map((cost) => cost.readCount))
  const floor = inStx.one.calls
  return {
    ...{ bench: 'contracts', value, unit: 'claims/block', floor, ratio: value / floor, goal },
    met: value >= goal && inSbtc.claims >= goalSbtc && reads <= goalReads && constant,
    claimsPerBlockSingle: floor,
    claimsPerBlockBatched: value,
    claimsPerBlockSbtcSingle: inSbtc.one.calls,
    claimsPerBlockSbtc: inSbtc.claims,
    walls: { single: inStx.one.wall, batched: inStx.many.wall, sbtc: inSbtc.many.wall },
    settleReads: reads,
    /** Runtime of settling: this, and this more for every signature. The costs by signatures are those of as many keys, all signing. */
    settleRuntime: line(bySignatures),
    settleBySignatures: bySignatures,
    settleByMirrors: byMirrors,
    claim: inStx.claim,
    claimRange: inStx.claimRange,
    claimSbtc: inSbtc.claim,
    claimRangeSbtc: inSbtc.claimRange,
    deployBytes,
    sourceBytes,
  }
}

/** The least a and b with runtime <= a + b n for every n of the table, b as between its ends. */
function line(byCount: Readonly<Record<string, Cost>>): {
  readonly base: number
  readonly perSignature: number
} {
  const points = Object.entries(byCount).map(([n, cost]) => ({ n: Number(n), runtime: cost.runtime }))
  const [first, last] = [points[0]!, points.at(-1)!]
  const perSignature = Math.ceil((last.runtime - first.runtime) / (last.n - first.n))
  return { base: Math.max(...points.map(({ n, runtime }) => runtime - perSignature * n)), perSignature }
}
