import { type ChainApp, settledBefore } from '@understudy/chain/state'
import { parseAttestation } from '@understudy/protocol/attestation'
import { bundleOf } from '@understudy/protocol/bundle'
import { parseCommitment } from '@understudy/protocol/commitment'
import { kinds } from '@understudy/protocol/kinds'
import type { Bundle } from '@understudy/protocol/outcome'
import { pubkeyOf } from '@understudy/protocol/rules'
import type { FormerCommitment } from '@understudy/protocol/settlement'
import { eventsOfEpoch, type Sayings } from '../db/events.ts'
import type { Desk, EpochAt } from '../desk.ts'
import { signedOutcomes } from './signed.ts'

type Books = Pick<Desk, 'db' | 'identity' | 'contracts'>

/** What an attester said in an epoch before, all of it held. */
export interface HeldFormer extends FormerCommitment {
  readonly bundle: Bundle
  /** Since when we hold all of it, ms since 1970. */
  readonly completeAt: number
}

/** Attesters of an epoch that have no part in it: neither named nor banned. */
export function absentKeys(
  { app, rules }: Pick<EpochAt, 'app' | 'rules'>,
  present: readonly { readonly key: string }[],
): string[] {
  return rules.keys.filter((key) => !app.banned.has(key) && !present.some((named) => named.key === key))
}

/**
 * The commitments of these keys that counted in epochs which the chain had settled at the anchor, newest first, as far as we know what was
 * settled in them. Nobody can add to them afterwards. design: Place.
 */
export async function formerCommitments(
  desk: Books,
  { row }: Pick<EpochAt, 'row'>,
  below: ChainApp,
  keys: readonly string[],
): Promise<FormerCommitment[]> {
  const found: FormerCommitment[] = []
  for (const epoch of keys.length > 0 ? settledBefore(below, row.epoch).reverse() : []) {
    const inputs = await inputsOf(desk, below, epoch)
    for (const { key, root } of inputs?.commitments ?? [])
      if (keys.includes(key)) found.push({ key, epoch, root })
  }
  return found
}

/** What the hash stands for under which an epoch was settled, where one of its signatures is held. */
async function inputsOf(desk: Books, below: ChainApp, epoch: number) {
  const settled = below.settlements.get(epoch)?.inputs
  for await (const { message, inputs } of signedOutcomes(desk, below.id, epoch))
    if (message.inputs === settled) return inputs
  return undefined
}

/** Where what an epoch needs of absent attesters is found: the signatures that tell what counted, and what they stand for. */
export async function formerSayings(
  desk: Books,
  at: Pick<EpochAt, 'app' | 'rules' | 'row'>,
  below: ChainApp,
  present: readonly { readonly key: string }[],
): Promise<Sayings[]> {
  const { app, rules, row } = at
  const absent = absentKeys(at, present)
  const epochs = settledBefore(below, row.epoch)
  if (absent.length === 0 || epochs.length === 0) return []
  const authors = rules.keys.map(pubkeyOf)
  const named = newestFormer(await formerCommitments(desk, at, below, absent))
  return [
    { app: app.id, epochs, kinds: [kinds.proposal, kinds.coSignature], authors },
    ...named.map(({ key, epoch }) => ({
      ...{ app: app.id, epochs: [epoch], kinds: [kinds.commitment, kinds.attestation] },
      authors: [pubkeyOf(key)],
    })),
  ]
}

/**
 * What we hold in full of them, for each key newest first, down to the first that we held at our cut-off: newer ones came since, and older ones
 * nobody needs.
 */
export async function heldFormer(
  desk: Books,
  at: Pick<EpochAt, 'row'>,
  below: ChainApp,
  keys: readonly string[],
): Promise<HeldFormer[]> {
  const held: HeldFormer[] = []
  for (const named of await formerCommitments(desk, at, below, keys)) {
    if (held.some(({ key, completeAt }) => key === named.key && completeAt <= at.row.cutOffAt)) continue
    const former = await bundleOfFormer(desk, below.id, named)
    if (former) held.push(former)
  }
  return held
}

async function bundleOfFormer(
  { db, identity }: Books,
  app: string,
  { key, epoch, root }: FormerCommitment,
): Promise<HeldFormer | undefined> {
  const [said, attested] = await Promise.all(
    [kinds.commitment, kinds.attestation].map((kind) => eventsOfEpoch(db, kind, app, epoch, pubkeyOf(key))),
  )
  for (const { event, receivedAt } of said ?? []) {
    const read = parseCommitment(event, identity.chainId)
    if (!read.ok || read.value.root !== root) continue
    const attestations = (attested ?? []).flatMap((one) => {
      const attestation = parseAttestation(one.event)
      return attestation.ok ? [attestation.value] : []
    })
    const bundle = bundleOf(read.value, attestations)
    const moments = (attested ?? []).map((one) => one.receivedAt)
    if (bundle) return { key, epoch, root, bundle, completeAt: Math.max(receivedAt, ...moments) }
  }
  return undefined
}

/** For each key the newest: what a proposer names. */
export function newestFormer<F extends FormerCommitment>(former: readonly F[]): F[] {
  return former.filter(({ key }, at) => former.findIndex((other) => other.key === key) === at)
}
