import { rulesAt } from '@understudy/chain/state'
import { attemptAt, epochEnd, epochStart } from '@understudy/protocol/epoch'
import { kinds } from '@understudy/protocol/kinds'
import { nextMoment } from '@understudy/protocol/seed'
import { epochKinds } from '@understudy/relays/epoch'
import type { AppEpoch } from './chain-view.ts'
import { closeEpoch } from './commit/close.ts'
import { followEpoch, openEpochs, updateEpoch } from './db/epochs.ts'
import { releaseEvents, type Sayings } from './db/events.ts'
import { setTargets } from './db/targets.ts'
import { keepWatch, lastWatch } from './db/watches.ts'
import type { Desk, EpochAt, Stage } from './desk.ts'
import { type Follower, ourApps } from './follow.ts'
import { downBlocksIn } from './observation/downtime.ts'
import { heldBundles, sayingsOf } from './settle/bundles.ts'
import { coSign } from './settle/co-sign.ts'
import { cutOff } from './settle/cut-off.ts'
import { formerSayings } from './settle/former.ts'
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
    if (due === stages && current.final === null) await exchange(desk, follower, { ...at, row: current })
  } catch (error) {
    desk.log.error({ err: error, app: app.id, epoch: row.epoch }, 'stage failed, trying again')
  }
}

/** Sees to it that everybody has what everybody needs. */
async function exchange(desk: Desk, follower: Follower, at: EpochAt): Promise<void> {
  const { app, row, burnHeight } = at
  const attempt = attemptAt(app.schedule, row.epoch, burnHeight)
  const open = row.cutOffAt > 0
  const block = open && desk.once(`${app.id}:${row.epoch}:${burnHeight}:reconcile`)
  const failed = attempt > 0 && desk.once(`${app.id}:${row.epoch}:${attempt}:again`)
  if (!block && !failed) return
  // Of who is absent, what it said before.
  const former = open && attempt >= 0 ? await formerOf(desk, at) : []
  // Once a block: whatever a relay lost or kept from us is in one of the others, or with one of us.
  if (block)
    void follower.reconcile([sayingsOf(at, epochKinds), ...former]).catch((error: unknown) => {
      desk.log.warn({ err: error, app: app.id, epoch: row.epoch }, 'not reconciled')
    })
  if (!failed) return
  // An attempt failed: perhaps somebody lacks what we hold. Before our cut-off our attestations stay ours.
  const said = sayingsOf(at, open ? [kinds.commitment, kinds.attestation] : [kinds.commitment])
  for (const again of [said, ...former]) await releaseEvents(desk.db, again)
}

async function formerOf(desk: Desk, at: EpochAt): Promise<Sayings[]> {
  const { app, row } = at
  const present = (await heldBundles(desk, at)).filter(({ bundle }) => bundle)
  const basis = await desk.chain.basisBelow(app.id, epochEnd(app.schedule, row.epoch))
  return formerSayings(desk, at, basis.app, present)
}
