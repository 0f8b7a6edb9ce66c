import { and, asc, eq } from 'drizzle-orm'
import type { Observation } from '../observation/observation.ts'
import type { Database } from './database.ts'
import { evidence, observations } from './schema.ts'

/** Appends; committed to disk when this resolves. */
export async function appendObservation(db: Database, observation: Observation): Promise<void> {
  await db.insert(observations).values(observation)
}

/** Everything that was observed in an epoch, oldest first. */
export async function observationsOfEpoch(db: Database, app: string, epoch: number): Promise<Observation[]> {
  const rows = await db
    .select()
    .from(observations)
    .where(and(eq(observations.app, app), eq(observations.epoch, epoch)))
    .orderBy(asc(observations.id))
  return rows.map(({ id: _, ...observation }) => observation)
}

/** What a report counts. */
interface KeptEvidence {
  readonly hash: string
  readonly app: string
  readonly epoch: number
  readonly mirror: number
  readonly text: string
}

export async function keepEvidence(db: Database, kept: readonly KeptEvidence[]): Promise<void> {
  for (const row of kept) await db.insert(evidence).values(row).onConflictDoNothing()
}

export async function evidenceOf(db: Database, hash: string): Promise<string | undefined> {
  const [row] = await db.select({ text: evidence.text }).from(evidence).where(eq(evidence.hash, hash))
  return row?.text
}
