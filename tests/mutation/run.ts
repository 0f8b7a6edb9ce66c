import { createHash } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { fileURLToPath } from 'node:url'
import { getSDK } from '@stacks/clarinet-sdk'
import { contractNames, sbtcToken } from '@understudy/chain/contracts'
import { it } from 'vitest'
import { stage } from '../contracts/network.ts'
import { entriesOf, reaches } from './calls.ts'
import { broken, type Mutant, mutantsOf } from './mutants.ts'
import { type RecordedTest, record } from './recorder.ts'

const options = JSON.parse(process.env['MUTATE'] ?? '{}') as {
  readonly contract?: string
  readonly function?: string
  readonly list?: boolean
  readonly resume?: boolean
  readonly minutes?: string
}

const folder = new URL('../.cache/mutation/', import.meta.url)
const resultFile = new URL('result.json', folder)
const journal = new URL('journal.jsonl', folder)
const testFolder = new URL('../contracts/', import.meta.url)
const wanted = 95
/** How many tests are tried by themselves, on fresh networks, before whole files are. */
const guesses = 4

const originals: Readonly<Record<string, string>> = { ...stage.sources }
const mutants = contractNames
  .flatMap((name) => mutantsOf(name, originals[name]!))
  .filter(
    (mutant) =>
      (options.contract ?? mutant.contract) === mutant.contract &&
      (options.function ?? mutant.function) === mutant.function,
  )

/** Survivors that change nothing that anybody could see, each with the reason. */
const equivalent = JSON.parse(readFileSync(new URL('equivalent.json', import.meta.url), 'utf8')) as Readonly<
  Record<string, string>
>

interface Verdict {
  readonly id: string
  /** `invalid` where the broken contract cannot be deployed. */
  readonly outcome: 'killed' | 'survived' | 'invalid'
  /** The test that noticed. */
  readonly by?: string
  /** What it rests on. */
  readonly digest: string
}

const digest = (...texts: readonly string[]): string =>
  createHash('sha256').update(texts.join('\0')).digest('hex')
/** As they are when this run begins: what is edited meanwhile counts for the next. */
const texts = new Map(
  readdirSync(testFolder)
    .sort()
    .map((name) => [name, readFileSync(new URL(name, testFolder), 'utf8')] as const),
)
const textOf = (name: string): string => texts.get(name)!
/** What a verdict rests on: the contracts, and the file of the test that noticed, or all where none did. */
function groundsOf(by?: string): string {
  const file = by?.split(': ')[0]
  const read = file ? ['network.ts', file] : [...texts.keys()]
  return digest(...Object.values(originals), ...read.map(textOf))
}

/** Whether a network could not be opened because the chain refuses a broken contract. */
const isRefused = (error: unknown): boolean => error instanceof Error && error.message.startsWith('deploy ')

function finish(exitCode: number, lines: readonly string[]): void {
  writeFileSync(resultFile, JSON.stringify({ exitCode, lines }))
}

/** What was called since it was last emptied: `<contract> <function>`, or `*` for a contract that may call any of ours. */
const called = new Set<string>()
const ours: readonly string[] = contractNames

/**
 * A session with nothing deployed. The first of a process takes seconds, the others a twentieth of one: the SDK copies it where there is a
 * manifest.
 */
async function prepare() {
  const simnet = await getSDK()
  const project = new URL('project/', folder)
  mkdirSync(new URL('settings/', project), { recursive: true })
  writeFileSync(new URL('Clarinet.toml', project), '[project]\nname = "understudy"\ntelemetry = false\n')
  writeFileSync(
    new URL('settings/Devnet.toml', project),
    // The SDK wants a deployer; this one is known to everybody and has nothing to do here.
    `[network]\nname = "devnet"\n\n[accounts.deployer]\nmnemonic = "${'abandon '.repeat(23)}art"\nbalance = 1\n`,
  )
  const watched = new Proxy(simnet, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (!['callPublicFn', 'callReadOnlyFn', 'callPrivateFn'].includes(String(name))) return value
      return (contract: string, method: string, ...rest: readonly unknown[]) => {
        const named = contract.split('.')[1]!
        if (named !== sbtcToken) called.add(ours.includes(named) ? `${named} ${method}` : '*')
        return (value as (...args: readonly unknown[]) => unknown)(contract, method, ...rest)
      }
    },
  })
  stage.begin = async () => {
    await simnet.initSession(fileURLToPath(project), './Clarinet.toml', null)
    return watched
  }
}

/** The tests of a file one after the other, as vitest runs them; the first that fails. */
async function firstFailing(
  tests: readonly RecordedTest[],
  after: (test: RecordedTest) => void = () => {},
): Promise<{ readonly test: RecordedTest; readonly error: unknown } | undefined> {
  const begun = new Set<readonly unknown[]>()
  for (const test of tests) {
    try {
      for (const acts of test.before) {
        if (begun.has(acts)) continue
        begun.add(acts)
        for (const act of acts) await act()
      }
      await test.act()
    } catch (error) {
      return { test, error }
    }
    after(test)
  }
  return undefined
}

/** By file: how long it takes, and what its tests call on the contracts as they are. */
type Baseline = Readonly<
  Record<string, { readonly seconds: number; readonly touched: Readonly<Record<string, readonly string[]>> }>
>

/** Runs every test once on the contracts as they are; throws where one fails. A later slice of the same run takes it from a file. */
async function baselineOf(
  files: ReadonlyMap<string, readonly RecordedTest[]>,
  told: (text: string) => void,
): Promise<Baseline> {
  const baseline: Record<string, Baseline[string]> = {}
  for (const [file, tests] of files) {
    const kept = new URL(
      `${file}-${digest(textOf(file), ...Object.values(originals)).slice(0, 16)}.json`,
      folder,
    )
    if (existsSync(kept)) {
      baseline[file] = JSON.parse(readFileSync(kept, 'utf8')) as Baseline[string]
      continue
    }
    const from = performance.now()
    called.clear()
    let before: readonly string[] = []
    const touched: Record<string, readonly string[]> = {}
    const failing = await firstFailing(tests, (test) => {
      // What was done before the first test of a file counts for all of them.
      if (test === tests[0]) before = [...called]
      touched[test.name] = [...new Set([...called, ...before])]
      called.clear()
    })
    if (failing)
      throw new Error(`${file}: ${failing.test.name}: fails on the contracts as they are`, {
        cause: failing.error,
      })
    const seconds = (performance.now() - from) / 1000
    baseline[file] = { seconds, touched }
    writeFileSync(kept, JSON.stringify(baseline[file]))
    told(`${file}: ${tests.length} tests, ${seconds.toFixed(1)} s`)
  }
  return baseline
}

it('breaks the contracts', { timeout: 24 * 3_600_000 }, async () => {
  const allIds = new Set(
    contractNames.flatMap((name) => mutantsOf(name, originals[name]!)).map(({ id }) => id),
  )
  const stale = Object.keys(equivalent).filter((id) => !allIds.has(id))
  if (options.list) {
    finish(0, [
      ...mutants.map(({ kind, id }) => `${kind.padEnd(11)}${id}`),
      JSON.stringify({ mutants: mutants.length }),
    ])
    return
  }
  if (stale.length > 0) {
    finish(1, [
      ...stale.map((id) => `stale: equivalent.json argues for what is not in the source any more: ${id}`),
      JSON.stringify({ mutants: mutants.length, stale: stale.length }),
    ])
    return
  }

  // Little of what is random: whatever a survivor survives, it survives again.
  process.env['FUZZ_RUNS'] = '2'
  process.env['FUZZ_SEED'] = '1'
  const names = [...texts.keys()].filter((name) => name.endsWith('.test.ts'))
  const files = new Map<string, RecordedTest[]>()
  for (const name of names)
    files.set(name, await record(name, () => import(`../contracts/${name.slice(0, -3)}.ts`)))
  await prepare()

  const told = (text: string) => process.stderr.write(`${text}\n`)
  const baseline = await baselineOf(files, told)
  const reachable = reaches(originals)
  const touching = (mutant: Mutant) => {
    const entries = entriesOf(reachable, mutant.contract, mutant.function)
    return ({ file, name }: RecordedTest) =>
      (baseline[file]!.touched[name] ?? ['*']).some((callee) => callee === '*' || entries.has(callee))
  }

  const soundAlone = new Map<RecordedTest, boolean>()
  /** Whether a test passes by itself on the contracts as they are. */
  async function isSoundAlone(test: RecordedTest): Promise<boolean> {
    const known = soundAlone.get(test)
    if (known !== undefined) return known
    const mutated = { ...stage.sources }
    Object.assign(stage.sources, originals)
    const sound = (await firstFailing([test])) === undefined
    Object.assign(stage.sources, mutated)
    soundAlone.set(test, sound)
    return sound
  }

  /** Tests that noticed something, the last first: what notices one thing in a function often notices the next. */
  const noticed = new Map<string, RecordedTest[]>()
  /** By mutant: the test that noticed it in an earlier run, before its file changed. */
  const formerly = new Map<string, RecordedTest>()

  async function judge(mutant: Mutant): Promise<Verdict> {
    const { id } = mutant
    Object.assign(stage.sources, originals, {
      [mutant.contract]: broken(originals[mutant.contract]!, mutant),
    })
    const name = `${mutant.contract} ${mutant.function}`
    const killers = noticed.get(name) ?? []
    noticed.set(name, killers)
    const killed = (test: RecordedTest): Verdict => {
      killers.splice(0, killers.length, test, ...killers.filter((other) => other !== test))
      const by = `${test.file}: ${test.name}`
      return { id, outcome: 'killed', by, digest: groundsOf(by) }
    }
    for (const test of new Set([formerly.get(id) ?? [], killers.slice(0, guesses)].flat())) {
      const failing = await firstFailing([test])
      if (!failing) continue
      if (isRefused(failing.error)) return { id, outcome: 'invalid', digest: groundsOf() }
      if (await isSoundAlone(test)) return killed(test)
    }
    const isTouching = touching(mutant)
    const share = (tests: readonly RecordedTest[]) => tests.filter(isTouching).length / tests.length
    const candidates = [...files.values()]
      .filter((tests) => tests.some(isTouching))
      .sort((a, b) => cost(a) - cost(b))
    // The contract's own file first, then cheap ones of which much touches the function.
    function cost(tests: readonly RecordedTest[]): number {
      const { file } = tests[0]!
      return file === `${mutant.contract}.test.ts` ? 0 : baseline[file]!.seconds / share(tests)
    }
    for (const tests of candidates) {
      // Those that do not touch the function cannot notice. What fails without them is believed where it passes by itself otherwise.
      const failing = await firstFailing(tests.filter(isTouching))
      if (!failing) continue
      if (isRefused(failing.error)) return { id, outcome: 'invalid', digest: groundsOf() }
      if ((await isSoundAlone(failing.test)) && (await firstFailing([failing.test])))
        return killed(failing.test)
      const certain = await firstFailing(tests)
      if (certain) return killed(certain.test)
    }
    return { id, outcome: 'survived', digest: groundsOf() }
  }

  const kept = new Map<string, Verdict>()
  const byName = new Map([...files.values()].flat().map((test) => [`${test.file}: ${test.name}`, test]))
  if (options.resume && existsSync(journal))
    for (const line of readFileSync(journal, 'utf8').split('\n').filter(Boolean)) {
      const verdict = JSON.parse(line) as Verdict
      const test = verdict.by === undefined ? undefined : byName.get(verdict.by)
      if (test) formerly.set(verdict.id, test)
      const gone = verdict.by !== undefined && !test
      if (!gone && verdict.digest === groundsOf(verdict.by)) kept.set(verdict.id, verdict)
    }
  else rmSync(journal, { force: true })

  const verdicts: Verdict[] = []
  const until = options.minutes
    ? performance.now() + Number(options.minutes) * 60_000
    : Number.POSITIVE_INFINITY
  // Those argued for last: to survive again they have to survive every test.
  const isArgued = ({ id }: Mutant) => equivalent[id] !== undefined
  const inOrder = [...mutants.filter((mutant) => !isArgued(mutant)), ...mutants.filter(isArgued)]
  for (const [at, mutant] of inOrder.entries()) {
    const known = kept.get(mutant.id)
    if (known) {
      verdicts.push(known)
      continue
    }
    if (performance.now() > until) {
      const killed = verdicts.filter(({ outcome }) => outcome === 'killed').length
      const survived = verdicts.filter(({ outcome }) => outcome === 'survived').map(({ id }) => id)
      finish(3, [
        ...survived.map((id) => `survived: ${id}`),
        JSON.stringify({ mutants: mutants.length, judged: verdicts.length, killed, more: '--resume' }),
      ])
      return
    }
    const from = performance.now()
    const verdict = await judge(mutant)
    verdicts.push(verdict)
    appendFileSync(journal, `${JSON.stringify(verdict)}\n`)
    const took = ((performance.now() - from) / 1000).toFixed(1)
    const listed = verdict.outcome === 'survived' && equivalent[mutant.id] ? 'equivalent' : verdict.outcome
    told(
      `[${at + 1}/${mutants.length}] ${listed} in ${took} s: ${mutant.id}${verdict.by ? ` (${verdict.by})` : ''}`,
    )
  }

  const killed = verdicts.filter(({ outcome }) => outcome === 'killed')
  const survived = verdicts.filter(({ outcome, id }) => outcome === 'survived' && !equivalent[id])
  const argued = verdicts.filter(({ outcome, id }) => outcome === 'survived' && equivalent[id])
  const wrong = killed.filter(({ id }) => equivalent[id])
  const killedPercent =
    Math.floor((10_000 * killed.length) / Math.max(1, killed.length + survived.length)) / 100
  finish(killedPercent >= wanted && wrong.length === 0 ? 0 : 1, [
    ...survived.map(({ id }) => `survived: ${id}`),
    ...wrong.map(({ id, by }) => `stale: equivalent.json argues for what a test notices: ${id} (${by})`),
    JSON.stringify({
      mutants: verdicts.filter(({ outcome }) => outcome !== 'invalid').length,
      killed: killed.length,
      equivalent: argued.length,
      killedPercent,
    }),
  ])
})
