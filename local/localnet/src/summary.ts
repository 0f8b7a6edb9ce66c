import { inWhole } from '@understudy/protocol/money'
import { z } from 'zod'
import type { Failover } from './failover.ts'
import type { Network } from './network.ts'
import { placeOf } from './places.ts'

const outcomeSchema = z.object({
  epoch: z.number(),
  allocated: z.string(),
  paid: z.string(),
  claims: z.number(),
  txid: z.string(),
  attestations: z.number(),
  mirrors: z.array(
    z.object({
      mirror: z.number(),
      nodeKey: z.string(),
      availability: z.number(),
      reported: z.number().nullable(),
      claim: z.string(),
      amount: z.string(),
      reason: z.string().nullable(),
      bond: z.string(),
      passed: z.number(),
      failed: z.number(),
      inconclusive: z.number(),
      reasons: z.record(z.string(), z.number()),
    }),
  ),
})

export interface Row {
  readonly mirror: string
  readonly place: string
  /** Passed of conclusive probes, all attesters together. */
  readonly probes: string
  readonly availability: string
  readonly bond: string
  /** STX. */
  readonly paid: string
  readonly txid: string
  readonly why: string
}

export interface EpochSummary {
  readonly epoch: number
  readonly rows: readonly Row[]
  readonly mirrors: number
  readonly paidMirrors: readonly string[]
  readonly attestations: number
  readonly allocated: string
  readonly paid: string
  readonly claims: number
  readonly settleTxid: string
}

/** What one epoch came to, computed again by `understudy verify`, which fails unless it is what the chain settled. */
export async function summarise(network: Network, epoch: number): Promise<EpochSummary> {
  const outcome = await network.cli.run(outcomeSchema, ['verify', 'epoch', network.app.id, String(epoch)])
  const ppm = (value: number | null) => (value === null ? '–' : `${(value / 10_000).toFixed(1)} %`)
  const named = outcome.mirrors.map((mirror) => {
    const plan = network.mirrors.find((m) => m.nodeKey === mirror.nodeKey)
    const place = plan ? placeOf(plan.place) : undefined
    const reasons = Object.entries(mirror.reasons)
      .sort((a, b) => b[1] - a[1])
      .map(([reason, times]) => `${reason} ×${times}`)
    return {
      name: plan?.name ?? `mirror ${mirror.mirror}`,
      amount: mirror.amount,
      row: {
        mirror: plan?.name ?? `mirror ${mirror.mirror}`,
        place: place ? `${place.name} ${place.city}, claimed (${mirror.claim})` : mirror.claim,
        probes: `${mirror.passed}/${mirror.passed + mirror.failed}`,
        availability: ppm(mirror.reported),
        bond: inWhole(BigInt(mirror.bond), 'stx'),
        paid: inWhole(BigInt(mirror.amount), 'stx'),
        txid: mirror.amount === '0' ? '–' : `${outcome.txid.slice(0, 14)}…`,
        why: mirror.reason
          ? [mirror.reason, ...(reasons.length > 0 ? [`(${reasons.join(', ')})`] : [])].join(' ')
          : '',
      },
    }
  })
  return {
    epoch: outcome.epoch,
    rows: named.map(({ row }) => row),
    mirrors: named.length,
    paidMirrors: named.filter(({ amount }) => amount !== '0').map(({ name }) => name),
    attestations: outcome.attestations,
    allocated: outcome.allocated,
    paid: outcome.paid,
    claims: outcome.claims,
    settleTxid: outcome.txid,
  }
}

/** The last line of `--once`. */
export function lastLine(summary: EpochSummary, failover: Failover, urls: Network['urls']): string {
  const { epoch, mirrors, paidMirrors, attestations, allocated, paid, claims, settleTxid } = summary
  const { api: apiUrl, web: webUrl } = urls
  const failoverMs = failover.ms
  return JSON.stringify({
    ...{ epoch, mirrors, paidMirrors, attestations, allocated, paid, claims, failoverMs, settleTxid },
    ...{ apiUrl, webUrl },
  })
}

const headings: Row = {
  mirror: 'mirror',
  place: 'place',
  probes: 'passed',
  availability: 'availability',
  bond: 'bond STX',
  paid: 'paid STX',
  txid: 'settled by',
  why: 'why nothing',
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly Row[]): string[] {
  const columns = Object.keys(headings) as (keyof Row)[]
  const right = new Set<keyof Row>(['probes', 'availability', 'bond', 'paid'])
  const width = (column: keyof Row) => Math.max(...[headings, ...rows].map((row) => [...row[column]].length))
  const widths = new Map(columns.map((column) => [column, width(column)]))
  const line = (row: Row) =>
    columns
      .map((column) => {
        const cell = row[column]
        const gap = ' '.repeat(widths.get(column)! - [...cell].length)
        return right.has(column) ? gap + cell : cell + gap
      })
      .join('  ')
      .trimEnd()
  return [
    line(headings),
    columns.map((column) => '─'.repeat(widths.get(column)!)).join('  '),
    ...rows.map(line),
  ]
}
