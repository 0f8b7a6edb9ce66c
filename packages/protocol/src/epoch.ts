/** An app's clock, fixed at registration. Heights are burn blocks. design: Settlement. */
export interface Schedule {
  /** First burn block of epoch 0. */
  readonly start: number
  /** Burn blocks in an epoch. */
  readonly length: number
  /** Epochs between a rule's announcement and its first epoch. */
  readonly notice: number
  /** Drain cap per epoch, µSTX. */
  readonly cap: bigint
}

/** The epoch that a burn height lies in; negative before the start. */
export function epochAt(schedule: Pick<Schedule, 'start' | 'length'>, burnHeight: number): number {
  return Math.floor((burnHeight - schedule.start) / schedule.length)
}

/** First burn height of the epoch. */
export function epochStart(schedule: Pick<Schedule, 'start' | 'length'>, epoch: number): number {
  return schedule.start + epoch * schedule.length
}

/** First burn height after the epoch. */
export function epochEnd(schedule: Pick<Schedule, 'start' | 'length'>, epoch: number): number {
  return epochStart(schedule, epoch + 1)
}

/** Burn blocks after the end of an epoch at which commitments close and attestations are revealed. */
export const cutOffBlocks = 3
/** Burn blocks after the end of an epoch at which attempt 0 opens; also the depth at which the anchor is read. */
export const firstAttemptBlocks = 6

/** Attempt open at a burn height, or -1 before the first. */
export function attemptAt(
  schedule: Pick<Schedule, 'start' | 'length'>,
  epoch: number,
  burnHeight: number,
): number {
  return Math.max(-1, burnHeight - epochEnd(schedule, epoch) - firstAttemptBlocks)
}

/** Whose turn it is to propose. */
export function proposerOf(keys: readonly string[], epoch: number, attempt: number): string {
  if (keys.length === 0 || attempt < 0) throw new Error('proposer: no keys, or no attempt is open')
  return keys[(epoch + attempt) % keys.length]!
}

/** Burn height at which settling of a round closes: round 0 at end + W − 2C, later rounds at end + W. */
export function settleBefore(
  schedule: Pick<Schedule, 'start' | 'length'>,
  rules: { readonly window: number; readonly challenge: number },
  epoch: number,
  round: number,
): number {
  const end = epochEnd(schedule, epoch)
  return round === 0 ? end + rules.window - 2 * rules.challenge : end + rules.window
}

/** How many epochs back an absent attester's commitment still represents it for place. design: Place. */
export const formerEpochs = 8
