/** Postgres for the whole local network, in `DATA_DIR` on `PORT`. Its password lies beside that folder. */
import { createLog } from '@understudy/host/log'
import { openPostgres } from '@understudy/host/postgres'
import { onShutdown } from '@understudy/host/shutdown'

const log = createLog('postgres', process.env.LOG_LEVEL)
const port = Number(process.env.PORT ?? 0)
const postgres = await openPostgres({ dataDir: process.env.DATA_DIR ?? './postgres', port, log })
onShutdown(log, [['postgres', () => postgres.stop()]])
log.info({ url: `postgres://127.0.0.1:${new URL(postgres.url).port}`, pid: postgres.pid() }, 'ready')
