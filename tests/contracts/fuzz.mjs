import { spawn } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

// npm run fuzz:contracts. Progress goes to stderr; the last line of stdout is the result as JSON.
const usage = `npm run fuzz:contracts -- [options]

Plays sequences of calls against the contracts and against a model of them, and compares after every call.

  --runs <n>      how many sequences (5000)
  --workers <n>   processes side by side (one a core)
  --slice <n>     sequences that a process plays; each slice has a seed of its own (100)
  --seed <n>      that of the first slice, those after it count up (random)
  --minutes <n>   stop after so many minutes; --resume goes on (exit code 3)
  --resume        count what earlier slices played, where neither contracts nor tests changed
  --help

FUZZ_RUNS=<slice> FUZZ_SEED=<seed> FUZZ_PATH=<path> npx vitest run --project parts tests/contracts/model.test.ts
replays what failed, FUZZ_SHRINK=1 makes it small.`

const options = /** @type {const} */ ({
  runs: { type: 'string', default: '5000' },
  workers: { type: 'string', default: String(availableParallelism()) },
  slice: { type: 'string', default: '100' },
  seed: { type: 'string', default: String(randomInt(2 ** 30)) },
  minutes: { type: 'string' },
  resume: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
})

let values
try {
  values = parseArgs({ options }).values
  for (const name of ['runs', 'workers', 'slice', 'seed', 'minutes'])
    if (values[name] !== undefined && !(Number(values[name]) >= (name === 'seed' ? 0 : 1)))
      throw new Error(`--${name} wants a number: ${values[name]}`)
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`)
  process.exit(2)
}
if (values.help) {
  console.log(usage)
  process.exit(0)
}

const folder = new URL('../.cache/fuzz/', import.meta.url)
const journal = new URL('journal.jsonl', folder)
mkdirSync(folder, { recursive: true })

/** What a slice rests on. */
const digest = createHash('sha256')
for (const name of readdirSync(new URL('../../contracts/', import.meta.url)).sort())
  digest.update(readFileSync(new URL(`../../contracts/${name}`, import.meta.url)))
for (const name of ['model.ts', 'model.test.ts', 'network.ts'])
  digest.update(readFileSync(new URL(name, import.meta.url)))
const grounds = digest.digest('hex')

/** @type {{ seed: number, sequences: number, calls: number, parties: number, grounds: string }[]} */
let slices = []
if (values.resume && existsSync(journal))
  slices = readFileSync(journal, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
    .filter((slice) => slice.grounds === grounds)
else rmSync(journal, { force: true })

const runs = Number(values.runs)
const from = performance.now()
const until = values.minutes ? from + Number(values.minutes) * 60_000 : Number.POSITIVE_INFINITY
const sum = (field) => slices.reduce((total, slice) => total + slice[field], 0)
const before = sum('sequences')
let begun = before
let nextSeed = Number(values.seed)
let failed = 0

/** Plays a slice in a process of its own, until the time is up. */
function play(count, seed) {
  const child = spawn(
    'npx',
    ['vitest', 'run', '--project', 'parts', '--silent=true', 'tests/contracts/model.test.ts'],
    {
      cwd: fileURLToPath(new URL('../../', import.meta.url)),
      env: {
        ...process.env,
        ...{ FUZZ_RUNS: String(count), FUZZ_SEED: String(seed) },
        ...(values.minutes ? { FUZZ_MINUTES: String((until - performance.now()) / 60_000) } : {}),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data) => {
      output += data
    })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, output }))
  })
}

async function work() {
  // In less than a minute a slice might not end its first sequence.
  const isTime = () => begun === before || until - performance.now() > 60_000
  while (begun < runs && failed === 0 && isTime()) {
    const count = Math.min(Number(values.slice), runs - begun)
    while (slices.some((slice) => slice.seed === nextSeed)) nextSeed++
    const seed = nextSeed++
    begun += count
    const { code, output } = await play(count, seed)
    const line = output.split('\n').find((text) => text.startsWith('{"fuzz":"contracts"'))
    if (code !== 0 || !line) {
      failed++
      console.error(`${output}\nfailed: in the slice of ${count} with seed ${seed}`)
      return
    }
    const { sequences, calls, parties } = JSON.parse(line)
    const slice = { seed, sequences, calls, parties, grounds }
    slices.push(slice)
    appendFileSync(journal, `${JSON.stringify(slice)}\n`)
    const pace = ((sum('sequences') - before) / (performance.now() - from)) * 60_000
    console.error(
      `${sum('sequences')} of ${runs} sequences, ${pace.toFixed(0)} a minute; seed ${seed}: ${sequences}`,
    )
  }
}
await Promise.all(Array.from({ length: Number(values.workers) }, work))

const sequences = sum('sequences')
console.log(
  JSON.stringify({
    ...{ fuzz: 'contracts', sequences, calls: sum('calls') },
    ...{ parties: slices[0]?.parties ?? 0, failed },
    ...{ seed: slices[0]?.seed ?? Number(values.seed), seeds: slices.map(({ seed }) => seed) },
    ...(sequences < runs && failed === 0 ? { more: '--resume' } : {}),
  }),
)
process.exitCode = failed > 0 ? 1 : sequences < runs ? 3 : 0
