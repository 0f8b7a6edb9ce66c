import { join } from 'node:path'
import { createStacksClient } from '@understudy/chain/client'
import { contractsOf } from '@understudy/chain/contracts'
import { listenHost, readConfig } from '@understudy/host/config'
import { createLog } from '@understudy/host/log'
import { createMetrics } from '@understudy/host/metrics'
import { vantageOf } from '@understudy/host/places'
import { connect, openPostgres } from '@understudy/host/postgres'
import { onShutdown, type ShutdownStep } from '@understudy/host/shutdown'
import { loadVerify } from '@understudy/relays/verify'
import { openFolderArchive } from './archive/folder.ts'
import { configSchema } from './config.ts'
import { loadPages } from './http/pages.ts'
import { listenOn } from './http/server.ts'
import { openProgram } from './program.ts'

// config → vantage → archive → database → listen → catch up with archive and chain → follow relays and chain.
// `main.js rebuild` drops the tables, catches up from nothing and ends.
const config = readConfig(configSchema, process.env)
const rebuild = process.argv.slice(2).some((argument) => argument === 'rebuild' || argument === '--rebuild')
const log = createLog('api', config.LOG_LEVEL)
const stacksUrl = config.STACKS_API_URL
const vantage = await vantageOf({ placesFile: config.PLACES_FILE, stacksUrl })
const archive = await openFolderArchive(config.ARCHIVE_DIR ?? join(config.DATA_DIR, 'archive'))
const postgres = config.DATABASE_URL
  ? undefined
  : await openPostgres({ dataDir: join(config.DATA_DIR, 'postgres'), log })
const pool = connect(postgres?.url ?? config.DATABASE_URL!, log)
const host = listenHost(config)

const program = openProgram({
  pool,
  archive,
  client: createStacksClient({ url: stacksUrl }),
  contracts: contractsOf(config.DEPLOYER),
  relays: config.RELAYS,
  vantage,
  verify: await loadVerify(),
  publicUrl: config.PUBLIC_URL ?? '/',
  publicStacksUrl: config.PUBLIC_STACKS_URL ?? stacksUrl,
  ...(config.WEB_DIR ? { pages: await loadPages(config.WEB_DIR) } : {}),
  log,
  metrics: createMetrics('api'),
  now: Date.now,
  random: Math.random,
  pollMs: config.POLL_INTERVAL_MS ?? (config.PLACES_FILE ? 500 : 10_000),
})
const closing: ShutdownStep[] = [
  [
    'http',
    () => {
      program.server.close()
      program.server.closeAllConnections()
    },
  ],
  ['program', () => program.close()],
  ['pool', () => pool.end()],
  ['postgres', () => postgres?.stop()],
]
onShutdown(log, closing)

if (rebuild) {
  await program.catchUp({ fresh: true })
  log.info('rebuilt')
  for (const [, close] of closing.slice(1)) await close()
} else {
  const url = await listenOn(program.server, config.PORT, host)
  log.info({ url }, 'listening')
  await program.catchUp({ fresh: false })
  program.follow()
  log.info({ url }, 'ready')
}
