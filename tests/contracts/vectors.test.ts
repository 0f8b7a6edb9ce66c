import { readFileSync } from 'node:fs'
import { Cl, type ClarityValue } from '@stacks/transactions'
import type { CommitmentMessage } from '@understudy/protocol/commitment'
import { merkleProof, type PayoutLeaf, type ProofStep, payoutLeafHash } from '@understudy/protocol/merkle'
import type { SettlementMessage } from '@understudy/protocol/settlement'
import { beforeAll, expect, it } from 'vitest'
import { accounts, chainId, contracts, type Network, openNetwork } from './network.ts'

interface MerkleVectors {
  readonly recipients: readonly string[]
  readonly leaves: readonly (Omit<PayoutLeaf, 'amount'> & {
    readonly amount: string
    readonly hash: string
  })[]
  readonly node: { readonly left: string; readonly right: string; readonly hash: string }
  readonly roots: readonly string[]
  readonly proofs: readonly {
    readonly size: number
    readonly index: number
    readonly proof: readonly ProofStep[]
  }[]
}

interface SignatureVectors {
  readonly keys: readonly { readonly even: string }[]
  readonly commitments: readonly {
    readonly chainId: number
    readonly message: CommitmentMessage
    readonly hash: string
  }[]
  readonly settlements: readonly {
    readonly chainId: number
    readonly message: Omit<SettlementMessage, 'allocated'> & { readonly allocated: string }
    readonly hash: string
    /** By key. */
    readonly signatures: readonly string[]
  }[]
}

function vectors<T>(name: string): T {
  return JSON.parse(
    readFileSync(new URL(`../../packages/protocol/vectors/${name}.json`, import.meta.url), 'utf8'),
  )
}

const merkle = vectors<MerkleVectors>('merkle')
const signatures = vectors<SignatureVectors>('signatures')

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

const tupleOf = (index: number, mirror: number, recipient: string, amount: bigint): ClarityValue =>
  Cl.tuple({
    index: Cl.uint(index),
    mirror: Cl.uint(mirror),
    recipient: Cl.principal(recipient),
    amount: Cl.uint(amount),
  })

it('hashes the leaves of the vectors', () => {
  for (const { index, mirror, recipient, amount, hash } of merkle.leaves) {
    const leaf = tupleOf(index, mirror, recipient, BigInt(amount))
    expect(network.read(contracts.pool, 'leaf-hash', [leaf])).toEqual(Cl.bufferFromHex(hash))
  }
})

/** The leaf that the vectors have at this index of every tree. */
const leafAt = (index: number): PayoutLeaf => ({
  ...{ index, mirror: index % 5, recipient: merkle.recipients[index % 4]! },
  amount: BigInt(index) * 1_000_003n + 1n,
})
const rootOf = ({ index, mirror, recipient, amount }: PayoutLeaf, proof: readonly ProofStep[]) => {
  const steps = proof.map(({ hash, left }) => Cl.tuple({ hash: Cl.bufferFromHex(hash), left: Cl.bool(left) }))
  return network.read(contracts.pool, 'root-of', [tupleOf(index, mirror, recipient, amount), Cl.list(steps)])
}

it('hashes the node of the vectors, from either side', () => {
  const { left, right, hash } = merkle.node
  for (const [below, sibling, isLeft] of [
    [left, right, false],
    [right, left, true],
  ] as const) {
    const step = Cl.tuple({ hash: Cl.bufferFromHex(sibling), left: Cl.bool(isLeft) })
    const args = [step, Cl.bufferFromHex(below)]
    const node = network.simnet.callPrivateFn(contracts.pool, 'climb', args, accounts.stranger).result
    expect(node).toEqual(Cl.bufferFromHex(hash))
  }
})

it('finds the root of the vectors for every size from 1 to 300', { timeout: 240_000 }, () => {
  expect(merkle.roots).toHaveLength(300)
  const hashes = merkle.roots.map((_, index) => payoutLeafHash(leafAt(index)))
  for (const [at, root] of merkle.roots.entries()) {
    // By turns a leaf inside, and the last one, which has been promoted where its level is odd.
    const index = at % 2 === 0 ? at : Math.floor(at / 3)
    const proof = merkleProof(hashes.slice(0, at + 1), index)
    expect(rootOf(leafAt(index), proof)).toEqual(Cl.bufferFromHex(root))
  }
})

it('finds the roots of the vectors by their proofs', () => {
  expect(merkle.proofs.length).toBeGreaterThan(0)
  for (const { size, index, proof } of merkle.proofs) {
    const root = rootOf(leafAt(index), proof)
    expect(root).toEqual(Cl.bufferFromHex(merkle.roots[size - 1]!))
  }
})

it('hashes the commitments of the vectors', () => {
  const here = signatures.commitments.filter((vector) => vector.chainId === chainId)
  expect(here.length).toBeGreaterThan(0)
  for (const { message, hash } of here) {
    expect(message.pool).toBe(contracts.pool)
    const onChain = network.read(contracts.pool, 'commitment-hash', [
      Cl.bufferFromHex(message.app),
      Cl.uint(message.epoch),
      Cl.bufferFromHex(message.root),
      Cl.uint(message.count),
    ])
    expect(onChain).toEqual(Cl.bufferFromHex(hash))
  }
})

it('hashes the settlements of the vectors and knows who signed them', () => {
  const here = signatures.settlements.filter((vector) => vector.chainId === chainId)
  expect(here.length).toBeGreaterThan(0)
  for (const { message, hash, signatures: signed } of here) {
    expect(message.pool).toBe(contracts.pool)
    const onChain = network.read(contracts.pool, 'settlement-hash', [
      Cl.bufferFromHex(message.app),
      Cl.uint(message.epoch),
      Cl.uint(message.round),
      Cl.bufferFromHex(message.inputs),
      Cl.bufferFromHex(message.root),
      Cl.uint(BigInt(message.allocated)),
      Cl.uint(message.count),
    ])
    expect(onChain).toEqual(Cl.bufferFromHex(hash))
    // A private function of the pool's, which answers for what was signed and by whom.
    const keys = Cl.list(signatures.keys.map(({ even }) => Cl.bufferFromHex(even)))
    const given = Cl.list(signed.map((rsv, i) => (i === 2 ? Cl.none() : Cl.some(Cl.bufferFromHex(rsv)))))
    const args = [Cl.bufferFromHex(hash), keys, given]
    const signers = network.simnet.callPrivateFn(contracts.pool, 'signers-of', args, accounts.stranger).result
    expect(signers).toEqual(Cl.list(signed.map((_, i) => Cl.bool(i !== 2))))
  }
})
