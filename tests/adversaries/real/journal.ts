type Line = Readonly<Record<string, unknown>>

/** What programs log, kept to be waited for. */
export interface Journal {
  hear(program: string, line: string): void
  said(program: string, msg: string): readonly Line[]
  /** How an attester's probes of an epoch went so far, by mirror. */
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
  const probes = new Map<string, Map<number, Probes>>()
  const loud = new Map<string, Line[]>()

  /** The list or map under a key, made when there is none. */
  function of<T>(all: Map<string, T>, key: string, make: () => T): T {
    const known = all.get(key) ?? make()
    all.set(key, known)
    return known
  }

  function count(program: string, line: Line): void {
    const mirrors = of(probes, `${program} ${line.epoch}`, () => new Map<number, Probes>())
    const before = mirrors.get(Number(line.mirror)) ?? noProbes
    const doubt = line.outcome === 'inconclusive' ? 1 : 0
    const micros = Number(line.rttMicros)
    mirrors.set(Number(line.mirror), {
      conclusive: before.conclusive + 1 - doubt,
      doubtful: before.doubtful + doubt,
      rttMicros: micros > 0 ? Math.min(before.rttMicros, micros) : before.rttMicros,
    })
  }

  return {
    hear(program, text) {
      if (!text.startsWith('{')) return
      const line = JSON.parse(text) as Line
      if (line.msg === 'probed') count(program, line)
      else of(lines, `${program} ${line.msg}`, () => []).push(line)
      if (Number(line.level) >= 30) of(loud, program, () => []).push(line)
    },
    said: (program, msg) => lines.get(`${program} ${msg}`) ?? [],
    probes: (attester, epoch) => probes.get(`${attester} ${epoch}`) ?? new Map(),
    last: (programs) =>
      programs
        .map((program) => JSON.stringify((loud.get(program) ?? []).slice(-10), undefined, 1))
        .join('\n'),
  }
}
