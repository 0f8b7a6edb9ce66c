import { rulesAt } from '@understudy/chain/state'
import { epochAt } from '@understudy/protocol/epoch'
import { nextMoment } from '@understudy/protocol/seed'
import { appendObservation } from '../db/observations.ts'
import { endLease, type Target } from '../db/targets.ts'
import type { Desk } from '../desk.ts'
import type { Follower } from '../follow.ts'
import type { Manifests } from '../probe/manifests.ts'
import { type Plan, planProbe } from '../probe/plan.ts'
import { type ProbeDeps, type ProbeResult, probe } from '../probe/probe.ts'
import { failed, inconclusive } from '../probe/verdict.ts'
import type { Observation } from './observation.ts'

export interface Observer {
  readonly desk: Desk
  readonly manifests: Manifests
  readonly follower: Pick<Follower, 'refreshReleases'>
  readonly probing: ProbeDeps
  /** Mean pause between two probes of one mirror, ms. */
  readonly intervalMs: number
  /** Pause between two looks at one fork, ms. */
  readonly forkIntervalMs: number
}

/**
 * Probes one leased target, appends what was found to the log and makes it due again when the epoch's seed says. Undefined where there
 * was nothing to observe. Files it under the epoch in which it began.
 */
export async function observe(observer: Observer, target: Target): Promise<Observation | undefined> {
  const { desk, intervalMs } = observer
  const next = () => {
    const seed = desk.identity.seedOf(target.app, Math.max(0, epoch))
    return nextMoment(seed, target.mirror, desk.now(), intervalMs)
  }
  const sight = desk.chain.sight()
  const app = sight?.apps.get(target.app)
  const mirror = app?.mirrors.get(target.mirror)
  const epoch = app && sight ? epochAt(app.schedule, sight.burnHeight) : -1
  const rules = app && rulesAt(app, epoch)
  if (!sight || !app || !mirror || epoch < 0 || !rules?.keys.includes(desk.identity.key)) {
    await endLease(desk.db, target, next())
    return undefined
  }
  const at = { app, epoch, rules, burnHeight: sight.burnHeight }
  const checkFork = desk.now() - target.forkCheckedAt >= observer.forkIntervalMs
  const plan = () => planProbe(desk, observer.manifests, at, mirror, target, checkFork)

  let planned = await plan()
  let result = await run(observer, planned)
  if (result?.verdict.outcome === 'failed' && result.verdict.reason === 'wrong-bytes') {
    // Before anyone is accused: perhaps there is a release that has not reached us yet.
    await observer.follower.refreshReleases(at)
    planned = await plan()
    result = await run(observer, planned)
  }
  const announcement = planned.announcement
  const verdict = result?.verdict ?? inconclusive(planned.ok ? 'own-fault' : planned.reason)
  const observation: Observation = {
    app: app.id,
    epoch,
    mirror: mirror.id,
    at: desk.now(),
    nodeKey: mirror.nodeKey,
    principal: announcement?.stx ?? '',
    outcome: verdict.outcome,
    reason: verdict.outcome === 'passed' ? '' : verdict.reason.slice(0, 40),
    wrongBytes: verdict.outcome === 'failed' && verdict.wrongBytes,
    address: result?.address ?? '',
    asn: result?.asn ?? 0,
    rttMicros: Math.min(result?.rttMicros ?? 0, 60_000_000),
    geohash: announcement?.geohash ?? '',
    commit: announcement?.commit ?? '',
    phases: result?.phases ?? null,
    due: target.dueAt,
    intervalMs,
  }
  await appendObservation(desk.db, observation)
  const { address, micros: lowestMicros } = result?.baseline ?? {
    address: target.address,
    micros: target.lowestMicros,
  }
  const forkCheckedAt = checkFork && planned.ok ? desk.now() : target.forkCheckedAt
  await endLease(desk.db, { ...target, address, lowestMicros, forkCheckedAt }, next())
  return observation
}

async function run(observer: Observer, planned: Plan): Promise<ProbeResult | undefined> {
  if (!planned.ok) return undefined
  try {
    const result = await probe(planned.target, observer.probing)
    const { verdict } = result
    // Without every older release, bytes that we do not know may be just stale: no evidence of tampering.
    const doubtful =
      verdict.outcome === 'failed' && verdict.reason === 'wrong-bytes' && !planned.olderComplete
    return doubtful ? { ...result, verdict: failed('unknown-bytes') } : result
  } catch (error) {
    observer.desk.log.error({ err: error, web: planned.announcement.web }, 'probe broke down')
    return undefined
  }
}
