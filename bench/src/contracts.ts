import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { getSDK } from '@stacks/clarinet-sdk'
import {
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
import { contractNames, contractsOf } from '@understudy/chain/contracts'
import { appId, coordinateOf } from '@understudy/protocol/app'
import { merkleProof, merkleRoot, type PayoutLeaf, payoutLeafHash } from '@understudy/protocol/merkle'
import { attesterKey } from '@understudy/protocol/rules'
import { settlementHash } from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import type { BenchResult } from './result.ts'

/** Claims that fit in one block, in ranges. */
const goal = 12_000
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
  for (const name of contractNames) {
    const source = await readFile(new URL(`../../contracts/${name}.clar`, import.meta.url), 'utf8')
    deployBytes[name] = Buffer.byteLength(source)
    const { result } = simnet.deployContract(name, source, null, deployer)
    if (result.type !== ClarityType.BoolTrue) throw new Error(`${name}: ${cvToString(result)}`)
  }
  simnet.mintSTX(sender, 1_000_000_000_000n)

  function send(call: ContractCall): Cost {
    const { contract, functionName, functionArgs } = call
    const { result, costs } = simnet.callPublicFn(contract, functionName, functionArgs, sender)
    if (result.type !== ClarityType.ResponseOk || !costs)
      throw new Error(`${functionName}: ${cvToString(result)}`)
    return costs.total as unknown as Cost
  }
  return { simnet, send, deployBytes }
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
  const { simnet, send, deployBytes } = await openChain()

  /** Settles epoch 0 of a new app with `n` attesters, all signing, and says what that cost. */
  function settled(n: number, tree: { readonly root: string; readonly count: number }) {
    const attesters = attestersOf(n)
    const coordinate = coordinateOf('ab'.repeat(32), `bench-${n}-${tree.count}`)
    const app = appId(coordinate)
    const start = simnet.burnBlockHeight + 2
    const schedule = { start, length: 60, notice: 3, cap: 100_000_000n }
    send(registerApp(contracts, { coordinate, schedule, terms: termsOf(attesters.map(({ key }) => key)) }))
    send(fund(contracts, sender, { app, amount: 100_000_000n, rulesVersion: 1, minShares: 1n }))
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
  const { app } = settled(3, { root, count: leaves.length })
  simnet.mineEmptyBurnBlocks(6)
  const single = claim(contracts, { app, epoch: 0, leaf: leaves[200]!, proof: merkleProof(hashes, 200) })
  const range = claimRange(contracts, { app, epoch: 0, leaves, start: 0 })
  const singleCost = send(single)
  const rangeCost = send(range)
  const one = perBlock(singleCost, bytesOf(single))
  const many = perBlock(rangeCost, bytesOf(range))
  const value = many.calls * rangeSize
  const constant = new Set(Object.values(byMirrors).map((cost) => cost.readCount)).size === 1
  return {
    ...{ bench: 'contracts', value, unit: 'claims/block', floor: one.calls, ratio: value / one.calls, goal },
    met: value >= goal && constant,
    claimsPerBlockSingle: one.calls,
    claimsPerBlockBatched: value,
    walls: { single: one.wall, batched: many.wall },
    settleBySignatures: bySignatures,
    settleByMirrors: byMirrors,
    claim: { ...singleCost, bytes: bytesOf(single) },
    claimRange: { ...rangeCost, bytes: bytesOf(range) },
    deployBytes,
  }
}
