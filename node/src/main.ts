import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { getConnInfo } from '@hono/node-server/conninfo'
import { createStacksClient } from '@understudy/chain/client'
import { contractsOf } from '@understudy/chain/contracts'
import { openObjects } from '@understudy/git/objects'
import { prepareRepository } from '@understudy/git/repository'
import { listenHost, readConfig } from '@understudy/host/config'
import { decodeKey, readOrCreateKeyFile } from '@understudy/host/key-file'
import { createLog } from '@understudy/host/log'
import { createMetrics } from '@understudy/host/metrics'
import { vantageOf } from '@understudy/host/places'
import { onShutdown } from '@understudy/host/shutdown'
import { appId } from '@understudy/protocol/app'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { readWhole } from '@understudy/relays/comparison'
import { openRelays } from '@understudy/relays/relays'
import { loadSigner } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { readAccepted, writeAccepted } from './accepted.ts'
import { createAlerts, directMessage, webhook } from './alerts.ts'
import { createAnnouncer } from './announcer.ts'
import { buildApp } from './app.ts'
import { createBuilder } from './build.ts'
import { createChallengeDesk } from './challenges.ts'
import { codePath, createCode } from './code.ts'
import { nodeEnv, relayUrlOf } from './config.ts'
import { createDrain } from './drain.ts'
import { everywhere, keptOf } from './everywhere.ts'
import { createFiles } from './files.ts'
import { createListener } from './listener.ts'
import { createPipeline } from './pipeline.ts'
import { prepareRelease, prunePrepared } from './preparation.ts'
import { checkServed } from './readiness.ts'
import { createAdmin } from './relay/admin.ts'
import { limitsOf } from './relay/limits.ts'
import { createRelay } from './relay/relay.ts'
import { appScope } from './relay/scope.ts'
import { announcedSiblings, createSiblings, guardedConnect } from './relay/siblings.ts'
import { startVerification } from './relay/verification.ts'
import { startStore } from './relay/writing.ts'
import { chainRules } from './rules.ts'
import { isolation, weaknesses } from './sandbox.ts'
import { createServe } from './serve.ts'
import { createSite, keptReleases } from './site.ts'
import { createUpkeep } from './upkeep.ts'
import { startWatch } from './watch.ts'

// Order of start: configuration, key, vantage → own relay, other relays → fork → HTTP → what was served before → rules, releases,
// challenges, heartbeats. Order of stop: the reverse, so that nothing is served that cannot be finished.

const config = readConfig(
  nodeEnv,
  process.env,
  'It reads .env of the folder that it is started in (cp .env.example .env), and the environment.',
)
const log = createLog('node', config.LOG_LEVEL)
const metrics = createMetrics('node')
const dataDir = resolve(config.DATA_DIR)
mkdirSync(dataDir, { recursive: true })
const password = config.NODE_KEY_PASSWORD
const secret = config.NODE_KEY
  ? decodeKey(config.NODE_KEY, 'NODE_KEY', password)
  : await readOrCreateKeyFile(join(dataDir, 'node.key'), password)
const signer = await loadSigner(secret)
const verify = await loadVerify()
const verification = startVerification(availableParallelism())
const vantage = await vantageOf({ placesFile: config.PLACES_FILE, stacksUrl: config.STACKS_API_URL })
const { APP: coordinate, PUBLIC_URL: publicUrl } = config
if (!vantage.schemes.includes(new URL(publicUrl).protocol)) {
  console.error(
    `PUBLIC_URL: expected ${vantage.schemes.join(' or ')}//; visitors and attesters use no other.`,
  )
  process.exit(2)
}
const app = appId(coordinate)
const relayUrl = config.PUBLIC_RELAY_URL ?? relayUrlOf(publicUrl)
const now = Date.now
const random = Math.random

const store = startStore(join(dataDir, 'relay.sqlite'))
const relay = createRelay({
  store,
  verify: verification.verify,
  admit: appScope(coordinate, () => {
    const members = pipeline.rules()?.members
    // We speak before the chain names us: an operator registers a node that already runs.
    return members ? { ...members, mirrors: new Set([...members.mirrors, signer.pubkey]) } : {}
  }),
  now,
  log,
  metrics,
  limits: limitsOf(config),
  about: { name: config.NAME ?? new URL(publicUrl).host, pubkey: signer.pubkey },
  url: relayUrl,
  nips: config.ADMINS ? [86, 98] : [],
})
const relays = openRelays(config.RELAYS, {
  verify,
  ...readWhole(log),
})

const repository = await prepareRepository({
  dir: join(dataDir, 'repository.git'),
  url: config.REPOSITORY_URL,
  vantage,
  maxBytes: config.MAX_REPOSITORY_BYTES,
})
const objects = openObjects(repository.dir)
// Challenges have a git of their own: what a visitor waits for must not delay them.
const challenged = openObjects(repository.dir)
const code = createCode({
  dir: repository.dir,
  coordinate,
  maxBytes: config.MAX_REPOSITORY_BYTES,
  metrics,
  now,
})
const upkeep = createUpkeep({ maintain: repository.maintain, random, log })
const files = createFiles({ objects, dir: join(dataDir, 'files') })
const site = createSite()

const serving = metrics.gauge('release_seq', 'Number of the release that is served')
const answered = metrics.counter('challenges_total', 'Challenges, by what became of them', ['outcome'])

const cacheDir = join(dataDir, 'prepared')
const acceptedPath = join(dataDir, 'releases.json')
const stopping = new AbortController()

const build = createBuilder({
  gitDir: repository.dir,
  objects,
  files,
  hidden: dataDir,
  timeoutMs: config.BUILD_TIMEOUT_SECONDS * 1_000,
})
if (config.RELEASE_MODE === 'build')
  for (const weakness of weaknesses(await isolation())) log.warn({ mode: config.RELEASE_MODE }, weakness)

const pipeline = createPipeline({
  coordinate,
  rules: chainRules(
    createStacksClient({ url: config.STACKS_API_URL }),
    contractsOf(config.DEPLOYER),
    coordinate,
  ),
  relays: everywhere(relays, relay),
  site,
  prepare: (signed) =>
    prepareRelease(signed, {
      repository,
      objects,
      files,
      cacheDir,
      signal: stopping.signal,
      ...(config.RELEASE_MODE === 'build' ? { build } : {}),
    }),
  check: (prepared, as) => checkServed(prepared, as, { url: loopbackUrl(), random }),
  async onSwitch(prepared) {
    serving.set(prepared.release.seq)
    // Siblings may lack it, and so may every other relay by now.
    await relay.publish(prepared.event)
    const kept = site.kept()
    await writeAccepted(acceptedPath, kept.slice(0, keptReleases))
    await files.prune(kept.flatMap((one) => [...one.files.values()]))
    await prunePrepared(cacheDir, kept)
    announcer.announce()
  },
  spreadMs: config.UPDATE_SPREAD_SECONDS * 1_000,
  random,
  log,
})

/** To our own relay and to all others; false when none of those took it. */
async function publish(event: NostrEvent): Promise<boolean> {
  const [, elsewhere] = await Promise.all([relay.publish(event), relays.publish(event)])
  return elsewhere.ok
}

const announcer = createAnnouncer({
  app,
  mirror: {
    coordinate,
    name: config.NAME ?? new URL(publicUrl).host,
    clone: config.REPOSITORY_URL,
    code: publicUrl + codePath(coordinate),
    web: publicUrl,
    relay: relayUrl,
    geohash: config.GEOHASH ?? '',
    country: config.COUNTRY ?? '',
    stx: config.STX_ADDRESS,
  },
  relayUrls: [...config.RELAYS, relayUrl],
  signer,
  site,
  publish,
  now,
  random,
  log,
})

const desk = createChallengeDesk({
  app,
  host: new URL(publicUrl).host,
  signer,
  verify,
  attesters: () => pipeline.rules()?.members.attesters,
  site,
  read: challenged.read,
  now,
})
const answer: typeof desk.answer = async (input, from) => {
  const result = await desk.answer(input, from)
  answered.inc({ outcome: result.ok ? 'answered' : result.code })
  return result
}

/** How long answers that have begun may take once the end has begun, ms. Containers are killed 10 s after they were told to end. */
const drainMs = 6_000

function unready(): string[] {
  const connected = relays.status().some(({ state }) => state === 'open')
  return [
    ...(drain.begun() ? ['shutting down'] : []),
    ...(site.current() ? [] : ['no release is verified yet', ...pipeline.troubles()]),
    ...(connected ? [] : ['no relay is connected']),
  ]
}

const alerts = await createAlerts({
  channels: [
    ...(config.ALERT_WEBHOOK ? [webhook(config.ALERT_WEBHOOK, { app, nodeKey: signer.pubkey })] : []),
    ...(config.ALERT_NPUB ? [directMessage(secret, config.ALERT_NPUB, relays)] : []),
  ],
  path: join(dataDir, 'alerts.json'),
  random,
  log,
})

/** Other nodes of the app, found by their announcements alone. */
const siblings = createSiblings({
  relay,
  find: async () => {
    const mirrors = pipeline.rules()?.members.mirrors
    return mirrors ? announcedSiblings({ relay, app, self: signer.pubkey, mirrors }) : []
  },
  connect: guardedConnect(vantage),
  random,
  log,
})

const onError = (error: Error) => log.error({ err: error }, 'an answer failed')
const serve = createServe(files, onError)
const own = buildApp({
  app,
  coordinate,
  nodeKey: signer.pubkey,
  stx: config.STX_ADDRESS,
  relayUrl,
  version: '0.1.0',
  site,
  serve,
  desk: { answer },
  relay,
  metrics,
  admin:
    config.ADMINS && createAdmin({ store, verify: verification.verify, now, admins: new Set(config.ADMINS) }),
  unready,
  senderOf: (c) => getConnInfo(c).remote.address ?? '',
  onError,
})
const listen = createListener({ site, serve, own, metrics, onError })
const server = createServer((req, res) => void (code.handle(req, res) || listen(req, res)))
const drain = createDrain(server)
// A client that stops reading, or never finishes asking, is let go; open WebSockets have pings of their own.
server.headersTimeout = 10_000
server.requestTimeout = 30_000
server.timeout = 120_000
relay.attach(server)

/** A challenge that came over a relay is answered over all of them. */
function onChallenge(event: NostrEvent): void {
  answer(event, 'relays')
    .then((result) => result.ok && publish(result.event))
    .catch((error: unknown) => log.error({ err: error }, 'a challenge could not be answered'))
}

/** Where this program reaches its own server. */
function loopbackUrl(): string {
  const { address, port, family } = server.address() as AddressInfo
  const host = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address
  return `http://${family === 'IPv6' ? `[${host}]` : host}:${port}`
}

await new Promise<void>((listening) => server.listen(config.PORT, listenHost(config), listening))
const accepted = await readAccepted(acceptedPath, app, verify)
if (accepted[0] && (await repository.holds(accepted[0].release.commit))) await pipeline.resume(accepted)
log.info({ url: loopbackUrl() }, 'ready')

pipeline.start()
const question = { kinds: [kinds.challenge], '#p': [signer.pubkey] }
const heard = [
  relays.subscribe([{ ...question, limit: 0 }], { onEvent: onChallenge }),
  relay.subscribe([question], onChallenge),
  relays.subscribe(keptOf(coordinate), { onEvent: (event) => void relay.publish(event) }),
]
announcer.start()
siblings.start()
upkeep.start()
const watch = startWatch({
  app,
  nodeKey: signer.pubkey,
  publicUrl,
  relays,
  rules: pipeline.rules,
  unready,
  onAlert: alerts.raise,
  now,
})

onShutdown(
  log,
  [
    ['listening', () => drain.begin()],
    ['announcer', () => announcer.stop()],
    ['watch', () => watch.stop()],
    ['alerts', () => alerts.stop()],
    ['challenges', () => heard.map((subscription) => subscription.close())],
    [
      'pipeline',
      () => {
        stopping.abort()
        return pipeline.stop()
      },
    ],
    ['upkeep', () => upkeep.stop()],
    ['siblings', () => siblings.stop()],
    ['relay', () => relay.close()],
    ['relays', () => relays.close()],
    ['http', () => drain.end(drainMs)],
    ['git', () => Promise.all([objects.close(), challenged.close(), code.close()])],
    ['verification', () => verification.close()],
    ['store', () => store.close()],
  ],
  drainMs + 2_000,
)
