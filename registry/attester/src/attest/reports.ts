import type { Report } from '@understudy/protocol/attestation'
import { countReport, type ProbeEvidence, writeEvidence } from '@understudy/protocol/evidence'
import type { Observation } from '../observation/observation.ts'

/** A report, and the observations that it counts, as they are served. */
interface Counted {
  readonly report: Report
  /** Whose sha256 the report names. */
  readonly text: string
}

/**
 * What an epoch's observations say of each mirror, by mirror id. Mirrors with too few conclusive probes are left out. `missed`: how many more
 * probes of a mirror would have been made, had we run all the time.
 */
export function reportsOf(
  observations: readonly Observation[],
  about: Pick<ProbeEvidence, 'attester' | 'app' | 'epoch'>,
  missed: (made: number) => number = () => 0,
): Counted[] {
  const byMirror = new Map<number, Observation[]>()
  for (const o of observations) {
    const own = byMirror.get(o.mirror)
    if (own) own.push(o)
    else byMirror.set(o.mirror, [o])
  }
  return [...byMirror]
    .sort(([a], [b]) => a - b)
    .flatMap(([mirror, own]) => {
      const report = countReport(mirror, own, missed(own.length))
      if (!report) return []
      const observed = own.map(({ app: _, epoch: __, mirror: ___, ...o }) => ({
        ...o,
        phases: o.phases && { ...o.phases },
      }))
      const { hash, text } = writeEvidence({
        ...about,
        mirror,
        missed: missed(own.length),
        observations: observed,
      })
      return [{ report: { ...report, evidence: hash }, text }]
    })
}
