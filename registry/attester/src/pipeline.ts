import { rulesAt } from '@understudy/chain/state'
import { attemptAt, epochStart } from '@understudy/protocol/epoch'
import { kinds } from '@understudy/protocol/kinds'
import { pubkeyOf } from '@understudy/protocol/rules'
import { nextMoment } from '@understudy/protocol/seed'
import type { AppEpoch } from './chain-view.ts'
import { closeEpoch } from './commit/close.ts'
import { followEpoch, openEpochs, updateEpoch } from './db/epochs.ts'
import { releaseEvents } from './db/events.ts'
import { setTargets } from './db/targets.ts'
import { keepWatch, lastWatch } from './db/watches.ts'
import type { Desk, EpochAt, Stage } from './desk.ts'
import { type Follower, ourApps } from './follow.ts'
import { downBlocksIn } from './observation/downtime.ts'
import { coSign } from './settle/co-sign.ts'
import { cutOff } from './settle/cut-off.ts'
import { gather } from './settle/gather.ts'
import { propose } from './settle/propose.ts'
import { reportAccused, strikeFallen } from './settle/report.ts'
import { submitSettlement } from './settle/submit.ts'

/**
 * The way of an epoch. Up to its end workers probe what is due and append observations (`workers.ts`); from then on:
 *
 *   observations ─closeEpoch─▶ attestations (held back) + commitment
 *                ─cutOff─────▶ attestations revealed
 *                ─propose────▶ proposal, in our turn      ─coSign─▶ co-signature, when we compute the same
 *                ─gather─────▶ M signatures, outbox       ─submitSettlement─▶ the chain
 *
 * Every stage looks at what is stored, does its part when its time has come, and stores it before anything is published.
 */
const stages: readonly Stage[] = [closeEpoch, cutOff, propose, coSign, gather, submitSettlement]
/** What is left where the chain has a settlement, whoever sent it. */
const whenSettled: readonly Stage[] = [strikeFallen, submitSettlement]

export interface PipelineOptions {
  /** Coordinates to attest; empty for every app whose rules list our key. */
  readonly apps: readonly string[]
  readonly intervalMs: number
  readonly follower: Follower
}

/** One turn: reads the chain, follows who is to be followed, and moves every open epoch on. */
export async function turn(desk: Desk, options: PipelineOptions): Promise<void> {
  const { burnHeight } = await desk.chain.refresh()
  const apps = ourApps(desk, options.apps)
  options.follower.follow(apps)
  for (const at of apps) {
    await schedule(desk, at, burnHeight, options.intervalMs)
    await reportAccused(desk, at.app)
    for (const row of await openEpochs(desk.db, at.app.id)) {
      const rules = rulesAt(at.app, row.epoch)
      const round = at.app.rounds.get(row.epoch) ?? 0
      if (rules) await advance(desk, options.follower, { app: at.app, rules, row, round, burnHeight })
    }
  }
  await options.follower.publishDue()
}

/** Makes the app's mirrors targets, and begins to follow the epoch that runs, where its rules list us. */
async function schedule(desk: Desk, at: AppEpoch, burnHeight: number, intervalMs: number): Promise<void> {
  const { app, epoch } = at
  const mirrors = [...app.mirrors.values()].filter((mirror) => !mirror.withdrawn).map((mirror) => mirror.id)
  const due = (mirror: number) =>
    nextMoment(desk.identity.seedOf(app.id, epoch), mirror, desk.now(), intervalMs)
  const ours = epoch >= 0 && rulesAt(app, epoch)?.keys.includes(desk.identity.key)
  await setTargets(desk.db, app.id, ours ? mirrors : [], due)
  if (ours) await followEpoch(desk.db, app.id, epoch, burnHeight)
  await watch(desk, at, burnHeight)
}

/** Notes that we run, and how long we did not: probes that were missed meanwhile, or that we cannot remember, count as scheduled. */
async function watch(desk: Desk, { app }: AppEpoch, burnHeight: number): Promise<void> {
  const before = await lastWatch(desk.db, app.id)
  const now = { seenAt: desk.now(), burnHeight }
  // Not at every turn: it is written to disk.
  if (before && now.seenAt - before.seenAt < desk.roundMs / 4) return
  await desk.db.transaction(async (tx) => {
    await keepWatch(tx, app.id, now)
    for (const row of await openEpochs(tx, app.id)) {
      const down = before
        ? downBlocksIn(app.schedule, row.epoch, before, now, desk.roundMs)
        : // Lately joined, or our memory is gone: nobody knows what we saw of it before.
          Math.max(0, row.followedFrom - epochStart(app.schedule, row.epoch))
      if (down > 0 && !row.commitment) await updateEpoch(tx, row, { downBlocks: row.downBlocks + down })
    }
  })
}

async function advance(desk: Desk, follower: Follower, at: EpochAt): Promise<void> {
  const { app, row } = at
  try {
    let current = row
    // Nobody listens to a key that was banned.
    const idle = app.settlements.has(row.epoch) || app.banned.has(desk.identity.key)
    const due = idle ? whenSettled : stages
    for (const stage of due) current = await stage(desk, { ...at, row: current })
    // Once a block from the cut-off on: whatever a relay lost or kept from us is in one of the others, or with one of us.
    const open = due === stages && current.cutOffAt > 0 && current.final === null
    if (open && desk.once(`${app.id}:${row.epoch}:${at.burnHeight}:reconcile`))
      void follower.reconcile(app.id, row.epoch, at.rules.keys.map(pubkeyOf)).catch((error: unknown) => {
        desk.log.warn({ err: error, app: app.id, epoch: row.epoch }, 'not reconciled')
      })
    // An attempt failed: perhaps somebody lacks what we hold.
    const attempt = attemptAt(app.schedule, row.epoch, at.burnHeight)
    const failed = due === stages && current.final === null && attempt > 0
    if (failed && desk.once(`${app.id}:${row.epoch}:${attempt}:again`))
      await releaseEvents(
        desk.db,
        app.id,
        row.epoch,
        // Before our cut-off our attestations stay ours.
        current.cutOffAt > 0 ? [kinds.commitment, kinds.attestation] : [kinds.commitment],
      )
  } catch (error) {
    desk.log.error({ err: error, app: app.id, epoch: row.epoch }, 'stage failed, trying again')
  }
}
