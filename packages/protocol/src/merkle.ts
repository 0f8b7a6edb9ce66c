import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { Cl } from '@stacks/transactions'
import { consensus } from './clarity.ts'
import { sha256 } from './hash.ts'

/** One payout. `mirror` 0 is an attester's fee; mirror ids start at 1. */
export interface PayoutLeaf {
  readonly index: number
  readonly mirror: number
  /** Stacks principal. */
  readonly recipient: string
  /** µSTX, above 0. */
  readonly amount: bigint
}

/** A sibling on the way to the root, and whether it stands on the left. */
export interface ProofStep {
  readonly hash: string
  readonly left: boolean
}

/** Root of an empty tree: 32 zero bytes. */
export const emptyRoot = '00'.repeat(32)
const hashDigits = emptyRoot.length

/** sha256(0x00 ‖ bytes). */
export function hashLeaf(bytes: Uint8Array): Uint8Array {
  return sha256(concatBytes(Uint8Array.of(0), bytes))
}

/** sha256(0x01 ‖ left ‖ right). */
export function hashNode(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(concatBytes(Uint8Array.of(1), left, right))
}

/** Consensus bytes of the principals that were paid lately: an epoch names the same ones again and again. */
const principals = new Map<string, Uint8Array>()
const maxPrincipals = 20_000

function principalBytes(principal: string): Uint8Array {
  const known = principals.get(principal)
  if (known) return known
  const bytes = consensus(Cl.principal(principal))
  if (principals.size >= maxPrincipals) principals.clear()
  principals.set(principal, bytes)
  return bytes
}

const uintBytes = (value: bigint | number): Uint8Array => consensus(Cl.uint(value))
/** A tuple's head, and before each value the length and letters of its name; names ascend. SIP-005. */
const tupleOf = (size: number) => Uint8Array.of(0x0c, 0, 0, 0, size)
const named = (name: string) => Uint8Array.of(name.length, ...utf8ToBytes(name))
const [head, amountIs, indexIs, mirrorIs, recipientIs] = [
  ...[tupleOf(4), named('amount'), named('index'), named('mirror'), named('recipient')],
] as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array]

/** Leaf of a payout: the tuple `{index, mirror, recipient, amount}` in consensus bytes. */
export function payoutLeafHash({ index, mirror, recipient, amount }: PayoutLeaf): Uint8Array {
  return hashLeaf(
    concatBytes(
      ...[head, amountIs, uintBytes(amount), indexIs, uintBytes(index)],
      ...[mirrorIs, uintBytes(mirror), recipientIs, principalBytes(recipient)],
    ),
  )
}

function levelsOf(leaves: readonly Uint8Array[]): Uint8Array[][] {
  const levels = [[...leaves]]
  while (levels.at(-1)!.length > 1) {
    const below = levels.at(-1)!
    const above: Uint8Array[] = []
    for (let i = 0; i < below.length; i += 2) {
      const right = below[i + 1]
      above.push(right ? hashNode(below[i]!, right) : below[i]!)
    }
    levels.push(above)
  }
  return levels
}

/** Root of a tree over leaf hashes, hex; an odd node is promoted. */
export function merkleRoot(leaves: readonly Uint8Array[]): string {
  return leaves.length === 0 ? emptyRoot : bytesToHex(levelsOf(leaves).at(-1)![0]!)
}

/** Siblings from leaf `index` up to the root. */
export function merkleProof(leaves: readonly Uint8Array[], index: number): ProofStep[] {
  if (!(index >= 0 && index < leaves.length))
    throw new Error(`proof: no leaf ${index} among ${leaves.length}`)
  const steps: ProofStep[] = []
  let at = index
  for (const level of levelsOf(leaves)) {
    const sibling = level[at ^ 1]
    if (sibling) steps.push({ hash: bytesToHex(sibling), left: at % 2 === 1 })
    at >>= 1
  }
  return steps
}

/** For every leaf its siblings up to the root, hex, joined. With the leaf's index and the size of the tree they are a proof. */
export function siblingsOf(leaves: readonly Uint8Array[]): string[] {
  const levels = levelsOf(leaves).map((level) => level.map(bytesToHex))
  return leaves.map((_, index) => levels.map((level, height) => level[(index >> height) ^ 1] ?? '').join(''))
}

/** Root of the tree of `size` leaves in which this one is number `index`, hex; undefined where the siblings (hex, joined) are too few or too many. */
export function rootAt(leaf: Uint8Array, index: number, size: number, siblings: string): string | undefined {
  let node = leaf
  let used = 0
  for (let [at, width] = [index, size]; width > 1; at >>= 1, width = (width + 1) >> 1) {
    // An odd node is promoted.
    if ((at ^ 1) >= width) continue
    const end = used + hashDigits
    if (end > siblings.length) return undefined
    const sibling = hexToBytes(siblings.slice(used, end))
    node = at % 2 === 1 ? hashNode(sibling, node) : hashNode(node, sibling)
    used = end
  }
  return used === siblings.length && index < size ? bytesToHex(node) : undefined
}

/** Root that a leaf and its proof lead to, hex. */
export function rootFromProof(leaf: Uint8Array, proof: readonly ProofStep[]): string {
  let node = leaf
  for (const step of proof) {
    const sibling = hexToBytes(step.hash)
    node = step.left ? hashNode(sibling, node) : hashNode(node, sibling)
  }
  return bytesToHex(node)
}
