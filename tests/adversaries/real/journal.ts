type Line = Readonly<Record<string, unknown>>

/** What programs log, kept to be waited for. */
export interface Journal {
  hear(program: string, line: string): void
  said(program: string, msg: string): readonly Line[]
  /** How the probes of an epoch went so far, by mirror. */
  probes(attester: string, epoch: number): ReadonlyMap<number, Probes>
  /** The last that was said above debug, for whoever has to find out why a test failed. */
  last(programs: readonly string[]): string
}

export interface Probes {
  readonly conclusive: number
  readonly doubtful: number
  /** Lowest round trip of a signed answer, µs; infinite before the first. */
  readonly rttMicros: number
}

export const noProbes: Probes = { conclusive: 0, doubtful: 0, rttMicros: Number.POSITIVE_INFINITY }

export function createJournal(): Journal {
  const lines = new Map<string, Line[]>()
  const said = (program: string, msg: string) => (lines.get(program) ?? []).filter((line) => line.msg === msg)
  return {
    hear(program, line) {
      if (!line.startsWith('{')) return
      const own = lines.get(program) ?? []
      lines.set(program, own)
      own.push(JSON.parse(line) as Line)
    },
    said,
    probes(attester, epoch) {
      const all = new Map<number, Probes>()
      for (const line of said(attester, 'probed')) {
        if (line.epoch !== epoch) continue
        const before = all.get(Number(line.mirror)) ?? noProbes
        const doubt = line.outcome === 'inconclusive' ? 1 : 0
        const micros = Number(line.rttMicros)
        all.set(Number(line.mirror), {
          conclusive: before.conclusive + 1 - doubt,
          doubtful: before.doubtful + doubt,
          rttMicros: micros > 0 ? Math.min(before.rttMicros, micros) : before.rttMicros,
        })
      }
      return all
    },
    last: (programs) =>
      programs
        .map((program) => (lines.get(program) ?? []).filter(({ level }) => Number(level) >= 30).slice(-10))
        .map((loud) => JSON.stringify(loud, undefined, 1))
        .join('\n'),
  }
}
