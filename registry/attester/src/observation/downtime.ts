import { epochEnd, epochStart, type Schedule } from '@understudy/protocol/epoch'
import type { Watch } from '../db/watches.ts'

/**
 * How many burn blocks of an epoch passed between two looks, where the pause was long enough to miss probes in: more than `patienceMs`. The
 * chain's own clock counts, so that a chain that stood still was not missed.
 */
export function downBlocksIn(
  schedule: Pick<Schedule, 'start' | 'length'>,
  epoch: number,
  before: Watch,
  now: Watch,
  patienceMs: number,
): number {
  if (now.seenAt - before.seenAt <= patienceMs) return 0
  const from = Math.max(before.burnHeight, epochStart(schedule, epoch))
  const until = Math.min(now.burnHeight, epochEnd(schedule, epoch))
  return Math.max(0, until - from)
}

/** How many probes that makes, at the rate of those that were made in the rest of the epoch. */
export function missedIn(schedule: Pick<Schedule, 'length'>, downBlocks: number, made: number): number {
  const up = schedule.length - downBlocks
  return up > 0 ? Math.round((made * downBlocks) / up) : made
}
