import { type ChainApp, rulesAt } from '@understudy/chain/state'
import type { AppView, MirrorView } from '@understudy/protocol/api'
import { parseCoordinate } from '@understudy/protocol/app'
import { epochAt } from '@understudy/protocol/epoch'
import { pubkeyOf, type Rules, threshold } from '@understudy/protocol/rules'
import type { ReleaseRow, RepositoryRow } from '../db/queries.ts'

/** The rules of the running epoch, or of the first before the start. */
export function currentRules(app: ChainApp, burnHeight: number): Rules {
  const rules = rulesAt(app, Math.max(0, epochAt(app.schedule, burnHeight))) ?? app.rules.at(-1)
  if (!rules) throw new Error(`app ${app.id} has no rules`)
  return rules
}

export function appView(
  app: ChainApp,
  burnHeight: number,
  repository: RepositoryRow | undefined,
  release: ReleaseRow | undefined,
  mirrors: readonly MirrorView[],
): AppView {
  const rules = currentRules(app, burnHeight)
  const newest = app.rules.at(-1) ?? rules
  const epoch = epochAt(app.schedule, burnHeight)
  const coordinate = parseCoordinate(app.coordinate)
  const { start, length, notice, cap } = app.schedule
  return {
    app: app.id,
    coordinate: app.coordinate,
    name: repository?.name ?? (coordinate.ok ? coordinate.value.d : app.id.slice(0, 8)),
    description: repository?.description ?? '',
    maintainer: app.maintainer,
    asset: app.asset,
    web: [...(repository?.web ?? [])],
    clone: [...(repository?.clone ?? [])],
    bound: repository?.stx === app.maintainer,
    schedule: { start, length, notice, cap: cap.toString() },
    epoch: epoch < 0 ? null : epoch,
    mirrors: mirrors.length,
    mirrorsUp: mirrors.filter((mirror) => mirror.state === 'up').length,
    release: release
      ? {
          eventId: release.eventId,
          commit: release.commit,
          seq: release.seq,
          files: release.files,
          createdAt: release.createdAt,
        }
      : null,
    pool: poolView(app, rules),
    rules: rulesView(rules),
    announced: newest.version > rules.version ? rulesView(newest) : null,
  }
}

function poolView(app: ChainApp, rules: Rules): AppView['pool'] {
  const { free, deposited, owed, paid } = app.pool
  return {
    free: free.toString(),
    deposited: deposited.toString(),
    allocated: (owed + paid).toString(),
    paid: paid.toString(),
    funders: app.shares.size,
    epochsLeft: rules.budget > 0n ? Number(free / rules.budget) : null,
  }
}

function rulesView(rules: Rules): AppView['rules'] {
  const { version, from, until, places, levels, floor, grace, faults, window, challenge } = rules
  return {
    version,
    from,
    until,
    budget: rules.budget.toString(),
    attesters: rules.keys.map(pubkeyOf),
    threshold: threshold(rules.keys),
    places,
    levels: [...levels],
    floor,
    domainBond: rules.domainBond.toString(),
    fee: rules.fee.toString(),
    grace,
    minBond: rules.minBond.toString(),
    faults,
    window,
    challenge,
  }
}
