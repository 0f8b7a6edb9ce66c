import { hexToBytes } from '@noble/hashes/utils.js'
import type { Attestation } from './attestation.ts'
import { type Commitment, commitmentRoot } from './commitment.ts'
import { rootAt } from './merkle.ts'
import type { Bundle } from './outcome.ts'
import { attesterKey } from './rules.ts'

/** Whether an attestation's proof leads to the root of its author's commitment. */
export function isCommitted(
  commitment: Pick<Commitment, 'attester' | 'app' | 'epoch' | 'root' | 'count'>,
  { attester, app, epoch, leaf, proof }: Attestation,
): boolean {
  if (attester !== commitment.attester || app !== commitment.app || epoch !== commitment.epoch) return false
  if (!proof) return false
  return rootAt(hexToBytes(leaf), proof.index, commitment.count + 1, proof.siblings) === commitment.root
}

/**
 * The attestations that a commitment stands for, out of whatever is held: by mirror, one for each leaf. What an attester said beyond its
 * commitment, whenever it says it was, has no proof and counts for nothing; of one thing said twice the smaller event id is taken.
 * `undefined` while they do not lead to the committed root.
 */
export function committedOf<A extends Attestation>(
  commitment: Commitment,
  held: readonly A[],
): A[] | undefined {
  const own = held.filter(
    (a) => a.attester === commitment.attester && a.app === commitment.app && a.epoch === commitment.epoch,
  )
  if (own.length < commitment.count) return undefined
  // Without a surplus the root alone tells.
  const chosen = own.length === commitment.count ? own : proven(commitment, own)
  const ordered = [...chosen].sort((a, b) => a.report.mirror - b.report.mirror)
  const distinct = ordered.every((a, at) => at === 0 || ordered[at - 1]!.report.mirror < a.report.mirror)
  if (!distinct || ordered.length !== commitment.count) return undefined
  return commitmentRoot(commitment.header, ordered) === commitment.root ? ordered : undefined
}

function proven<A extends Attestation>(commitment: Commitment, own: readonly A[]): A[] {
  const byIndex = new Map<number, A>()
  for (const attestation of own) {
    if (!isCommitted(commitment, attestation)) continue
    const index = attestation.proof!.index
    const before = byIndex.get(index)
    if (!before || attestation.eventId < before.eventId) byIndex.set(index, attestation)
  }
  return [...byIndex.values()]
}

/** What `committedOf` finds, as a bundle. */
export function bundleOf(commitment: Commitment, held: readonly Attestation[]): Bundle | undefined {
  const committed = committedOf(commitment, held)
  return (
    committed && {
      key: attesterKey(commitment.attester),
      header: commitment.header,
      reports: committed.map((a) => a.report),
    }
  )
}
