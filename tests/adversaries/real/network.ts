import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Identity, identityOf } from '@understudy/attester/identity'
import { fund, registerApp, registerMirror } from '@understudy/chain/calls'
import { createLogReader } from '@understudy/chain/logReader'
import { type SampleChain, sampleChain } from '@understudy/chain/sample'
import { type ChainApp, type ChainSettlement, projectChain } from '@understudy/chain/state'
import { collectBundle, verifyBundle } from '@understudy/chain/verify'
import { readOrCreateKeyFile } from '@understudy/host/key-file'
import { connect } from '@understudy/host/postgres'
import { delayBetween, oneWayMs } from '@understudy/localnet/delays/delay'
import { openDelayProxy } from '@understudy/localnet/delays/proxy'
import { own, program } from '@understudy/localnet/folders'
import { createSite } from '@understudy/localnet/master/site'
import { databaseUrl, ensureDatabases } from '@understudy/localnet/postgres/databases'
import { fork, syncFork } from '@understudy/localnet/repository'
import { createSupervisor, type Program, type Supervisor } from '@understudy/localnet/supervisor'
import { appId, coordinateOf, repositoryTemplate } from '@understudy/protocol/app'
import { epochTag } from '@understudy/protocol/attestation'
import { parseCommitment } from '@understudy/protocol/commitment'
import { cutOffBlocks, epochEnd, epochStart, firstAttemptBlocks } from '@understudy/protocol/epoch'
import { writeBundle } from '@understudy/protocol/epochBundle'
import type { EventSigner, EventTemplate, NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { mirrorTemplate } from '@understudy/protocol/mirror'
import { encodeGeohash, type Point } from '@understudy/protocol/place'
import { type Level, threshold } from '@understudy/protocol/rules'
import type { Match } from '@understudy/protocol/verify'
import { epochEvents } from '@understudy/relays/epoch'
import { openRelays, type Relays } from '@understudy/relays/relays'
import { signerOf } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { createJournal, noProbes } from './journal.ts'
import { denver, masterCity, type RealMirror, type Target } from './mirrors.ts'
import { egressOf, forgeAddress, forgeHost, placesOf, standOf } from './places.ts'
import { openRelayFront, type RelayFront } from './relay-front.ts'
import { openStudio } from './studio.ts'

/** Who takes part. */
export interface Cast {
  /** N = 2M − 1. */
  readonly attesters: number
  readonly mirrors: readonly RealMirror[]
  readonly levels: readonly Level[]
  /** Between two probes of one mirror, ms. */
  readonly probeIntervalMs: number
}

export interface RealAttester {
  readonly name: string
  readonly identity: Identity
  /** Of its own Postgres database. */
  readonly databaseUrl: string
}

/** A network of real programs whose blocks come when it is told, with its liars in their places. */
export interface RealNetwork {
  readonly app: string
  readonly chain: SampleChain
  readonly mirrors: readonly RealMirror[]
  readonly attesters: readonly RealAttester[]
  /** In key order, as the rules list them. */
  readonly keys: readonly string[]
  /** Before each of three relays. */
  readonly fronts: readonly RelayFront[]
  /** All three relays, past their fronts. */
  readonly relays: Relays
  /** True for what an attester keeps to itself: each is asked about each event that an attester sends to a relay. */
  readonly silences: ((event: NostrEvent, attester: string, relay: number) => boolean)[]
  /** On chain. */
  idOf(mirror: string): number
  /** Goes on with blocks up to this height. */
  mineTo(height: number): Promise<void>
  beginOf(epoch: number): number
  endOf(epoch: number): number
  /** Waits until each attester could tell of each mirror so many times more in this epoch how it is, and is near what it stands beside. */
  probed(epoch: number, times: number): Promise<void>
  /** Starts an attester again that says it stands here. */
  restand(attester: RealAttester, at: Point): Promise<void>
  /** Mines until a key is banned that contradicted itself, and gives all that are. */
  banned(): Promise<readonly string[]>
  /** Signs a release that no fork gets, and waits until every attester saw it. */
  release(createdAt: number): Promise<void>
  /** Ends the epoch, waits for what attesters say, all `but` these, and mines until it is settled. */
  settle(epoch: number, but: ReadonlySet<string>): Promise<ChainSettlement>
  /** The epoch as `understudy verify epoch` computes it again over the fronts. Throws unless that exits with 0. */
  verified(epoch: number): Promise<Match>
  chainApp(): Promise<ChainApp>
  close(): Promise<void>
}

const execute = promisify(execFile)
const budget = 30_000_000n
const bond = 5_000_000n
const deposit = 400_000_000n
const terms = {
  ...{ budget, places: 3, floor: 500_000, fee: budget / 50n, domainBond: 1_000_000_000n, grace: 5 },
  ...{ minBond: 1_000_000n, faults: 1, window: 30, challenge: 6, claimPeriod: 1_440, minSeq: 1 },
}
/** On a machine that is slow and busy. */
const patienceMs = 180_000
/** Round trip within a city at which the continent of either is proven, µs. */
const nearMicros = 25_000

/** A secret, for whoever bears this name. */
const secretOf = (name: string) => createHash('sha256').update(`understudy adversaries ${name}`).digest('hex')
const nowSeconds = () => Math.floor(Date.now() / 1_000)
const portOf = (url: string) => Number(new URL(url).port)

async function until<T>(
  what: () => string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const end = Date.now() + patienceMs
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error(`waited ${patienceMs} ms for ${what()}`)
    await delay(100)
  }
}

/** Starts everything, up to the attesters' having seen two releases and all mirrors. Epoch 0 begins when blocks are mined. */
export async function openRealNetwork(cast: Cast): Promise<RealNetwork> {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-adversaries-'))
  const journal = createJournal()
  const processes = createSupervisor({ logDir: join(dir, 'logs'), onLine: journal.hear })
  const closing: (() => unknown)[] = []
  const close = async () => {
    await processes.stop()
    for (const end of closing.toReversed()) await end()
    rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
  try {
    return await build({
      ...cast,
      dir,
      close,
      journal,
      closing,
      processes,
      start: (one) => processes.start(one).ready(patienceMs),
    })
  } catch (error) {
    await close()
    throw error
  }
}

interface Site extends Cast {
  readonly dir: string
  readonly journal: ReturnType<typeof createJournal>
  readonly closing: (() => unknown)[]
  readonly processes: Supervisor
  /** Gives its URL. */
  start(program: Program): Promise<string>
  close(): Promise<void>
}

async function build(site: Site): Promise<RealNetwork> {
  const { dir, journal, closing, start, mirrors } = site
  const folder = (name: string) => join(dir, name)
  const forge = folder('forge')
  mkdirSync(forge)
  const places = placesOf(mirrors, site.attesters)
  const { addressOf } = places
  writeFileSync(folder('places.json'), JSON.stringify(places.file))

  const [stacksUrl, postgresUrl, forgeUrl, ...relayUrls] = (await Promise.all([
    start({
      name: 'devnet',
      script: program('local/devnet/dist/main.js'),
      args: ['--port', '0', '--burn-interval', '0'],
      base: true,
    }),
    start({
      name: 'postgres',
      script: own('postgres/main.js'),
      env: { DATA_DIR: folder('postgres') },
      base: true,
    }),
    start({
      name: 'forge',
      script: own('forge/main.js'),
      args: [forge],
      env: { HOST: forgeAddress },
      base: true,
    }),
    ...[0, 1, 2].map((at) =>
      start({
        name: `relay-${at}`,
        script: program('node/dist/relay/main.js'),
        env: { HOST: '127.0.0.1', PORT: '0', DATA_DIR: folder(`relay-${at}`) },
        base: true,
      }),
    ),
  ])) as [string, string, string, ...string[]]
  const silences: RealNetwork['silences'][number][] = []
  const fronts = await Promise.all(
    relayUrls.map((relay, at) =>
      openRelayFront({ relay, says: (event, sender) => !silences.some((keeps) => keeps(event, sender, at)) }),
    ),
  )
  closing.push(() => fronts.map((front) => front.close()))
  const relaysFor = (name: string) => fronts.map((front) => front.urlFor(name))
  const verify = await loadVerify()
  const relays = openRelays(relayUrls, { verify })
  closing.push(() => relays.close())
  const publish = async (signer: EventSigner, template: EventTemplate) => {
    const published = await relays.publish(await signer.signEvent(template), { quorum: relayUrls.length })
    if (!published.ok) throw new Error(`relays: ${JSON.stringify(published.refused)}`)
  }

  // Keys, and money for their accounts.
  const chain = await sampleChain(stacksUrl, secretOf('deployer'))
  const { contracts, client, chainId } = chain
  const maintainer = signerOf(Buffer.from(secretOf('maintainer'), 'hex'))
  const releaser = signerOf(Buffer.from(secretOf('releaser'), 'hex'))
  const password = readFileSync(`${folder('postgres')}.password`, 'utf8').trim()
  const server = `postgres://postgres:${password}@127.0.0.1:${portOf(postgresUrl)}/postgres`
  const attesters = await Promise.all(
    [...'abcdefg'].slice(0, site.attesters).map(async (letter): Promise<RealAttester> => {
      const name = `attester-${letter}`
      const secret = await readOrCreateKeyFile(join(folder(name), 'attester.key'))
      const database = `attester_${letter}`
      await ensureDatabases(server, [database])
      return { name, identity: identityOf(secret, chainId), databaseUrl: databaseUrl(server, database) }
    }),
  )
  const keys = attesters.map(({ identity }) => identity.key).sort()
  await chain.fill([
    ...['maintainer', 'funder', ...mirrors.map(({ name }) => name)].map(secretOf),
    ...attesters.map(({ identity }) => Buffer.from(identity.secretKey).toString('hex')),
  ])

  // The app, its money and two releases; the master's server has the newest one.
  const coordinate = coordinateOf(maintainer.pubkey, 'demo')
  const app = appId(coordinate)
  const { burnHeight } = await client.info()
  const start0 = burnHeight + 24 + mirrors.length
  const schedule = { start: start0, length: 60, notice: 3, cap: 100_000_000n }
  const rules = { ...terms, keys, levels: site.levels, releaseKey: releaser.pubkey }
  await chain.send(secretOf('maintainer'), registerApp(contracts, { coordinate, schedule, terms: rules }))
  const funder = chain.addressOf(secretOf('funder'))
  const money = { app, amount: deposit, rulesVersion: 1, minShares: 0n }
  await chain.send(secretOf('funder'), fund(contracts, funder, money))
  const clone = (name: string) => `http://${forgeHost}:${portOf(forgeUrl)}/${name}.git`
  const repository = {
    ...{ pubkey: maintainer.pubkey, d: 'demo', name: 'Demo', description: '', clone: [clone('master')] },
    ...{ web: ['http://demo.example'], relays: relayUrls, stx: chain.addressOf(secretOf('maintainer')) },
  }
  await publish(maintainer, repositoryTemplate(repository, nowSeconds()))
  const studio = await openStudio(folder('checkout'), forge, { app, d: 'demo', coordinate })
  await publish(releaser, (await studio.release(nowSeconds() - 20)).event)
  const idOf = (name: string) => mirrors.findIndex((mirror) => mirror.name === name) + 1
  const named = (name: string) => mirrors[idOf(name) - 1]!
  const forked = mirrors.filter(({ node }) => node)
  for (const { name } of forked) await fork(forge, `fork-${idOf(name)}`)
  const newest = await studio.release(nowSeconds() - 10)
  await publish(releaser, newest.event)
  for (const { name, node } of forked) if (node === 'follows') await syncFork(forge, `fork-${idOf(name)}`)
  const blobs = await studio.blobsOf(newest.commit)
  const shown = createSite(studio.checkout, '/index.html').listen(0, '127.0.0.1')
  await once(shown, 'listening')
  closing.push(() => {
    shown.closeAllConnections()
    shown.close()
  })
  const master = await openDelayProxy({
    ...{ address: '127.0.0.1', port: 0, delayMs: () => oneWayMs(denver, masterCity) },
    target: { host: '127.0.0.1', port: (shown.address() as AddressInfo).port },
  })
  closing.push(() => master.close())

  // Every mirror: an address where its place is, a registration, and what it wants behind them.
  const common = {
    ...{ STACKS_API_URL: stacksUrl, DEPLOYER: chain.deployer, PLACES_FILE: folder('places.json') },
    ...{ HOST: '127.0.0.1', PORT: '0' },
  }
  const behind = new Map<string, Target | ((source: string) => Target)>()
  const ports = new Map<string, number>()
  for (const mirror of mirrors) {
    if (mirror.named) continue
    const address = addressOf(mirror)
    const front = await openDelayProxy({
      address,
      port: 0,
      target(source) {
        // Who comes before its node has started finds nobody.
        const target = behind.get(mirror.name) ?? { host: '127.0.0.1', port: 1 }
        return typeof target === 'function' ? target(source) : target
      },
      delayMs: (source) => delayBetween(places.file.places, source, address) + (mirror.delayMs ?? 0),
    })
    closing.push(() => front.close())
    ports.set(mirror.name, front.port)
  }
  const webOf = (mirror: RealMirror) =>
    mirror.named
      ? `http://${mirror.named}:${ports.get(mirror.beside!)}`
      : `http://${addressOf(mirror)}:${ports.get(mirror.name)}`
  const signerIn = async (name: string) => signerOf(await readOrCreateKeyFile(join(folder(name), 'node.key')))
  for (const mirror of mirrors) {
    const { pubkey } = await signerIn(`mirror-${idOf(mirror.name)}`)
    const owner = secretOf(mirror.name)
    const draft = { app, nodeKey: pubkey, endpoint: webOf(mirror), bond }
    await chain.send(owner, registerMirror(contracts, chain.addressOf(owner), draft))
  }
  const fooled = new Set(Array.from({ length: threshold(keys) }, (_, at) => egressOf(at)))
  const enter = async (mirror: RealMirror) => {
    const name = `mirror-${idOf(mirror.name)}`
    const web = webOf(mirror)
    const stx = chain.addressOf(secretOf(mirror.name))
    const geohash = mirror.claims ? encodeGeohash(mirror.claims, 5) : ''
    const signer = await signerIn(name)
    let nodeUrl = ''
    if (mirror.node)
      nodeUrl = await start({
        name,
        script: program('node/dist/main.js'),
        env: {
          ...common,
          ...{ RELAYS: relaysFor(name).join(','), DATA_DIR: folder(name), APP: coordinate, NAME: name },
          ...{ REPOSITORY_URL: clone(`fork-${idOf(mirror.name)}`), PUBLIC_URL: web, STX_ADDRESS: stx },
          ...{ ...(geohash ? { GEOHASH: geohash } : {}), UPDATE_SPREAD_SECONDS: '0' },
        },
      })
    else {
      const about = { coordinate, name, commit: newest.commit, clone: clone('master'), web, geohash }
      const draft = { ...about, relay: relayUrls[0]!, country: '', stx }
      await publish(signer, mirrorTemplate(draft, nowSeconds(), nowSeconds() + 3_600))
    }
    const target = await mirror.enter?.({
      ...{ signer, nodeUrl, fooled, onClose: (end) => closing.push(end) },
      master: { url: `http://127.0.0.1:${master.port}`, blobs },
      addressOf: (other) => ({ host: addressOf(named(other)), port: ports.get(other)! }),
    })
    if (target) behind.set(mirror.name, target)
    else if (nodeUrl) behind.set(mirror.name, { host: '127.0.0.1', port: portOf(nodeUrl) })
  }
  await Promise.all(mirrors.map(enter))
  const coordinates = ({ latitude, longitude }: Point) => ({
    ...{ LATITUDE: String(latitude), LONGITUDE: String(longitude) },
  })
  const environments = attesters.map(({ name, databaseUrl }, at) => ({
    ...{ ...common, ...coordinates(standOf(at)) },
    ...{ RELAYS: relaysFor(name).join(','), DATA_DIR: folder(name), DATABASE_URL: databaseUrl },
    ...{ EGRESS_ADDRESS: egressOf(at), PROBE_INTERVAL_MS: String(site.probeIntervalMs) },
    ...{ PROBE_TIMEOUT_MS: '3000', CHAIN_POLL_MS: '1000', DELTA_MS: '500', LOG_LEVEL: 'debug' },
  }))
  const attesterUrls = await Promise.all(
    attesters.map(({ name }, at) =>
      start({ name, script: program('registry/attester/dist/main.js'), env: environments[at]! }),
    ),
  )

  const last = () => journal.last(attesters.map(({ name }) => name))
  const everybody = (msg: string, times: number) =>
    until(
      () => `${msg}, said by all: ${last()}`,
      () => attesters.every(({ name }) => journal.said(name, msg).length >= times),
    )
  await everybody('release seen', newest.seq)
  await until(
    () => 'all announcements',
    async () => {
      const found = await relays.query([{ kinds: [kinds.mirror], '#d': [app] }])
      return new Set(found.map(({ pubkey }) => pubkey)).size === mirrors.length
    },
  )

  const logs = createLogReader(client, contracts)
  const chainApp = async () => projectChain(await logs.read()).apps.get(app)!
  const mineTo = async (height: number) => {
    const { burnHeight: now } = await client.info()
    if (now < height) await chain.mine(height - now)
  }
  const eventsOf = (kind: number, epoch: number) =>
    relays.query([{ kinds: [kind], '#d': [epochTag(app, epoch)] }])

  return {
    ...{ app, chain, mirrors, attesters, keys, fronts, relays, silences, idOf, mineTo, chainApp },
    close: site.close,
    beginOf: (epoch) => epochStart(schedule, epoch),
    endOf: (epoch) => epochEnd(schedule, epoch),

    async probed(epoch, times) {
      const probes = () => attesters.map(({ name }) => journal.probes(name, epoch))
      const before = probes().map((all) => new Map(all))
      const told = (attester: number, mirror: RealMirror) => {
        const id = idOf(mirror.name)
        const so = journal.probes(attesters[attester]!.name, epoch)
        const { conclusive, doubtful, rttMicros } = so.get(id) ?? noProbes
        const beside = mirror.due === 'share' && mirror.stands === standOf(attester)
        if (site.levels.includes('continent') && beside && rttMicros > nearMicros) return false
        // Of one that takes a second for each answer a busy attester may never be sure.
        if (mirror.reasons?.includes('too few reports')) return true
        return conclusive >= times + (before[attester]!.get(id)?.conclusive ?? 0) && conclusive > doubtful
      }
      await until(
        () => `probes of epoch ${epoch}: ${JSON.stringify(probes().map((all) => [...all]))} ${last()}`,
        () => attesters.every((_, at) => mirrors.every((mirror) => told(at, mirror))),
      )
    },

    async restand({ name }, point) {
      const at = attesters.findIndex((attester) => attester.name === name)
      const process = site.processes.get(name)
      const before = process.restarts()
      Object.assign(environments[at]!, coordinates(point))
      process.kill('SIGTERM')
      await until(
        () => `${name} to start again`,
        () => process.restarts() > before,
      )
      attesterUrls[at] = await process.ready(patienceMs)
    },

    async banned() {
      for (let blocks = 0; blocks < terms.challenge; blocks++) {
        const { banned } = await chainApp()
        if (banned.size > 0) return [...banned]
        // Each waits a while, so that not all report at once.
        await delay(2_000)
        await chain.mine()
      }
      throw new Error(`nobody is banned: ${last()}`)
    },

    async release(createdAt) {
      const { event, seq } = await studio.release(createdAt, false)
      // They say at which height they saw it: blocks that come all at once must have reached them.
      const { burnHeight: now } = await client.info()
      await until(
        () => `burn height ${now} at all attesters`,
        async () => {
          const heights = await Promise.all(attesterUrls.map(burnHeightAt))
          return heights.every((height) => height >= now)
        },
      )
      await publish(releaser, event)
      await everybody('release seen', seq)
    },

    async settle(epoch, but) {
      const end = epochEnd(schedule, epoch)
      await mineTo(end)
      const honest = attesters.filter(({ name }) => !but.has(name)).map(({ identity }) => identity.pubkey)
      const commitments = await until(
        () => `commitments to epoch ${epoch}: ${last()}`,
        async () => {
          const found = (await eventsOf(kinds.commitment, epoch)).flatMap((event) => {
            const read = parseCommitment(event, chainId)
            return read.ok && honest.includes(event.pubkey) ? [read.value] : []
          })
          return found.length === honest.length && found
        },
      )
      await mineTo(end + cutOffBlocks)
      await until(
        () => `attestations of epoch ${epoch}: ${last()}`,
        async () => {
          const revealed = await eventsOf(kinds.attestation, epoch)
          const by = (attester: string) => revealed.filter(({ pubkey }) => pubkey === attester).length
          return commitments.every(({ attester, count }) => by(attester) >= count)
        },
      )
      await mineTo(end + firstAttemptBlocks)
      const sendings = () =>
        attesters.flatMap(({ name }) =>
          journal.said(name, 'settlement sent').filter((line) => line.epoch === epoch),
        ).length
      const before = sendings()
      const sent = () => sendings() > before
      for (;;) {
        const settled = (await chainApp()).settlements.get(epoch)
        if (settled) return settled
        const { burnHeight: now } = await client.info()
        if (now >= end + terms.window) throw new Error(`epoch ${epoch} is not settled: ${last()}`)
        // A block only when somebody has sent something, or this attempt has had its time.
        for (const patience = Date.now() + 8_000; !sent() && Date.now() < patience; ) await delay(100)
        await chain.mine()
      }
    },

    async verified(epoch) {
      const urls = relaysFor('stranger')
      const { PATH, HOME } = process.env
      const env = { PATH, HOME, STACKS_API_URL: stacksUrl, DEPLOYER: chain.deployer, RELAYS: urls.join(',') }
      const args = [program('cli/dist/main.js'), 'verify', 'epoch', app, String(epoch), '--json']
      const { stdout } = await execute(process.execPath, args, { env, timeout: patienceMs })
      const { root } = JSON.parse(stdout) as { readonly root: string }
      const theirs = openRelays(urls, { verify })
      try {
        const collected = await collectBundle(
          { client, contracts, chainId, epochEvents: (...of) => epochEvents(theirs, ...of) },
          app,
          epoch,
        )
        if (collected.ok !== 'collected') throw new Error(JSON.stringify(collected))
        const bytes = new TextEncoder().encode(writeBundle(collected.bundle))
        const verdict = verifyBundle(bytes, { app, epoch }, verify)
        if (verdict.ok !== 'match' || verdict.outcome.root !== root) throw new Error(JSON.stringify(verdict))
        return verdict
      } finally {
        theirs.close()
      }
    },
  }
}

/** As an attester's metrics tell it. */
async function burnHeightAt(url: string): Promise<number> {
  const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(10_000) })
  return Number(/^understudy_burn_height(?:\{.*\})? (\d+)$/m.exec(await response.text())?.[1] ?? 0)
}

/** Runs one statement in an attester's own database. */
export async function inDatabase(url: string, statement: string): Promise<void> {
  const pool = connect(url)
  try {
    await pool.query(statement)
  } finally {
    await pool.end()
  }
}
