import { failOver, openVisitor } from './failover.ts'
import { type Network, startNetwork } from './network.ts'
import { help, parseOptions } from './options.ts'
import { type EpochSummary, lastLine, summarise, table } from './summary.ts'
import { createTerminal } from './terminal.ts'
import { watchNetwork } from './watch.ts'

const read = parseOptions(process.argv.slice(2))
if (!read.ok) {
  process.stderr.write(`${read.reason}\n\n${help}`)
  process.exit(2)
}
const options = read.value
if (options.help) {
  process.stdout.write(help)
  process.exit(0)
}

const terminal = createTerminal((text) => void process.stdout.write(text), {
  json: options.json,
  colour: process.stdout.isTTY === true && !process.env.NO_COLOR,
  now: () => performance.now(),
})

const ending = new AbortController()
let starting: Promise<Network> | undefined
let watch: { stop(): Promise<void> } | undefined
let stopping: Promise<void> | undefined

/** Ends everything that was started, once. */
function stop(): Promise<void> {
  stopping ??= (async () => {
    ending.abort()
    await watch?.stop()
    const network = await starting?.catch(() => undefined)
    await network?.stop()
  })()
  return stopping
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  let asked = false
  process.on(signal, () => {
    // Asked twice: the leash ends what is left.
    if (asked) process.exit(130)
    asked = true
    terminal.notice('stopping; nothing is lost, the next start goes on from here')
    void stop().then(() => process.exit(0))
  })
}

/** Time for an epoch to run, settle and be claimed, ms. */
const patienceMs = 200_000

/** The first epoch from now on that pays a mirror. A second start may come too late in an epoch for enough probes. */
async function firstPaid(network: Network): Promise<EpochSummary> {
  for (let after = -1, tries = 1; ; tries++) {
    const { epoch = 0 } = await network.stages
      .until('claimed', { timeoutMs: patienceMs, where: (stage) => (stage.epoch ?? 0) > after })
      .catch((error: Error) => {
        throw new Error(`${error.message}; read ${network.dataDir}/logs/attester-a.log and cli.log`)
      })
    const summary = await summarise(network, epoch)
    if (summary.paidMirrors.length > 0) return summary
    const why = summary.rows.map((row) => `${row.mirror}: ${row.why}`).join('; ')
    if (tries === 2)
      throw new Error(`no mirror earned anything: ${why}; read ${network.dataDir}/logs/attester-a.log`)
    terminal.notice(`epoch ${epoch} paid no mirror (${why})`)
    after = epoch
  }
}

try {
  starting = startNetwork({
    dataDir: options.data,
    fresh: options.fresh,
    repo: options.repo,
    databaseUrl: process.env.DATABASE_URL,
    onStages: (stages) => stages.listen(terminal.stage),
    onNotice: terminal.notice,
    signal: ending.signal,
    onLine: options.verbose ? terminal.log : undefined,
    onDeath: (name, how, waitMs) => {
      if (stopping) return
      const next = waitMs === null ? 'it is given up' : `starting it again in ${waitMs} ms`
      terminal.notice(`${name} ended ${how}; ${next} (${options.data}/logs/${name}.log)`)
    },
  })
  const network = await starting
  const { urls } = network
  terminal.print('')
  terminal.print(`  app       ${urls.master}`)
  terminal.print(`  web page  ${urls.web}`)
  terminal.print(`  API       ${urls.api}/api/apps`)
  terminal.print(`  chain     ${urls.stacks}`)
  terminal.print('')
  watch = await watchNetwork(network, terminal.notice)

  const summary = await firstPaid(network)
  terminal.print('')
  for (const line of table(summary.rows)) terminal.print(line)
  terminal.print('')
  const visitor = await openVisitor(network)
  const failover = await failOver(network, visitor)
  visitor.close()
  terminal.print('')
  terminal.print(`  ${urls.master} is dead; a page that had it open goes on. Web page: ${urls.web}`)
  if (options.once) {
    await stop()
    process.stdout.write(`${lastLine(summary, failover, urls)}\n`)
    process.exit(0)
  }
  terminal.print('  Ctrl-C ends everything; the next npm start resumes.')
} catch (error) {
  if (!stopping) {
    process.stderr.write(`npm start failed: ${(error as Error).message}\n`)
    await stop()
    process.exit(1)
  }
}
