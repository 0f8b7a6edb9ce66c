import { parseEnv } from '@understudy/host/config'
import { nodeEnv } from '@understudy/node/config'
import { command, type Io } from '../command.ts'
import { type Check, checks, type Finding, type Known } from '../doctor/checks.ts'
import { Failure } from '../failure.ts'

interface Row {
  readonly check: string
  readonly state: 'ok' | 'fault' | 'skipped'
  readonly detail: string
  readonly fix?: string
}

export const doctor = (io: Io) =>
  command(io, {
    name: 'doctor',
    description: 'Look at everything that a mirror stands on, and name what is wrong and what mends it',
    args: {},
    async run() {
      const read = parseEnv(nodeEnv, io.env)
      const rows = read.ok
        ? await examine({ config: read.value, io })
        : [
            {
              check: 'configuration',
              state: 'fault' as const,
              detail: read.problems.join(' '),
              fix: 'set it in .env of this folder (cp .env.example .env); docs/environment.md lists all variables',
            },
          ]
      const faults = rows.filter(({ state }) => state === 'fault')
      const data = { ok: faults.length === 0, checks: rows }
      if (faults.length > 0) {
        for (const line of linesOf(rows)) io.say(line)
        const names = faults.map(({ check }) => check).join(', ')
        throw new Failure('faults', `wrong: ${names}`, faults[0]!.fix, { data })
      }
      return { lines: [...linesOf(rows), 'all is well'], data }
    },
  })

/** Runs the checks in their order; what stands on a fault is not judged. */
async function examine(known: Known): Promise<Row[]> {
  const rows: Row[] = []
  for (const check of checks) {
    const lacking = check.needs.filter((name) => rows.some((row) => row.check === name && row.state !== 'ok'))
    rows.push(
      lacking.length > 0
        ? { check: check.name, state: 'skipped', detail: `first: ${lacking.join(', ')}` }
        : rowOf(check, await finding(check, known)),
    )
  }
  return rows
}

/** A check that cannot be made is a fault as well: nothing may look well because we failed. */
async function finding(check: Check, known: Known): Promise<Finding> {
  try {
    return await check.run(known)
  } catch (error) {
    const fix = error instanceof Failure && error.fix ? error.fix : 'run understudy doctor again'
    return { ok: false, problem: (error as Error).message, fix }
  }
}

function rowOf({ name }: Check, found: Finding): Row {
  return found.ok
    ? { check: name, state: 'ok', detail: found.detail }
    : { check: name, state: 'fault', detail: found.problem, fix: found.fix }
}

const linesOf = (rows: readonly Row[]): string[] =>
  rows.flatMap(({ check, state, detail, fix }) => [
    `${state.padEnd(8)} ${check.padEnd(13)} ${detail}`,
    ...(fix ? [`${' '.repeat(23)}fix: ${fix}`] : []),
  ])
