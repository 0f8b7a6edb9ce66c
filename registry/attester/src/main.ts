import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { serve } from '@hono/node-server'
import { createStacksClient } from '@understudy/chain/client'
import { contractsOf } from '@understudy/chain/contracts'
import { listenHost, readConfig } from '@understudy/host/config'
import { sockets } from '@understudy/host/dial'
import { readOrCreateKeyFile } from '@understudy/host/key-file'
import { createLog } from '@understudy/host/log'
import { createMetrics } from '@understudy/host/metrics'
import { vantageOf } from '@understudy/host/places'
import { connect, openPostgres } from '@understudy/host/postgres'
import { onShutdown } from '@understudy/host/shutdown'
import { attesterTemplate } from '@understudy/protocol/attester'
import { encodeGeohash } from '@understudy/protocol/place'
import { readWhole } from '@understudy/relays/comparison'
import { openRelays, relayUrl } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import { createChainView } from './chain-view.ts'
import { paceOf, config as schema } from './config.ts'
import { openDatabase } from './db/database.ts'
import { evidenceOf } from './db/observations.ts'
import type { Desk } from './desk.ts'
import { createFollower, ourApps } from './follow.ts'
import { statusApp } from './http.ts'
import { identityOf } from './identity.ts'
import type { Observer } from './observation/observe.ts'
import { turn } from './pipeline.ts'
import { watchLag } from './probe/lag.ts'
import { createLibrary } from './probe/library.ts'
import { createManifests } from './probe/manifests.ts'
import { startWorkers } from './workers.ts'

// Configuration → key → chain → database → relays → desk → workers and pipeline → status page.
const config = readConfig(schema, process.env)
const pace = paceOf(config)
const log = createLog('attester', config.LOG_LEVEL)
const metrics = createMetrics('attester')
const vantage = await vantageOf({
  placesFile: config.PLACES_FILE,
  stacksUrl: config.STACKS_API_URL,
  mmdbFile: config.MMDB_FILE,
})
const secret = await readOrCreateKeyFile(config.ATTESTER_KEY_FILE ?? join(config.DATA_DIR, 'attester.key'))
const verify = await loadVerify()

const client = createStacksClient({ url: config.STACKS_API_URL })
const contracts = contractsOf(config.DEPLOYER)
const { chainId } = await untilAnswered(() => client.info())
const identity = identityOf(secret, chainId, config.STX_ADDRESS)
log.info(
  { pubkey: identity.pubkey, key: identity.key, account: identity.account, payee: identity.payee },
  'attester',
)

const postgres = config.DATABASE_URL
  ? undefined
  : await openPostgres({ dataDir: join(config.DATA_DIR, 'postgres'), log })
const pool = connect(config.DATABASE_URL ?? postgres!.url, log)
const db = await untilAnswered(() => openDatabase(pool))
const relays = openRelays(config.RELAYS, {
  verify,
  ...readWhole(log),
})

const desk: Desk = {
  db,
  identity,
  chain: createChainView(client, contracts),
  client,
  contracts,
  log,
  now: Date.now,
  random: Math.random,
  deltaMs: pace.deltaMs,
  roundMs: pace.roundMs,
  txFee: config.TX_FEE,
  latitude: config.LATITUDE,
  longitude: config.LONGITUDE,
  once: firstTime(10_000),
}

let wake: () => void = () => {}
const follower = createFollower(desk, relays, { metrics, onKept: () => wake() })
const library = createLibrary({ dir: join(config.DATA_DIR, 'git'), vantage, now: Date.now })
const lag = watchLag()
const localAddress = config.EGRESS_ADDRESS
const observer: Observer = {
  desk,
  manifests: createManifests({ dir: join(config.DATA_DIR, 'manifests'), vantage, localAddress }),
  follower,
  intervalMs: pace.intervalMs,
  forkIntervalMs: pace.forkIntervalMs,
  probing: {
    signer: identity.signer,
    verify,
    vantage,
    relays,
    library,
    dialler: sockets,
    nonce: () => randomBytes(32).toString('hex'),
    random: Math.random,
    now: Date.now,
    wait: (ms) => delay(ms),
    lagSince: lag.since,
    online(theirs) {
      const all = relays.status()
      const own = relayUrl(theirs)
      const ours = all.filter(({ url }) => !own.ok || url !== own.value)
      return (ours.length > 0 ? ours : all).some(({ state }) => state === 'open')
    },
    localAddress,
    challengeAddress: config.CHALLENGE_EGRESS_ADDRESS,
    timeoutMs: config.PROBE_TIMEOUT_MS,
    relayTimeoutMs: Math.min(pace.intervalMs, config.PROBE_TIMEOUT_MS),
    pauseMs: pace.pauseMs,
  },
}

const probes = metrics.counter('probes_total', 'Probes by outcome', ['outcome', 'reason'])
const took = metrics.histogram('probe_seconds', 'How long a probe took')
const burn = metrics.gauge('burn_height', 'Burn height as last read')
const workers = startWorkers(observer, {
  concurrency: config.PROBE_CONCURRENCY,
  leaseMs: pace.leaseMs,
  pollMs: pace.leasePollMs,
  onObserved(observation, ms) {
    const { app, epoch, mirror, outcome, reason, rttMicros } = observation
    probes.inc({ outcome, reason })
    took.observe(ms / 1_000)
    log.debug({ app, epoch, mirror, outcome, reason, rttMicros, ms: Math.round(ms) }, 'probed')
  },
})

let stopping = false
let turnedAt = 0
let failures = 0
const turning = (async () => {
  while (!stopping) {
    try {
      await turn(desk, { apps: config.APPS, intervalMs: pace.intervalMs, follower })
      turnedAt = Date.now()
      failures = 0
      burn.set(desk.chain.sight()?.burnHeight ?? 0)
    } catch (error) {
      failures++
      const pause = Math.min(pace.chainPollMs * 2 ** Math.min(failures, 5), 5_000) * (0.5 + Math.random() / 2)
      log.error({ err: error, pause: Math.round(pause) }, 'turn failed, trying again')
      await delay(pause)
    }
    // What relays bring in is looked at soon, but not one event at a time.
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    await Promise.race([delay(pace.chainPollMs), woken.then(() => delay(Math.min(100, pace.chainPollMs)))])
  }
})()

const announce = async () => {
  const announcement = {
    frequency: Math.max(1, Math.round(pace.intervalMs / 1_000)),
    timeout: config.PROBE_TIMEOUT_MS,
    checks: ['content', 'freshness', 'possession', 'place'],
    geohash: encodeGeohash({ latitude: config.LATITUDE, longitude: config.LONGITUDE }, 5),
    stx: identity.payee,
    evidence: config.PUBLIC_URL ?? '',
  }
  const event = await identity.signer.signEvent(
    attesterTemplate(announcement, Math.floor(Date.now() / 1_000)),
  )
  const published = await relays.publish(event)
  if (!published.ok) log.warn({ refused: published.refused }, 'announcement not published')
}
void announce()
const announcing = setInterval(() => void announce(), 3_600_000)

const staleMs = Math.max(30_000, pace.chainPollMs * 4)
const status = statusApp({
  metrics,
  evidence: (hash) => evidenceOf(db, hash),
  ready: () => {
    const online = observer.probing.online('')
    const fresh = Date.now() - turnedAt < staleMs
    const apps = ourApps(desk, config.APPS).map(({ app, epoch }) => ({ app: app.id, epoch }))
    return { ok: online && fresh, why: { online, fresh, key: identity.key, apps } }
  },
})
const server = serve({ fetch: status.fetch, port: config.PORT, hostname: listenHost(config) }, ({ port }) =>
  log.info({ url: `http://${listenHost(config)}:${port}`, key: identity.key }, 'ready'),
)

onShutdown(log, [
  ['status page', () => server.close()],
  ['announcements', () => clearInterval(announcing)],
  [
    'pipeline',
    async () => {
      stopping = true
      wake()
      await turning
    },
  ],
  ['probes', () => workers.stop()],
  ['follower', () => follower.close()],
  ['relays', () => relays.close()],
  ['library', () => library.close()],
  ['database', () => pool.end()],
  ['postgres', () => postgres?.stop()],
])

function firstTime(most: number): (matter: string) => boolean {
  const known = new Set<string>()
  return (matter) => {
    if (known.has(matter)) return false
    if (known.size >= most) known.clear()
    known.add(matter)
    return true
  }
}

/** Chain and database may still be starting. */
async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await ask()
    } catch (error) {
      if (attempt >= 8) throw error
      log.warn({ err: error }, 'waiting')
      await delay(250 * 2 ** Math.min(attempt, 5) * (0.5 + Math.random()))
    }
  }
}
