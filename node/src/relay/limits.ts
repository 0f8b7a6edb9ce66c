import { z } from 'zod'

/** What one connection, and all of them together, may ask of the relay. */
export interface Limits {
  readonly connections: number
  readonly subscriptionsPerConnection: number
  readonly subscriptions: number
  /** Stored events that one filter is answered with. */
  readonly limit: number
  /** Events per second, and how many may come at once. One with a bad signature counts for `invalidCost`. */
  readonly eventsPerSecond: number
  readonly eventBurst: number
  readonly allEventsPerSecond: number
  readonly allEventBurst: number
  readonly invalidCost: number
  /** Questions (REQ) per second, and how many at once. */
  readonly requestsPerSecond: number
  readonly requestBurst: number
  /** Events of one connection that wait for their OK; above it we stop reading from it. */
  readonly inFlight: number
  /** Events that one transaction writes. */
  readonly batch: number
  /** Bytes that a reader may leave unread before it is dropped. */
  readonly buffered: number
  /** Frames that are none, before the connection is closed; one is forgiven every 10 s. */
  readonly strikes: number
  readonly pingMs: number
  readonly sweepMs: number
  readonly indexedTags: number
  /** Keys that one connection may prove (NIP-42). */
  readonly names: number
  /** Reconciliations (NIP-77) of one connection at once, and how long one may be silent, ms. */
  readonly sessionsPerConnection: number
  readonly sessionMs: number
  readonly futureSeconds: number
}

export const defaultLimits: Limits = {
  connections: 12_000,
  subscriptionsPerConnection: 64,
  subscriptions: 50_000,
  limit: 5_000,
  eventsPerSecond: 200,
  eventBurst: 4_000,
  allEventsPerSecond: 5_000,
  allEventBurst: 20_000,
  invalidCost: 20,
  requestsPerSecond: 20,
  requestBurst: 400,
  inFlight: 512,
  batch: 128,
  buffered: 4 * 1024 * 1024,
  strikes: 20,
  pingMs: 30_000,
  sweepMs: 60_000,
  indexedTags: 256,
  names: 16,
  sessionsPerConnection: 2,
  sessionMs: 60_000,
  futureSeconds: 15 * 60,
}

const perSecond = z.coerce.number().int().min(1).max(1_000_000)

/** The limits that an operator may want otherwise. What a sibling is asked for (NIP-77) counts for neither. */
export const limitsEnv = {
  EVENTS_PER_SECOND: perSecond
    .default(defaultLimits.eventsPerSecond)
    .describe('Events per second that one connection may send; 20 seconds of them at once'),
  ALL_EVENTS_PER_SECOND: perSecond
    .default(defaultLimits.allEventsPerSecond)
    .describe('Events per second that all connections together may send; 4 seconds of them at once'),
}

export function limitsOf(config: {
  readonly EVENTS_PER_SECOND: number
  readonly ALL_EVENTS_PER_SECOND: number
}): Partial<Limits> {
  const { EVENTS_PER_SECOND: one, ALL_EVENTS_PER_SECOND: all } = config
  return {
    eventsPerSecond: one,
    eventBurst: 20 * one,
    allEventsPerSecond: all,
    allEventBurst: 4 * all,
  }
}
