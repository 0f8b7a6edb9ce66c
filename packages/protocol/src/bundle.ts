import type { Attestation } from './attestation.ts'
import { type Commitment, commitmentRoot } from './commitment.ts'
import type { Bundle } from './outcome.ts'
import { attesterKey } from './rules.ts'

/**
 * The attestations that a commitment stands for, out of whatever is held: all of that attester for that epoch or, should it have said more than
 * it committed to, the earliest for each mirror. `undefined` while they do not lead to the committed root.
 */
export function bundleOf(
  commitment: Commitment,
  held: readonly (Attestation & { readonly createdAt?: number })[],
): Bundle | undefined {
  const own = held.filter(
    (a) => a.attester === commitment.attester && a.app === commitment.app && a.epoch === commitment.epoch,
  )
  const earliest = new Map<number, (typeof own)[number]>()
  for (const attestation of own) {
    const before = earliest.get(attestation.report.mirror)
    const order = before
      ? (attestation.createdAt ?? 0) - (before.createdAt ?? 0) ||
        (attestation.eventId < before.eventId ? -1 : 1)
      : -1
    if (order < 0) earliest.set(attestation.report.mirror, attestation)
  }
  const chosen = [...earliest.values()].sort((a, b) => a.report.mirror - b.report.mirror)
  if (chosen.length !== commitment.count) return undefined
  if (commitmentRoot(commitment.header, chosen) !== commitment.root) return undefined
  return {
    key: attesterKey(commitment.attester),
    header: commitment.header,
    reports: chosen.map((a) => a.report),
  }
}
