import type { Report } from '@understudy/protocol/attestation'
import type { Observation } from '../observation/observation.ts'

/** What an epoch's observations say of each mirror, by mirror id. Mirrors with too few conclusive probes are left out. */
export function reportsOf(observations: readonly Observation[]): Report[] {
  const byMirror = new Map<number, Observation[]>()
  for (const o of observations) byMirror.set(o.mirror, [...(byMirror.get(o.mirror) ?? []), o])
  return [...byMirror.values()]
    .flatMap((own) => {
      const report = reportOf(own)
      return report ? [report] : []
    })
    .sort((a, b) => a.mirror - b.mirror)
}

function reportOf(own: readonly Observation[]): Report | undefined {
  const count = (outcome: Observation['outcome']) => own.filter((o) => o.outcome === outcome).length
  const passed = count('passed')
  const failed = count('failed')
  const inconclusive = count('inconclusive')
  // design: fewer than half of the scheduled probes conclusive, no report.
  if (passed + failed === 0 || (passed + failed) * 2 < own.length) return undefined
  const reasons: Record<string, number> = {}
  for (const { reason } of own) if (reason) reasons[reason] = (reasons[reason] ?? 0) + 1
  const last = own.at(-1)!
  const dialled = own.findLast((o) => o.address !== '')
  const address = dialled?.address ?? ''
  const trips = own.flatMap((o) => (o.rttMicros > 0 && o.address === address ? [o.rttMicros] : []))
  return {
    mirror: last.mirror,
    nodeKey: last.nodeKey,
    passed,
    failed,
    inconclusive,
    reasons,
    wrongBytes: own.some((o) => o.wrongBytes),
    principal: last.principal,
    address,
    asn: dialled?.asn ?? 0,
    rttMicros: trips.length > 0 ? Math.min(...trips) : 0,
    geohash: last.geohash,
    commit: last.commit,
  }
}
