import { parseArgs } from 'node:util'
import { adversaries } from '../adversaries/all.ts'
import { addRun, campaign, isClean, nothing, openJournal } from './campaign.ts'
import { simulate } from './run.ts'

const help = `npm run simulate -- [options]

  --seed N             one run; prints everything that happens, then what came of it
  --adversary NAME     who lies in it (default "nobody"); part of a name is enough
  --list               the adversaries
  --epochs N           a campaign instead: all adversaries in turn, until N epochs have run (nightly: 100000)
  --out FILE           what the campaign's runs were, one JSON line each; a file that is there is continued
  --json               results as JSON

Exit 0 when nothing was stolen, lost, missed or wrongly convicted, 1 when something was, 2 when asked wrongly.`

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    adversary: { type: 'string', default: 'nobody' },
    list: { type: 'boolean', default: false },
    epochs: { type: 'string' },
    out: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(help)
else if (values.list) for (const { name, lie } of adversaries) console.log(`${name.padEnd(40)}${lie}`)
else if (values.epochs) await runMany(Number(values.epochs), values.out)
else if (values.seed) await runOne(values.adversary, Number(values.seed))
else {
  console.error(help)
  process.exitCode = 2
}

async function runOne(named: string, seed: number): Promise<void> {
  const adversary =
    adversaries.find(({ name }) => name === named) ?? adversaries.find(({ name }) => name.includes(named))
  if (!adversary || !Number.isInteger(seed)) {
    console.error(`no adversary is called ${JSON.stringify(named)}, or no seed ${values.seed}: see --list`)
    process.exitCode = 2
    return
  }
  const run = await simulate(adversary, seed, values.json ? undefined : (line) => console.log(line))
  console.log(JSON.stringify({ ...run, stolen: String(run.stolen) }, null, values.json ? 0 : 1))
  if (run.findings.length > 0) process.exitCode = 1
}

async function runMany(epochs: number, file: string | undefined): Promise<void> {
  const journal = openJournal(file)
  let sum = journal.runs.reduce(addRun, nothing)
  await campaign(
    journal.next,
    () => sum.epochs >= epochs,
    (run, index) => {
      sum = addRun(sum, run)
      journal.append(run, index)
      for (const finding of run.findings) console.error(`${run.adversary}, seed ${run.seed}: ${finding}`)
      if (sum.runs % 100 === 0) console.error(`${sum.epochs} of ${epochs} epochs`)
    },
  )
  console.log(JSON.stringify({ ...sum, stolen: String(sum.stolen) }))
  if (!isClean(sum)) process.exitCode = 1
}
