/** Probes by outcome. */
export interface ProbeCounts {
  readonly passed: number
  readonly failed: number
  readonly inconclusive: number
}

/** Adds up `understudy_probes_total` of a Prometheus text. */
export function countProbes(metrics: string): ProbeCounts {
  const counts = { passed: 0, failed: 0, inconclusive: 0 }
  for (const line of metrics.split('\n')) {
    const [, labels = '', value = '0'] = /^understudy_probes_total\{([^}]*)\} (\d+)$/.exec(line) ?? []
    const outcome = /\boutcome="(\w+)"/.exec(labels)?.[1]
    if (outcome === 'passed' || outcome === 'failed' || outcome === 'inconclusive')
      counts[outcome] += Number(value)
  }
  return counts
}

/** The sum over programs; one that does not answer counts for nothing. */
export async function askProbes(urls: Iterable<string>): Promise<ProbeCounts> {
  const all = await Promise.all(
    [...urls].map(async (url) => {
      try {
        const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(2_000) })
        return countProbes(await response.text())
      } catch {
        return countProbes('')
      }
    }),
  )
  const sum = (of: keyof ProbeCounts) => all.reduce((total, counts) => total + counts[of], 0)
  return { passed: sum('passed'), failed: sum('failed'), inconclusive: sum('inconclusive') }
}
