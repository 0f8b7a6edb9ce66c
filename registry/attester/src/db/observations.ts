import { and, asc, eq } from 'drizzle-orm'
import type { Observation } from '../observation/observation.ts'
import type { Database } from './database.ts'
import { observations } from './schema.ts'

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
