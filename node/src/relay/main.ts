import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { commonEnv, listenHost, readConfig } from '@understudy/host/config'
import { createLog } from '@understudy/host/log'
import { createMetrics } from '@understudy/host/metrics'
import { onShutdown } from '@understudy/host/shutdown'
import { loadVerify } from '@understudy/relays/verify'
import { z } from 'zod'
import { informationType } from './information.ts'
import { createRelay } from './relay.ts'
import { understudyScope } from './scope.ts'
import { openStore } from './store.ts'

/** A relay on its own: config → store → relay → HTTP. */
const { DATA_DIR, PORT, HOST, PLACES_FILE, LOG_LEVEL } = commonEnv
const config = readConfig(z.object({ DATA_DIR, PORT, HOST, PLACES_FILE, LOG_LEVEL }), process.env)
const log = createLog('relay', config.LOG_LEVEL)
const metrics = createMetrics('relay')

mkdirSync(config.DATA_DIR, { recursive: true })
const store = openStore(join(config.DATA_DIR, 'relay.sqlite'))
const verify = await loadVerify()
const relay = createRelay({ store, verify, admit: understudyScope, now: Date.now, log, metrics })

const server = createServer(async (req, res) => {
  const answer = (status: number, type: string, body: string) => {
    res.writeHead(status, { 'content-type': type, 'access-control-allow-origin': '*' })
    res.end(req.method === 'HEAD' ? undefined : body)
  }
  const path = req.url?.split('?', 1)[0]
  if (req.method === 'OPTIONS') {
    res.setHeader('access-control-allow-headers', '*')
    answer(204, 'text/plain', '')
  } else if (path === '/healthz') answer(200, 'text/plain', 'ok\n')
  else if (path === '/metrics') answer(200, metrics.contentType, await metrics.text())
  else if (path !== '/') answer(404, 'text/plain', 'not found\n')
  else if (req.headers.accept?.includes(informationType))
    answer(200, informationType, JSON.stringify(relay.information()))
  else answer(200, 'text/plain', 'A Nostr relay: connect by WebSocket.\n')
})
relay.attach(server)

server.listen(config.PORT, listenHost(config), () => {
  const { address, port, family } = server.address() as AddressInfo
  const host = family === 'IPv6' ? `[${address}]` : address
  log.info({ url: `ws://${host}:${port}/` }, 'ready')
})

onShutdown(log, [
  ['relay', () => relay.close()],
  ['http', () => server.close()],
  ['store', () => store.close()],
])
