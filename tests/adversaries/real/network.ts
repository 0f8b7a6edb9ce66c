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
import { blobsOf } from '@understudy/git/tree'
import { readOrCreateKeyFile } from '@understudy/host/key-file'
import { connect } from '@understudy/host/postgres'
import { delayBetween, oneWayMs } from '@understudy/localnet/delays/delay'
import { openDelayProxy } from '@understudy/localnet/delays/proxy'
import { own, program } from '@understudy/localnet/folders'
import { git } from '@understudy/localnet/git'
import { createSite } from '@understudy/localnet/master/site'
import { databaseUrl, ensureDatabases } from '@understudy/localnet/postgres/databases'
import { fork, syncFork } from '@understudy/localnet/repository'
import { createSupervisor, type Program } from '@understudy/localnet/supervisor'
import { appId, coordinateOf, repositoryTemplate } from '@understudy/protocol/app'
import { epochTag } from '@understudy/protocol/attestation'
import type { City } from '@understudy/protocol/cities'
import { parseCommitment } from '@understudy/protocol/commitment'
import { cutOffBlocks, epochEnd, epochStart, firstAttemptBlocks } from '@understudy/protocol/epoch'
import { writeBundle } from '@understudy/protocol/epochBundle'
import type { EventSigner, EventTemplate, NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { mirrorTemplate } from '@understudy/protocol/mirror'
import { encodeGeohash } from '@understudy/protocol/place'
import { releaseTemplates } from '@understudy/protocol/release'
import { type Level, threshold } from '@understudy/protocol/rules'
import type { Match } from '@understudy/protocol/verify'
import { epochEvents } from '@understudy/relays/epoch'
import { openRelays, type Relays } from '@understudy/relays/relays'
import { signerOf } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { denver, hanoi, masterCity, type RealMirror, type Target } from './mirrors.ts'
import { openRelayFront, type RelayFront } from './relay-front.ts'

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
  /** To all three relays, past their fronts. */
  readonly relays: Relays
  /** What each attester keeps to itself: asked about each event that it sends to a relay. */
  readonly silences: ((event: NostrEvent, attester: string, relay: number) => boolean)[]
  /** Chain id of a mirror. */
  idOf(mirror: string): number
  /** Goes on with blocks until this height. */
  mineTo(height: number): Promise<void>
  beginOf(epoch: number): number
  endOf(epoch: number): number
  /** Waits until each attester could tell of each mirror so many times more in this epoch how it is. */
  probed(epoch: number, times: number): Promise<void>
  eventsOf(kind: number, epoch: number): Promise<NostrEvent[]>
  /** Ends the epoch, waits for what attesters say, `but` these, and mines until it is settled. */
  settle(epoch: number, but?: ReadonlySet<string>): Promise<ChainSettlement>
  /** The epoch as a stranger computes it again with `understudy verify epoch`, over the fronts. Throws unless it exits with 0. */
  verified(epoch: number): Promise<Match>
  chainApp(): Promise<ChainApp>
  /** Signs a release by the release key that no fork has, and waits until every attester saw it. */
  release(createdAt: number): Promise<void>
  close(): Promise<void>
}

const execute = promisify(execFile)
const forgeHost = 'forge.understudy.test'
const forgeAddress = '127.0.9.1'
const length = 60
const grace = 5
const bond = 5_000_000n
export const budget = 30_000_000n
const deposit = 400_000_000n
/** On a machine that is slow and busy. */
const patienceMs = 180_000

const key = (name: string) => createHash('sha256').update(`understudy adversaries ${name}`).digest('hex')
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const nowSeconds = () => Math.floor(Date.now() / 1_000)

export async function until<T>(
  what: () => string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  ms = patienceMs,
): Promise<T> {
  const end = Date.now() + ms
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what()}`)
    await delay(100)
  }
}

type Line = Readonly<Record<string, unknown>>

export async function openRealNetwork(cast: Cast): Promise<RealNetwork> {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-adversaries-'))
  const closing: (() => unknown)[] = []
  const lines = new Map<string, Line[]>()
  const processes = createSupervisor({
    logDir: join(dir, 'logs'),
    onLine(name, line) {
      if (!line.startsWith('{')) return
      const own = lines.get(name) ?? []
      lines.set(name, own)
      own.push(JSON.parse(line) as Line)
    },
  })
  const close = async () => {
    await processes.stop()
    for (const end of closing.toReversed()) await end()
    rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }
  try {
    return await build()
  } catch (error) {
    await close()
    throw error
  }

  async function build(): Promise<RealNetwork> {
    const folder = (name: string) => join(dir, name)
    const start = (one: Program) => processes.start(one).ready(patienceMs)

    // Places first: every program reads them once.
    const named = (name: string) => cast.mirrors.find((mirror) => mirror.name === name)!
    const numbers = new Map(cast.mirrors.map((mirror, at) => [mirror.name, at + 1]))
    const addressOf = ({ name, beside }: RealMirror): string =>
      beside ? addressOf(named(beside)) : `127.0.${10 + numbers.get(name)!}.1`
    const stands = (at: number): City => (at % 2 === 0 ? denver : hanoi)
    const egress = (at: number) => `127.0.8.${at + 1}`
    const place = (name: string, network: number, { latitude, longitude }: City, address: string) => ({
      ...{ name, network, latitude, longitude, addresses: [address] },
    })
    const places = [
      ...cast.mirrors
        .filter(({ beside }) => !beside)
        .map((mirror) =>
          place(mirror.name, 64_600 + numbers.get(mirror.name)!, mirror.stands, addressOf(mirror)),
        ),
      ...Array.from({ length: cast.attesters }, (_, at) =>
        place(`attester ${at}`, 64_500 + at, stands(at), egress(at)),
      ),
    ]
    const hosts = Object.fromEntries([
      [forgeHost, forgeAddress],
      ...cast.mirrors.flatMap((mirror) => (mirror.named ? [[mirror.named, addressOf(mirror)]] : [])),
    ])
    writeFileSync(folder('places.json'), JSON.stringify({ places, hosts }))

    mkdirSync(folder('forge'))
    const [stacksUrl, , forgeUrl, ...relayUrls] = await Promise.all([
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
        args: [folder('forge')],
        env: { HOST: forgeAddress },
        base: true,
      }),
      ...[0, 1, 2].map((at) =>
        start({
          name: `relay ${at}`,
          script: program('node/dist/relay/main.js'),
          env: { HOST: '127.0.0.1', PORT: '0', DATA_DIR: folder(`relay${at}`) },
          base: true,
        }),
      ),
    ])
    const silences: RealNetwork['silences'][number][] = []
    const fronts = await Promise.all(
      relayUrls.map((relay, at) =>
        openRelayFront({
          relay,
          says: (event, sender) => !silences.some((silent) => silent(event, sender, at)),
        }),
      ),
    )
    for (const front of fronts) closing.push(() => front.close())
    const relaysFor = (name: string) => fronts.map((front) => front.urlFor(name)).join(',')
    const verify = await loadVerify()
    const relays = openRelays(relayUrls, { verify })
    closing.push(() => relays.close())
    const publish = async (signer: EventSigner, template: EventTemplate) => {
      const published = await relays.publish(await signer.signEvent(template), { quorum: 3 })
      if (!published.ok) throw new Error(`relays: ${JSON.stringify(published.refused)}`)
    }

    // The chain, the app, and who pays.
    const chain = await sampleChain(stacksUrl!, key('deployer'))
    const { contracts, client, chainId } = chain
    const logs = createLogReader(client, contracts)
    const maintainer = signerOf(Buffer.from(key('maintainer'), 'hex'))
    const releaser = signerOf(Buffer.from(key('releaser'), 'hex'))
    const coordinate = coordinateOf(maintainer.pubkey, 'demo')
    const app = appId(coordinate)
    const secretIn = (name: string, file: string) => readOrCreateKeyFile(join(folder(name), file))
    const password = readFileSync(`${folder('postgres')}.password`, 'utf8').trim()
    const postgresPort = new URL(await processes.get('postgres').ready()).port
    const server = `postgres://postgres:${password}@127.0.0.1:${postgresPort}/postgres`
    const attesters = await Promise.all(
      Array.from({ length: cast.attesters }, async (_, at): Promise<RealAttester> => {
        const name = `attester-${at}`
        const identity = identityOf(await secretIn(name, 'attester.key'), chainId)
        const database = `attester_${'abcdefg'[at]}`
        return { name, identity, databaseUrl: databaseUrl(server, database) }
      }),
    )
    await ensureDatabases(
      server,
      attesters.map(({ databaseUrl }) => new URL(databaseUrl).pathname.slice(1)),
    )
    const keys = attesters.map(({ identity }) => identity.key).sort()
    const secretOf = (identity: Identity) => Buffer.from(identity.secretKey).toString('hex')
    const owners = new Map(cast.mirrors.map(({ name }) => [name, key(name)]))
    await chain.fill([
      ...[key('maintainer'), key('funder'), ...owners.values()],
      ...attesters.map(({ identity }) => secretOf(identity)),
    ])
    const { burnHeight } = await client.info()
    const schedule = { start: burnHeight + 24 + cast.mirrors.length, length, notice: 3, cap: 100_000_000n }
    await chain.send(
      key('maintainer'),
      registerApp(contracts, {
        coordinate,
        schedule,
        terms: {
          ...{ budget, keys, places: 3, levels: cast.levels, floor: 500_000, fee: budget / 50n },
          ...{ domainBond: 1_000_000_000n, grace, minBond: 1_000_000n, faults: 1, window: 30, challenge: 6 },
          ...{ claimPeriod: 1_440, releaseKey: releaser.pubkey, minSeq: 1 },
        },
      }),
    )
    const funder = chain.addressOf(key('funder'))
    await chain.send(
      key('funder'),
      fund(contracts, funder, { app, amount: deposit, rulesVersion: 1, minShares: 0n }),
    )

    // Two releases; the master's server has the newest one.
    const work = folder('work')
    await git(folder('forge'), 'init', '--quiet', '--bare', '--initial-branch', 'main', 'master.git')
    await git(dir, 'clone', '--quiet', join(folder('forge'), 'master.git'), work)
    await git(work, 'symbolic-ref', 'HEAD', 'refs/heads/main')
    let seq = 0
    async function release(createdAt: number, pushed = true) {
      seq++
      const files = new Map([
        ['index.html', `<h1>${seq}</h1><script src="app.js"></script>\n`],
        ['app.js', `console.log(${seq})\n`],
        ['same.css', 'h1 { color: red }\n'],
        [
          'picture.svg',
          `<svg xmlns="http://www.w3.org/2000/svg">${'<path d="M0 0h1"/>'.repeat(2_000)}</svg>\n`,
        ],
      ])
      for (const [path, text] of files) writeFileSync(join(work, path), text)
      await git(work, 'add', '.')
      await git(work, 'commit', '--quiet', '-m', `Release ${seq}`)
      if (pushed) await git(work, 'push', '--quiet', 'origin', 'HEAD:refs/heads/main')
      const commit = await git(work, 'rev-parse', 'HEAD')
      const list = [...files].map(([path, text]) => ({ path: `/${path}`, sha256: sha256(text) }))
      const draft = {
        app,
        d: 'demo',
        coordinate,
        commit,
        tree: await git(work, 'rev-parse', 'HEAD^{tree}'),
        seq,
      }
      const whole = { ...draft, entry: '/index.html', files: list }
      await publish(releaser, releaseTemplates(whole, createdAt).snapshot)
      return commit
    }
    const repository = {
      ...{
        pubkey: maintainer.pubkey,
        d: 'demo',
        name: 'Demo',
        description: '',
        web: ['http://demo.example'],
      },
      ...{ clone: [`http://${forgeHost}:${new URL(forgeUrl!).port}/master.git`], relays: relayUrls },
      stx: chain.addressOf(key('maintainer')),
    }
    await publish(maintainer, repositoryTemplate(repository, nowSeconds()))
    const forked = cast.mirrors.filter(({ node }) => node)
    const forkOf = (name: string) => `fork${numbers.get(name)}`
    await release(nowSeconds() - 20)
    for (const { name } of forked) await fork(folder('forge'), forkOf(name))
    const newest = await release(nowSeconds() - 10)
    for (const { name, node } of forked) if (node === 'follows') await syncFork(folder('forge'), forkOf(name))
    const blobs = await blobsOf(join(work, '.git'), newest)
    if (!blobs.ok) throw new Error(blobs.reason)
    const site = createSite(work, '/index.html').listen(0, '127.0.0.1')
    await once(site, 'listening')
    closing.push(() => {
      site.closeAllConnections()
      site.close()
    })
    const master = await openDelayProxy({
      address: '127.0.0.1',
      port: 0,
      target: { host: '127.0.0.1', port: (site.address() as AddressInfo).port },
      delayMs: () => oneWayMs(denver, masterCity),
    })
    closing.push(() => master.close())

    // Every mirror: a front where its place is, and what it wants behind it.
    const common = {
      ...{ STACKS_API_URL: stacksUrl!, DEPLOYER: chain.deployer, PLACES_FILE: folder('places.json') },
      ...{ HOST: '127.0.0.1', PORT: '0' },
    }
    const fooled = new Set(Array.from({ length: threshold(keys) }, (_, at) => egress(at)))
    const behind = new Map<string, Target | ((source: string) => Target)>()
    const ports = new Map<string, number>()
    for (const mirror of cast.mirrors) {
      if (mirror.named) continue
      const address = addressOf(mirror)
      const front = await openDelayProxy({
        address,
        port: 0,
        target: (source) => {
          const target = behind.get(mirror.name) ?? { host: '127.0.0.1', port: 1 }
          return typeof target === 'function' ? target(source) : target
        },
        delayMs: (source) => delayBetween(places, source, address) + (mirror.delayMs ?? 0),
      })
      closing.push(() => front.close())
      ports.set(mirror.name, front.port)
    }
    const hostOf = (mirror: RealMirror) =>
      mirror.named
        ? `${mirror.named}:${ports.get(mirror.beside!)}`
        : `${addressOf(mirror)}:${ports.get(mirror.name)}`
    const nodeKeys = new Map<string, string>()
    for (const mirror of cast.mirrors) {
      const signer = signerOf(await secretIn(`mirror${numbers.get(mirror.name)}`, 'node.key'))
      nodeKeys.set(mirror.name, signer.pubkey)
      const owner = owners.get(mirror.name)!
      const draft = { app, nodeKey: signer.pubkey, endpoint: `http://${hostOf(mirror)}`, bond }
      await chain.send(owner, registerMirror(contracts, chain.addressOf(owner), draft))
    }
    await Promise.all(
      cast.mirrors.map(async (mirror) => {
        const at = numbers.get(mirror.name)!
        const web = `http://${hostOf(mirror)}`
        const clone = (name: string) => `http://${forgeHost}:${new URL(forgeUrl!).port}/${name}.git`
        const stx = chain.addressOf(owners.get(mirror.name)!)
        const geohash = mirror.claims ? encodeGeohash(mirror.claims, 5) : ''
        const signer = signerOf(await secretIn(`mirror${at}`, 'node.key'))
        let nodeUrl = ''
        if (mirror.node)
          nodeUrl = await start({
            name: `mirror-${at}`,
            script: program('node/dist/main.js'),
            env: {
              ...common,
              ...{ RELAYS: relaysFor(`mirror-${at}`), DATA_DIR: folder(`mirror${at}`), APP: coordinate },
              ...{ REPOSITORY_URL: clone(forkOf(mirror.name)), PUBLIC_URL: web, STX_ADDRESS: stx },
              ...{ NAME: mirror.name, ...(geohash ? { GEOHASH: geohash } : {}), UPDATE_SPREAD_SECONDS: '0' },
            },
          })
        else {
          const said = { coordinate, name: mirror.name, commit: newest, clone: clone('master'), web, geohash }
          const draft = { ...said, relay: relayUrls[0]!, country: '', stx }
          await publish(signer, mirrorTemplate(draft, nowSeconds(), nowSeconds() + 3_600))
        }
        const target = await mirror.enter?.({
          ...{ signer, nodeUrl, fooled, onClose: (end) => closing.push(end) },
          master: { url: `http://127.0.0.1:${master.port}`, blobs: blobs.value },
          addressOf: (name) => ({ host: addressOf(named(name)), port: ports.get(name)! }),
        })
        behind.set(mirror.name, target ?? { host: '127.0.0.1', port: Number(new URL(nodeUrl || web).port) })
      }),
    )
    await Promise.all(
      attesters.map(({ name, databaseUrl }, at) =>
        start({
          name,
          script: program('registry/attester/dist/main.js'),
          env: {
            ...common,
            ...{ RELAYS: relaysFor(name), DATA_DIR: folder(name), DATABASE_URL: databaseUrl },
            ...{ LATITUDE: String(stands(at).latitude), LONGITUDE: String(stands(at).longitude) },
            ...{ EGRESS_ADDRESS: egress(at), PROBE_INTERVAL_MS: String(cast.probeIntervalMs) },
            ...{ PROBE_TIMEOUT_MS: '3000', CHAIN_POLL_MS: '200', DELTA_MS: '500', LOG_LEVEL: 'debug' },
          },
        }),
      ),
    )

    const said = (name: string, msg: string) => (lines.get(name) ?? []).filter((line) => line.msg === msg)
    const logged = () =>
      attesters
        .map(({ name }) => {
          const loud = (lines.get(name) ?? []).filter(({ level }) => Number(level) >= 30)
          return JSON.stringify(loud.slice(-10), null, 1)
        })
        .join('\n')
    const seen = (count: number) =>
      until(
        () => `releases seen by all: ${logged()}`,
        () => attesters.every(({ name }) => said(name, 'release seen').length >= count),
      )
    const chainApp = async () => projectChain(await logs.read()).apps.get(app)!
    const eventsOf = (kind: number, epoch: number) =>
      relays.query([{ kinds: [kind], '#d': [epochTag(app, epoch)] }])
    const stranger = {
      ...{ PATH: process.env.PATH, HOME: process.env.HOME, STACKS_API_URL: stacksUrl! },
      ...{ DEPLOYER: chain.deployer, RELAYS: relaysFor('stranger') },
    }

    async function mineTo(height: number): Promise<void> {
      const { burnHeight: now } = await client.info()
      if (now < height) await chain.mine(height - now)
    }

    await seen(2)
    const announced = () => relays.query([{ kinds: [kinds.mirror], '#d': [app] }])
    await until(
      () => 'all announcements',
      async () => new Set((await announced()).map(({ pubkey }) => pubkey)).size === cast.mirrors.length,
    )
    return {
      ...{
        app,
        chain,
        mirrors: cast.mirrors,
        attesters,
        keys,
        fronts,
        relays,
        silences,
        mineTo,
        eventsOf,
        chainApp,
        close,
      },
      idOf: (name) => numbers.get(name)!,
      beginOf: (epoch) => epochStart(schedule, epoch),
      endOf: (epoch) => epochEnd(schedule, epoch),
      async probed(epoch, times) {
        const counts = () =>
          attesters.map(({ name }) => {
            const told = new Map<unknown, { conclusive: number; doubtful: number }>()
            for (const { mirror, outcome } of said(name, 'probed').filter((line) => line.epoch === epoch)) {
              const { conclusive, doubtful } = told.get(mirror) ?? { conclusive: 0, doubtful: 0 }
              const doubt = outcome === 'inconclusive'
              told.set(mirror, {
                conclusive: conclusive + (doubt ? 0 : 1),
                doubtful: doubtful + (doubt ? 1 : 0),
              })
            }
            return told
          })
        const before = counts()
        const enough = (told: ReturnType<typeof counts>[number], at: number) =>
          cast.mirrors.every((mirror) => {
            const id = numbers.get(mirror.name)!
            const { conclusive = 0, doubtful = 0 } = told.get(id) ?? {}
            const more = conclusive - (before[at]!.get(id)?.conclusive ?? 0)
            // Of one that takes seconds for an answer a busy attester may not be sure.
            return mirror.reasons?.includes('too few reports') || (more >= times && conclusive > doubtful)
          })
        await until(
          () => `probes of epoch ${epoch}: ${counts().map((told) => JSON.stringify([...told]))} ${logged()}`,
          () => counts().every(enough),
        )
      },
      async settle(epoch, but = new Set()) {
        const end = epochEnd(schedule, epoch)
        await mineTo(end)
        const honest = attesters.filter(({ name }) => !but.has(name)).map(({ identity }) => identity.pubkey)
        const commitments = async () =>
          (await eventsOf(kinds.commitment, epoch)).flatMap((event) => {
            const read = parseCommitment(event, chainId)
            return read.ok && honest.includes(event.pubkey) ? [read.value] : []
          })
        const committed = await until(
          () => `commitments to epoch ${epoch}: ${logged()}`,
          async () => {
            const found = await commitments()
            return found.length === honest.length && found
          },
        )
        await mineTo(end + cutOffBlocks)
        await until(
          () => `attestations of epoch ${epoch}: ${logged()}`,
          async () => {
            const told = await eventsOf(kinds.attestation, epoch)
            return committed.every(
              ({ attester, count }) => told.filter(({ pubkey }) => pubkey === attester).length >= count,
            )
          },
        )
        await mineTo(end + firstAttemptBlocks)
        for (;;) {
          const settled = (await chainApp()).settlements.get(epoch)
          if (settled) return settled
          const { burnHeight: now } = await client.info()
          if (now >= end + 24) throw new Error(`epoch ${epoch} is not settled: ${logged()}`)
          const sent = () =>
            attesters.some(({ name }) => said(name, 'settlement sent').some((line) => line.epoch === epoch))
          for (const patience = Date.now() + 8_000; !sent() && Date.now() < patience; ) await delay(100)
          await chain.mine()
        }
      },
      async verified(epoch) {
        const args = [program('cli/dist/main.js'), 'verify', 'epoch', app, String(epoch), '--json']
        const { stdout } = await execute(process.execPath, args, { env: stranger, timeout: 120_000 })
        const { root } = JSON.parse(stdout) as { readonly root: string }
        const strangers = openRelays(
          fronts.map((front) => front.urlFor('stranger')),
          { verify },
        )
        try {
          const events = () => epochEvents(strangers, app, epoch)
          const collected = await collectBundle(
            { client, contracts, chainId, epochEvents: events },
            app,
            epoch,
          )
          if (collected.ok !== 'collected') throw new Error(JSON.stringify(collected))
          const bytes = new TextEncoder().encode(writeBundle(collected.bundle))
          const verdict = verifyBundle(bytes, { app, epoch }, verify)
          if (verdict.ok !== 'match' || verdict.outcome.root !== root)
            throw new Error(JSON.stringify(verdict))
          return verdict
        } finally {
          strangers.close()
        }
      },
      async release(createdAt) {
        await release(createdAt, false)
        await seen(seq)
      },
    }
  }
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
