import { mkdirSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { commonEnv, list, listenHost, readConfig } from '@understudy/host/config'
import { createLog } from '@understudy/host/log'
import { createMetrics } from '@understudy/host/metrics'
import { onShutdown } from '@understudy/host/shutdown'
import { z } from 'zod'
import { pubkeys } from '../config.ts'
import { createAccess } from './access.ts'
import { adminType, createAdmin, isAdminCall, maxAdminBytes } from './admin.ts'
import { informationType } from './information.ts'
import { limitsEnv, limitsOf } from './limits.ts'
import { createRelay } from './relay.ts'
import { understudyScope } from './scope.ts'
import { createSiblings } from './siblings.ts'
import { startVerification } from './verification.ts'
import { startStore } from './writing.ts'

/** A relay on its own: config → store → relay → HTTP. */
const { DATA_DIR, PORT, HOST, PLACES_FILE, LOG_LEVEL } = commonEnv
const relayEnv = z.object({
  DATA_DIR,
  PORT,
  HOST,
  PLACES_FILE,
  LOG_LEVEL,
  PUBLIC_RELAY_URL: z
    .url({ protocol: /^wss?$/ })
    .optional()
    .describe('Where the relay is reached from outside'),
  READERS: pubkeys.describe('Public keys that may read, comma-separated; default everybody'),
  WRITERS: pubkeys.describe('Public keys that may write, comma-separated; default everybody'),
  SYNC_WITH: list
    .pipe(z.array(z.url({ protocol: /^wss?$/ })))
    .optional()
    .describe('Relays to converge with (NIP-77), comma-separated; none of them need reach us'),
  VERIFY_THREADS: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(availableParallelism())
    .describe('Threads that check signatures; default one per processor'),
  ...limitsEnv,
  ADMINS: pubkeys.describe('Public keys that may administer the relay (NIP-86), comma-separated'),
})
const config = readConfig(relayEnv, process.env)
const log = createLog('relay', config.LOG_LEVEL)
const metrics = createMetrics('relay')

mkdirSync(config.DATA_DIR, { recursive: true })
const store = startStore(join(config.DATA_DIR, 'relay.sqlite'))
const verification = startVerification(config.VERIFY_THREADS)
const { verify } = verification
const setOf = (keys: readonly string[] | undefined) => keys && new Set(keys)
const readers = setOf(config.READERS)
const writers = setOf(config.WRITERS)
const admins = setOf(config.ADMINS)
const now = Date.now
const relay = createRelay({
  store,
  verify,
  admit: understudyScope,
  access: createAccess({ ...(readers && { readers }), ...(writers && { writers }) }),
  now,
  log,
  metrics,
  limits: limitsOf(config),
  nips: admins ? [86, 98] : [],
  ...(config.PUBLIC_RELAY_URL && { url: config.PUBLIC_RELAY_URL }),
})
const admin = admins && createAdmin({ store, verify, now, admins })

/** The whole body, or undefined when it is longer than `most` bytes. */
async function bodyOf(req: IncomingMessage, most: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > most) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

const siblings = createSiblings({
  relay,
  find: async () => config.SYNC_WITH ?? [],
  random: Math.random,
  log,
})

const server = createServer(async (req, res) => {
  const answer = (status: number, type: string, body: string) => {
    res.writeHead(status, { 'content-type': type, 'access-control-allow-origin': '*' })
    res.end(req.method === 'HEAD' ? undefined : body)
  }
  const path = req.url?.split('?', 1)[0]
  if (req.method === 'OPTIONS') {
    res.setHeader('access-control-allow-headers', '*')
    answer(204, 'text/plain', '')
  } else if (admin && req.method === 'POST' && isAdminCall(req.headers['content-type'])) {
    const body = await bodyOf(req, maxAdminBytes).catch(() => undefined)
    if (!body) return answer(413, adminType, JSON.stringify({ error: 'too large' }))
    const base = config.PUBLIC_RELAY_URL?.replace(/^ws/, 'http') ?? `http://${req.headers.host}/`
    const { authorization } = req.headers
    const answered = await admin.answer({
      method: 'POST',
      url: new URL(req.url!, base).href,
      authorization,
      body,
    })
    answer(answered.status, adminType, JSON.stringify(answered.body))
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
  if (config.SYNC_WITH) siblings.start()
})

onShutdown(log, [
  ['siblings', () => siblings.stop()],
  ['relay', () => relay.close()],
  ['http', () => server.close()],
  ['verification', () => verification.close()],
  ['store', () => store.close()],
])
