import { readFileSync } from 'node:fs'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { describe, expect, it } from 'vitest'
import { emptyRoot, hashNode, merkleProof, merkleRoot, payoutLeafHash, rootFromProof } from './merkle.ts'

const vectors = JSON.parse(readFileSync(new URL('../vectors/merkle.json', import.meta.url), 'utf8'))
const leaves = Array.from({ length: 300 }, (_, index) =>
  payoutLeafHash({
    index,
    mirror: index % 5,
    recipient: vectors.recipients[index % 4],
    amount: BigInt(index) * 1_000_003n + 1n,
  }),
)

describe('the payout tree', () => {
  it('hashes leaves and nodes as the vectors say', () => {
    expect(vectors.leaves.map((leaf: { hash: string }) => leaf.hash)).toEqual(
      leaves.slice(0, 8).map(bytesToHex),
    )
    const { left, right, hash } = vectors.node
    expect(bytesToHex(hashNode(hexToBytes(left), hexToBytes(right)))).toBe(hash)
  })

  it('has the root of the vectors for every size from 1 to 300', () => {
    expect(leaves.map((_, i) => merkleRoot(leaves.slice(0, i + 1)))).toEqual(vectors.roots)
  })

  it('proves every leaf of trees of 1 to 40 leaves, and no leaf with the proof of another', () => {
    for (let size = 1; size <= 40; size++) {
      const tree = leaves.slice(0, size)
      const root = merkleRoot(tree)
      for (let i = 0; i < size; i++) {
        const proof = merkleProof(tree, i)
        expect(rootFromProof(tree[i]!, proof)).toBe(root)
        if (size > 1) expect(rootFromProof(tree[(i + 1) % size]!, proof)).not.toBe(root)
      }
    }
  })

  it('is 32 zero bytes when empty, and has no proof outside itself', () => {
    expect(merkleRoot([])).toBe(emptyRoot)
    expect(() => merkleProof(leaves.slice(0, 3), 3)).toThrow(/no leaf 3 among 3/)
  })
})
