import type { ChainApp, ChainMirror } from '@understudy/chain/state'
import type { AttestationView, MirrorDetail, MirrorView } from '@understudy/protocol/api'
import type { Attestation, Report } from '@understudy/protocol/attestation'
import type { Bundle, MirrorOutcome, Outcome } from '@understudy/protocol/outcome'
import { attesterKey, type Rules, threshold } from '@understudy/protocol/rules'
import type { AnnouncementRow, HeartbeatRow } from '../db/queries.ts'

/** What the attesters of one epoch's rules found, all of it committed to and revealed. */
export interface Verdict {
  readonly epoch: number
  readonly rules: Rules
  readonly bundles: readonly Bundle[]
  readonly outcome: Outcome
}

/** A mirror: chain and announcement joined, judged by the newest of the verdicts (newest first) that M attesters agree on. */
export function mirrorView(
  app: ChainApp,
  mirror: ChainMirror,
  said: { readonly announcement?: AnnouncementRow; readonly heartbeat?: HeartbeatRow },
  verdicts: readonly Verdict[],
  now: number,
): MirrorView {
  const { announcement, heartbeat } = said
  const judged = verdictOn(mirror, verdicts)
  const reports = judged?.reports ?? []
  const sum = (count: (report: Report) => number) =>
    reports.reduce((total, report) => total + count(report), 0)
  const heard = Math.max(heartbeat?.createdAt ?? 0, announcement?.createdAt ?? 0)
  return {
    mirror: mirror.id,
    nodeKey: mirror.nodeKey,
    owner: mirror.owner,
    name: announcement?.name ?? `mirror ${mirror.id}`,
    web: announcement?.web ?? mirror.endpoint,
    relay: announcement?.relay ?? '',
    commit: (newer(heartbeat, announcement) ?? announcement)?.commit ?? '',
    geohash: announcement?.geohash ?? '',
    claim: judged?.outcome.claim ?? 'unknown',
    network: judged?.outcome.asn ? `AS${judged.outcome.asn}` : '',
    bond: mirror.bond.toString(),
    since: mirror.since,
    bound: announcement !== undefined && announcement.stx === mirror.owner && announcement.expiresAt > now,
    state: judged ? stateOf(judged) : 'unknown',
    availability: judged?.outcome.reported ?? null,
    attestedEpoch: judged?.verdict.epoch ?? null,
    probes: {
      passed: sum((report) => report.passed),
      failed: sum((report) => report.failed),
      inconclusive: sum((report) => report.inconclusive),
    },
    reasons: reasonsOf(reports),
    paid: paidTo(app, mirror.id).toString(),
    lastSeen: heard > 0 ? Math.min(heard, now) : null,
  }
}

function newer(heartbeat?: HeartbeatRow, announcement?: AnnouncementRow): HeartbeatRow | undefined {
  return heartbeat && heartbeat.createdAt >= (announcement?.createdAt ?? 0) ? heartbeat : undefined
}

interface Judged {
  readonly verdict: Verdict
  readonly outcome: MirrorOutcome
  readonly reports: readonly Report[]
}

function verdictOn(mirror: ChainMirror, verdicts: readonly Verdict[]): Judged | undefined {
  for (const verdict of verdicts) {
    const outcome = verdict.outcome.mirrors.find((o) => o.mirror === mirror.id)
    if (!outcome || outcome.reported === null) continue
    const reports = verdict.bundles.flatMap((bundle) =>
      bundle.reports.filter((r) => r.mirror === mirror.id && r.nodeKey === mirror.nodeKey),
    )
    return { verdict, outcome, reports }
  }
  return undefined
}

function stateOf({ verdict, outcome, reports }: Judged): MirrorView['state'] {
  const { rules } = verdict
  const m = threshold(rules.keys)
  if (reports.filter((report) => report.wrongBytes).length >= m) return 'tampering'
  const rate = outcome.reported ?? 0
  if (rate > 0 && rate >= rules.floor) return 'up'
  const [commonest] = Object.entries(reasonsOf(reports)).sort((a, b) => b[1] - a[1])
  return commonest?.[0].startsWith('stale') ? 'stale' : 'down'
}

function reasonsOf(reports: readonly Report[]): Record<string, number> {
  const sums = new Map<string, number>()
  for (const report of reports)
    for (const [reason, count] of Object.entries(report.reasons))
      sums.set(reason, (sums.get(reason) ?? 0) + count)
  return Object.fromEntries(sums)
}

/** What claims paid for this mirror, in one epoch or in all. */
export function paidTo(app: ChainApp, mirror: number, epoch?: number): bigint {
  let paid = 0n
  for (const settlement of app.settlements.values()) {
    if (epoch !== undefined && settlement.epoch !== epoch) continue
    for (const claim of settlement.claims.values()) if (claim.mirror === mirror) paid += claim.amount
  }
  return paid
}

/** With what attesters said, epoch by epoch. `counts`: whether a key is among those of the epoch's rules. */
export function mirrorDetail(
  view: MirrorView,
  app: ChainApp,
  mirror: ChainMirror,
  attestations: readonly Attestation[],
  counts: (key: string, epoch: number) => boolean,
): MirrorDetail {
  const counted = attestations.filter((a) => counts(attesterKey(a.attester), a.epoch))
  const epochs = [...new Set(counted.map((a) => a.epoch))].sort((a, b) => b - a)
  return {
    ...view,
    endpoint: mirror.endpoint,
    epochs: epochs.map((epoch) => ({
      epoch,
      paid: paidTo(app, mirror.id, epoch).toString(),
      attestations: counted.filter((a) => a.epoch === epoch).map(attestationView),
    })),
  }
}

function attestationView({ eventId, attester, report }: Attestation): AttestationView {
  const { passed, failed, inconclusive, reasons, wrongBytes, asn, rttMicros, commit } = report
  const network = asn ? `AS${asn}` : ''
  return { eventId, attester, passed, failed, inconclusive, reasons, wrongBytes, network, rttMicros, commit }
}
