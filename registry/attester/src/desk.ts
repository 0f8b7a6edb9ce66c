import type { StacksClient } from '@understudy/chain/client'
import type { Contracts } from '@understudy/chain/contracts'
import type { ChainApp } from '@understudy/chain/state'
import type { Log } from '@understudy/host/log'
import type { EventTemplate, NostrEvent } from '@understudy/protocol/event'
import type { Rules } from '@understudy/protocol/rules'
import type { ChainView } from './chain-view.ts'
import type { Database } from './db/database.ts'
import type { EpochRow } from './db/epochs.ts'
import type { Identity } from './identity.ts'

/** What the stages from observation to settlement work with. */
export interface Desk {
  readonly db: Database
  readonly identity: Identity
  readonly chain: ChainView
  readonly client: StacksClient
  readonly contracts: Contracts
  readonly log: Log
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** In [0, 1). */
  readonly random: () => number
  /** Δ: how long what others sent must have been held, or may be late, ms. */
  readonly deltaMs: number
  /** Length of a round of probes, ms: in which a fault of ours shows as everybody's. */
  readonly roundMs: number
  /** Fee of a settlement transaction, µSTX. */
  readonly txFee: bigint
  readonly latitude: number
  readonly longitude: number
  /** True the first time that it is asked about a matter: for saying something once only. */
  once(matter: string): boolean
}

/** One epoch of one app, at a burn height. */
export interface EpochAt {
  readonly app: ChainApp
  readonly rules: Rules
  readonly row: EpochRow
  /** In which it settles next: how many of its settlements were voided. */
  readonly round: number
  readonly burnHeight: number
}

/** A stage moves an epoch on when its time has come, and is free to do nothing. It gives back the row as it then stands. */
export type Stage = (desk: Desk, at: EpochAt) => Promise<EpochRow>

export const seconds = (desk: Pick<Desk, 'now'>): number => Math.floor(desk.now() / 1_000)

export async function sign(desk: Pick<Desk, 'identity'>, template: EventTemplate): Promise<NostrEvent> {
  return desk.identity.signer.signEvent(template)
}
