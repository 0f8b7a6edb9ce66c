import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { serve } from '@hono/node-server'
import pino from 'pino'
import { z } from 'zod'
import { ACCOUNTS } from './accounts.ts'
import { buildApp } from './app.ts'
import { openChain } from './chain.ts'
import { createFaucet } from './faucet.ts'
import { type Entry, memoryJournal, openJournal } from './journal.ts'
import { startMiner } from './miner.ts'
import { openSimnet } from './simnet.ts'

// Order of start: options, journal, simnet, replay, HTTP, miner. Order of stop: miner, HTTP, journal.

const HELP = `understudy-devnet: a local Stacks chain. Simnet-backed, not consensus-equivalent.

  --port <n>             port on 127.0.0.1 (default 3999, 0: any)
  --burn-interval <ms>   time between burn blocks (default 1000, 0: only by POST /devnet/mine)
  --data <folder>        where the journal lives (default: memory only)
  --accounts             print the funded accounts as JSON, and exit
  --help                 print this, and exit
`

/** Simnet's clock starts here on every devnet, so that a journal replays to the same state on any day. */
const GENESIS_TIME = Date.UTC(2026, 0, 1)
const GENESIS: Entry = { type: 'genesis', simnet: '3.21.0, sbtc-token', time: GENESIS_TIME }

const options = z.object({
  port: z.coerce.number().int().min(0).max(65_535).default(3999),
  'burn-interval': z.coerce.number().int().min(0).max(86_400_000).default(1000),
  data: z.string().min(1).optional(),
})

/** How long open requests may take to finish after a signal (ms). */
const GRACE = 2_000

const { values: flags } = readFlags()
if (flags.help) {
  process.stdout.write(HELP)
} else if (flags.accounts) {
  const accounts = ACCOUNTS.map((account) => ({ ...account, balance: String(account.balance) }))
  process.stdout.write(`${JSON.stringify(accounts, undefined, 2)}\n`)
} else {
  await main()
}

function readFlags() {
  try {
    return parseArgs({
      options: {
        port: { type: 'string' },
        'burn-interval': { type: 'string' },
        data: { type: 'string' },
        accounts: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    })
  } catch (error) {
    return fail((error as Error).message)
  }
}

function fail(message: string): never {
  process.stderr.write(`${message}\n\n${HELP}`)
  process.exit(2)
}

async function main() {
  const parsed = options.safeParse(flags)
  if (!parsed.success) fail(z.prettifyError(parsed.error))
  const { port, data, 'burn-interval': burnInterval } = parsed.data
  const log = pino({ name: 'devnet', level: process.env.LOG_LEVEL ?? 'info' }, pino.destination(2))

  const { entries, journal } =
    data === undefined ? { entries: [], journal: memoryJournal } : await openJournal(data)
  if (entries.length === 0) await journal.append(GENESIS)
  else if (JSON.stringify(entries[0]) !== JSON.stringify(GENESIS)) {
    log.fatal({ found: entries[0], wanted: GENESIS }, 'the data folder belongs to another devnet version')
    process.exit(1)
  }

  const simnet = await openSimnet(GENESIS_TIME, (line) => log.debug(line))
  const started = performance.now()
  const chain = await openChain(simnet, journal, entries)
  const { stacks, burn } = chain.tip()
  log.info({ entries: entries.length, ms: Math.round(performance.now() - started), stacks, burn }, 'replayed')

  const app = buildApp(chain, createFaucet(chain), (error) => log.error(error))
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port })
  server.once('error', (error) => {
    log.fatal(error, 'cannot listen')
    process.exit(1)
  })
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  log.info({ url }, `devnet listening on ${url}`)
  process.stdout.write(`${JSON.stringify({ msg: 'ready', url })}\n`)

  const miner = startMiner(chain, burnInterval, (error) => {
    log.fatal(error, 'mining failed')
    process.exit(1)
  })

  let stopping = false
  async function stop(signal: string) {
    if (stopping) return
    stopping = true
    log.info({ signal }, 'stopping')
    await miner.stop()
    await new Promise((resolve) => {
      server.close(resolve)
      setTimeout(() => 'closeAllConnections' in server && server.closeAllConnections(), GRACE).unref()
    })
    await journal.close()
    process.exit(0)
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}
