import type { SettlementMessage } from '@understudy/protocol/settlement'
import { and, asc, eq, isNull } from 'drizzle-orm'
import type { Database } from './database.ts'
import { epochs, settlements, signedOutcomes } from './schema.ts'

/** How far we are with an epoch. */
export interface EpochRow {
  readonly app: string
  readonly epoch: number
  readonly followedFrom: number
  readonly commitment: string | null
  readonly abstained: string | null
  readonly cutOffAt: number
  readonly demanded: readonly string[]
  readonly final: string | null
}

/** Begins to follow an epoch; one that is followed stays as it is. */
export async function followEpoch(
  db: Database,
  app: string,
  epoch: number,
  followedFrom: number,
): Promise<void> {
  await db.insert(epochs).values({ app, epoch, followedFrom }).onConflictDoNothing()
}

/** Epochs in which something is left to do, oldest first. */
export async function openEpochs(db: Database, app: string): Promise<EpochRow[]> {
  return db
    .select()
    .from(epochs)
    .where(and(eq(epochs.app, app), isNull(epochs.final)))
    .orderBy(asc(epochs.epoch))
}

export async function updateEpoch(
  db: Database,
  { app, epoch }: Pick<EpochRow, 'app' | 'epoch'>,
  change: Partial<Pick<EpochRow, 'commitment' | 'abstained' | 'cutOffAt' | 'demanded' | 'final'>>,
): Promise<void> {
  await db
    .update(epochs)
    .set(change)
    .where(and(eq(epochs.app, app), eq(epochs.epoch, epoch)))
}

/**
 * Remembers that we sign this outcome. False when another one was signed for the same epoch, round and inputs: signing this one too
 * would be equivocation.
 */
export async function claimOutcome(
  db: Database,
  { app, epoch, round, inputs }: SettlementMessage,
  hash: string,
): Promise<boolean> {
  await db.insert(signedOutcomes).values({ app, epoch, round, inputs, hash }).onConflictDoNothing()
  const [row] = await db
    .select({ hash: signedOutcomes.hash })
    .from(signedOutcomes)
    .where(
      and(
        eq(signedOutcomes.app, app),
        eq(signedOutcomes.epoch, epoch),
        eq(signedOutcomes.round, round),
        eq(signedOutcomes.inputs, inputs),
      ),
    )
  return row?.hash === hash
}

/** A settlement on its way to the chain. */
export interface OutboxRow {
  readonly app: string
  readonly epoch: number
  readonly state: 'pending' | 'sent' | 'confirmed' | 'lapsed'
  readonly round: number
  readonly inputs: string
  readonly root: string
  readonly allocated: bigint
  readonly count: number
  readonly signatures: readonly (string | null)[]
  readonly notBefore: number
  readonly attempts: number
  readonly txid: string | null
  readonly txHex: string | null
}

/** Puts a settlement into the outbox; the first one of an epoch and round stays. */
export async function enqueueSettlement(
  db: Database,
  message: SettlementMessage,
  signatures: readonly (string | null)[],
  notBefore: number,
): Promise<void> {
  const { app, epoch, round, inputs, root, allocated, count } = message
  await db
    .insert(settlements)
    .values({
      ...{ app, epoch, round, inputs, root, count, signatures, notBefore },
      allocated: String(allocated),
      state: 'pending',
    })
    .onConflictDoNothing()
}

export async function outboxOf(
  db: Database,
  app: string,
  epoch: number,
  round: number,
): Promise<OutboxRow | undefined> {
  const [row] = await db
    .select()
    .from(settlements)
    .where(and(eq(settlements.app, app), eq(settlements.epoch, epoch), eq(settlements.round, round)))
  return row && { ...row, allocated: BigInt(row.allocated) }
}

export async function updateOutbox(
  db: Database,
  { app, epoch, round }: Pick<OutboxRow, 'app' | 'epoch' | 'round'>,
  change: Partial<Pick<OutboxRow, 'state' | 'notBefore' | 'attempts' | 'txid' | 'txHex'>>,
): Promise<void> {
  await db
    .update(settlements)
    .set(change)
    .where(and(eq(settlements.app, app), eq(settlements.epoch, epoch), eq(settlements.round, round)))
}
