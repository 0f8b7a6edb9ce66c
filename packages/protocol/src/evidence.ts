import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import * as z from 'zod/mini'
import { type Report, reportSchema } from './attestation.ts'
import { canonicalJson } from './epochBundle.ts'
import { type Parsed, refused } from './event.ts'
import { check, hex32 } from './schema.ts'
import { momentOf, seedBefore } from './seed.ts'

/** Largest evidence that is read, bytes. */
const maxEvidenceBytes = 4_194_304

const whole = z.int().check(z.minimum(0))
const report = reportSchema.shape

/** One probe, as its attester judged it in the end. Times are ms since 1970 by the attester's clock. */
const observedSchema = z.object({
  at: whole,
  /** When it was due, and how long its slot was. */
  due: whole,
  intervalMs: z.int().check(z.minimum(1)),
  outcome: z.enum(['passed', 'failed', 'inconclusive']),
  reason: z.string().check(z.maxLength(40)),
  ...{ nodeKey: report.nodeKey, principal: report.principal, wrongBytes: report.wrongBytes },
  ...{ address: report.address, asn: report.asn, rttMicros: report.rttMicros },
  ...{ geohash: report.geohash, commit: report.commit },
  /** How long each phase of a fetch took, ms. */
  phases: z.nullable(z.record(z.string().check(z.maxLength(20)), z.number())),
})

export type Observed = z.infer<typeof observedSchema>

const schema = z.object({
  attester: hex32,
  app: hex32,
  epoch: whole,
  mirror: z.int().check(z.minimum(1)),
  /** Probes that fell into a time in which the attester did not run. */
  missed: whole,
  /** Oldest first. */
  observations: z.array(observedSchema).check(z.maxLength(100_000)),
})

/** Everything that one attester's report on one mirror for one epoch counts. */
export type ProbeEvidence = z.infer<typeof schema>

/** The bytes that are served, and their sha256, hex. */
export function writeEvidence(evidence: ProbeEvidence): { readonly hash: string; readonly text: string } {
  const text = JSON.stringify(evidence)
  return { hash: bytesToHex(sha256(new TextEncoder().encode(text))), text }
}

/** Reads evidence that was asked for by its hash. */
export function readEvidence(bytes: Uint8Array, hash: string): Parsed<ProbeEvidence> {
  if (bytes.length > maxEvidenceBytes) return refused(`larger than ${maxEvidenceBytes} bytes`)
  if (bytesToHex(sha256(bytes)) !== hash) return refused('not what its hash says')
  try {
    return check(schema, JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
  } catch {
    return refused('not JSON in UTF-8')
  }
}

/**
 * What observations of one mirror come to. Undefined where fewer than half of the scheduled probes were conclusive: then there is no report.
 * design: A probe.
 */
export function countReport(
  mirror: number,
  observations: readonly Omit<Observed, 'at' | 'due' | 'intervalMs' | 'phases'>[],
  missed: number,
): Report | undefined {
  const count = (outcome: Observed['outcome']) => observations.filter((o) => o.outcome === outcome).length
  const passed = count('passed')
  const failed = count('failed')
  const last = observations.at(-1)
  if (!last || passed + failed === 0 || (passed + failed) * 2 < observations.length + missed) return undefined
  const reasons: Record<string, number> = missed > 0 ? { missed } : {}
  for (const { reason } of observations) if (reason) reasons[reason] = (reasons[reason] ?? 0) + 1
  const dialled = observations.findLast((o) => o.address !== '')
  const address = dialled?.address ?? ''
  const trips = observations.flatMap((o) => (o.rttMicros > 0 && o.address === address ? [o.rttMicros] : []))
  return {
    mirror,
    nodeKey: last.nodeKey,
    passed,
    failed,
    inconclusive: count('inconclusive') + missed,
    reasons,
    wrongBytes: observations.some((o) => o.wrongBytes),
    principal: last.principal,
    address,
    asn: dialled?.asn ?? 0,
    rttMicros: trips.length > 0 ? Math.min(...trips) : 0,
    geohash: last.geohash,
    commit: last.commit,
  }
}

/** Seeds back from the epoch's own that a probe may have been scheduled by: an attester that was down catches up. */
const seedsBack = 8

/**
 * Whether evidence bears its report out: it is about the same, comes to the same counts, and its probes were due when the revealed seed says.
 * Undefined when it does; else what does not fit.
 */
export function evidenceRefused(
  evidence: ProbeEvidence,
  said: { readonly attester: string; readonly app: string; readonly epoch: number; readonly seed: string },
  told: Report,
): string | undefined {
  const { attester, app, epoch, mirror, missed, observations } = evidence
  const same = attester === said.attester && app === said.app && epoch === said.epoch
  if (!same || mirror !== told.mirror) return 'it is about something else'
  const counted = countReport(mirror, observations, missed)
  const { evidence: _, ...reported } = told
  if (!counted || canonicalJson(counted) !== canonicalJson(reported)) return 'its probes come to other counts'
  const seeds = [said.seed]
  while (seeds.length <= seedsBack) seeds.push(seedBefore(seeds.at(-1)!))
  const slots = new Set<string>()
  for (const { at, due, intervalMs } of observations) {
    const slot = Math.floor(due / intervalMs)
    if (!seeds.some((seed) => momentOf(seed, mirror, slot, intervalMs) === due))
      return `a probe at ${new Date(at).toISOString()} was not due when the seed says`
    if (slots.size === slots.add(`${slot} ${intervalMs}`).size) return `two probes in slot ${slot}`
  }
  return undefined
}
