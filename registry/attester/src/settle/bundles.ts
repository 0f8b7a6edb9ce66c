import { type Attestation, parseAttestation } from '@understudy/protocol/attestation'
import { bundleOf } from '@understudy/protocol/bundle'
import { type Commitment, parseCommitment } from '@understudy/protocol/commitment'
import { kinds } from '@understudy/protocol/kinds'
import type { Bundle } from '@understudy/protocol/outcome'
import { attesterKey, pubkeyOf } from '@understudy/protocol/rules'
import { eventsOfEpoch, type HeldEvent, type Sayings } from '../db/events.ts'
import type { Desk, EpochAt } from '../desk.ts'

/** A commitment that we hold, and its attestations once they lead to its root. */
export interface HeldBundle {
  readonly key: string
  readonly root: string
  /** When we first held the commitment, ms since 1970. */
  readonly receivedAt: number
  readonly bundle?: Bundle
  /** Since when we hold all of it. */
  readonly completeAt: number
}

/** What attesters say of these kinds about an epoch. */
export const sayingsOf = (
  { app, rules, row }: Pick<EpochAt, 'app' | 'rules' | 'row'>,
  kinds: readonly number[],
): Sayings => ({ app: app.id, epochs: [row.epoch], kinds, authors: rules.keys.map(pubkeyOf) })

/** What we hold of an epoch, by key ascending. A banned key has no part in it, nor one with two commitments. design: Settlement. */
export async function heldBundles(
  desk: Pick<Desk, 'db' | 'identity' | 'contracts'>,
  { app, rules, row }: Pick<EpochAt, 'app' | 'rules' | 'row'>,
): Promise<HeldBundle[]> {
  const said = await eventsOfEpoch(desk.db, kinds.commitment, app.id, row.epoch)
  const commitments = new Map<string, { readonly commitment: Commitment; readonly receivedAt: number }[]>()
  for (const { event, receivedAt } of said) {
    const read = parseCommitment(event, desk.identity.chainId)
    if (!read.ok || read.value.pool !== desk.contracts.pool) continue
    const key = attesterKey(event.pubkey)
    if (!rules.keys.includes(key) || app.banned.has(key)) continue
    const own = commitments.get(key) ?? []
    const { root, count } = read.value
    if (own.some(({ commitment }) => commitment.root === root && commitment.count === count)) continue
    commitments.set(key, [...own, { commitment: read.value, receivedAt }])
  }
  const attestations = readAttestations(await eventsOfEpoch(desk.db, kinds.attestation, app.id, row.epoch))
  return [...commitments]
    .filter(([, own]) => own.length === 1)
    .map(([key, [own]]): HeldBundle => {
      const { commitment, receivedAt } = own!
      const bundle = bundleOf(commitment, attestations)
      const moments = attestations.filter((a) => a.attester === commitment.attester).map((a) => a.receivedAt)
      return { key, root: commitment.root, receivedAt, bundle, completeAt: Math.max(receivedAt, ...moments) }
    })
    .sort((a, b) => (a.key < b.key ? -1 : 1))
}

type HeldAttestation = Attestation & { readonly createdAt: number; readonly receivedAt: number }

function readAttestations(held: readonly HeldEvent[]): HeldAttestation[] {
  return held.flatMap(({ event, receivedAt }) => {
    const read = parseAttestation(event)
    return read.ok ? [{ ...read.value, createdAt: event.created_at, receivedAt }] : []
  })
}
