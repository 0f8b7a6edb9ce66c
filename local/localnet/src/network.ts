import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createStacksClient } from '@understudy/chain/client'
import type { AppConfig } from '@understudy/client/config'
import { appId, coordinateOf } from '@understudy/protocol/app'
import { formatMoney } from '@understudy/protocol/money'
import { encodeGeohash } from '@understudy/protocol/place'
import { z } from 'zod'
import { deployContracts, fillAccounts } from './chain.ts'
import { type Cli, createCli } from './cli.ts'
import { own, program } from './folders.ts'
import { attesterAddress, openWallet, publicKeyIn, type Wallet } from './keys.ts'
import { closeLedger, openLedger, type State, saveState } from './ledger.ts'
import type { Links } from './links/links.ts'
import {
  attesterPlans,
  forgeAddress,
  forgeHost,
  type MirrorPlan,
  mirrorPlans,
  placeOf,
  places,
  placesFile,
  unboundAddresses,
} from './places.ts'
import { choosePorts, type PortWish } from './ports.ts'
import { databaseUrl, ensureDatabases } from './postgres/databases.ts'
import {
  commitSecond,
  countFiles,
  createMaster,
  fork,
  isUrl,
  repositoriesIn,
  requirePublic,
  syncFork,
} from './repository.ts'
import { bond, demoRules, deposit } from './rules.ts'
import { createStages, type Stages } from './stages.ts'
import { createSupervisor, type Supervisor, type SupervisorOptions } from './supervisor.ts'

export interface NetworkOptions {
  /** Everything that the network remembers. Default `.understudy` here. */
  readonly dataDir?: string
  /** Empties that folder first. */
  readonly fresh?: boolean
  /** Master repository: a path, or an https URL. Default: the demo app. */
  readonly repo?: string
  /** `usual` where they are free, or `any`: tests take any. */
  readonly ports?: 'usual' | 'any'
  /** Burn blocks between registration and epoch 0. Default 40, more for a large repository or on a slow machine. */
  readonly lead?: number
  /** Mean pause between two probes of one mirror, ms. Default 3,000. */
  readonly probeIntervalMs?: number
  /** A Postgres server of yours. */
  readonly databaseUrl?: string
  readonly onLine?: SupervisorOptions['onLine']
  readonly onDeath?: SupervisorOptions['onDeath']
  /** Short notices that are no stage: ports that moved, for instance. */
  readonly onNotice?: (line: string) => void
  /** Ends everything, also while it is starting. */
  readonly signal?: AbortSignal
  /** Called as soon as there is something to listen to. */
  readonly onStages?: (stages: Stages) => void
}

export interface MirrorOnNetwork extends MirrorPlan {
  readonly nodeKey: string
  /** Where visitors reach it. */
  readonly url: string
  readonly owner: Wallet
}

export interface Network {
  readonly dataDir: string
  readonly urls: {
    readonly stacks: string
    readonly relay: string
    readonly forge: string
    readonly master: string
    readonly api: string
    readonly web: string
  }
  readonly app: {
    readonly id: string
    readonly deployer: string
    readonly config: AppConfig
    readonly entry: string
    readonly start: number
    readonly length: number
  }
  readonly mirrors: readonly MirrorOnNetwork[]
  /** Public keys of the attesters, by name. */
  readonly attesters: ReadonlyMap<string, string>
  /** Where each attester shows its state and metrics, by name. */
  readonly attesterUrls: ReadonlyMap<string, string>
  readonly wallets: { readonly maintainer: Wallet; readonly funder: Wallet; readonly claimant: Wallet }
  readonly processes: Supervisor
  readonly stages: Stages
  readonly cli: Cli
  /** Ends every process that it started. */
  stop(): Promise<void>
}

const loopback = '127.0.0.1'
const localLeast = 50_000_000n
const operatorLeast = bond + localLeast

const registered = z.object({
  app: z.string(),
  start: z.number(),
  length: z.number(),
  registered: z.boolean(),
})
const released = z.object({ seq: z.number(), commit: z.string(), files: z.number(), published: z.boolean() })
const funded = z.object({ free: z.string(), txid: z.string() })
const mirrored = z.object({
  mirror: z.number(),
  bond: z.string(),
  since: z.number(),
  registered: z.boolean(),
})

/** Brings the whole network up, or back up, and resolves when mirrors are bonded and every program serves. */
export async function startNetwork(options: NetworkOptions = {}): Promise<Network> {
  const unbound = await unboundAddresses()
  if (unbound) throw new Error(unbound)
  const dataDir = resolve(options.dataDir ?? '.understudy')
  const repo = options.repo && !isUrl(options.repo) ? resolve(options.repo) : options.repo
  const state = openLedger(dataDir, repo ?? null, options.fresh ?? false)
  const stages = createStages()
  options.onStages?.(stages)
  const logDir = join(dataDir, 'logs')
  const processes = createSupervisor({ logDir, onLine: options.onLine, onDeath: options.onDeath })
  const stop = async () => {
    await processes.stop()
    closeLedger(dataDir)
  }
  options.signal?.addEventListener('abort', () => void stop(), { once: true })
  try {
    if (repo && isUrl(repo) && state.entry === null) await requirePublic(repo)
    return await build(options, { dataDir, repo, state, stages, processes, stop })
  } catch (error) {
    await stop()
    throw error
  }
}

interface Ground {
  readonly dataDir: string
  readonly repo: string | undefined
  readonly state: State
  readonly stages: Stages
  readonly processes: Supervisor
  stop(): Promise<void>
}

async function build(options: NetworkOptions, ground: Ground): Promise<Network> {
  const { dataDir, repo, stages, processes } = ground
  const startedAt = performance.now()
  const folder = (name: string) => join(dataDir, name)
  const port = await ports(options, dataDir)
  const urls = {
    stacks: `http://${loopback}:${port('devnet')}`,
    relay: `ws://${loopback}:${port('relay')}`,
    forge: `http://${forgeHost}:${port('forge')}`,
    master: `http://${loopback}:${port('master')}`,
    api: `http://${loopback}:${port('api')}`,
    web: `http://${loopback}:${port('api')}/`,
  }
  const publicUrl = (plan: MirrorPlan) => `http://${plan.address}:${port(plan.name)}`

  // What leans on nothing.
  const { checkout, forge } = repositoriesIn(dataDir)
  mkdirSync(forge, { recursive: true })
  writeFileSync(folder('places.json'), placesFile())
  processes.start({
    name: 'devnet',
    script: program('local/devnet/dist/main.js'),
    args: ['--port', String(port('devnet')), '--data', folder('devnet'), '--burn-interval', '1000'],
    base: true,
  })
  if (!options.databaseUrl) {
    processes.start({
      name: 'postgres',
      script: own('postgres/main.js'),
      env: { DATA_DIR: folder('postgres'), PORT: String(port('postgres')) },
      base: true,
    })
  }
  processes.start({
    name: 'relay',
    script: program('node/dist/relay/main.js'),
    env: { HOST: loopback, PORT: String(port('relay')), DATA_DIR: folder('relay') },
    base: true,
  })
  processes.start({
    name: 'forge',
    script: own('forge/main.js'),
    args: [forge],
    env: { HOST: forgeAddress, PORT: String(port('forge')) },
    base: true,
  })

  await processes.get('devnet').ready()
  const client = createStacksClient({ url: urls.stacks })
  const { chainId } = await client.info()
  const wallet = (name: string) => openWallet(folder(join('keys', name)), chainId)
  const [deployer, maintainer, funder, claimant] = (await Promise.all(
    ['deployer', 'maintainer', 'funder', 'claimant'].map(wallet),
  )) as [Wallet, Wallet, Wallet, Wallet]
  const mirrors = await Promise.all(
    mirrorPlans.map(async (plan) => ({
      ...plan,
      url: publicUrl(plan),
      owner: await wallet(plan.name),
      nodeKey: await publicKeyIn(folder(join(plan.name, 'node.key'))),
    })),
  )
  const attesters = new Map<string, string>()
  for (const { name } of attesterPlans)
    attesters.set(name, await publicKeyIn(folder(join(name, 'attester.key'))))
  const fill = (who: readonly string[], least: bigint) => fillAccounts(client, urls.stacks, who, least)
  await fill([deployer.address], localLeast)
  stages.tell({ stage: 'started', text: `chain at ${urls.stacks}, relay at ${urls.relay}` })

  const [deployed] = await Promise.all([
    deployContracts(client, deployer.stacksSecret),
    fill(
      [maintainer, claimant].map((w) => w.address).concat([...attesters.values()].map(attesterAddress)),
      localLeast,
    ),
    fill(
      mirrors.map((mirror) => mirror.owner.address),
      operatorLeast,
    ),
    fill([funder.address], deposit + localLeast),
  ])
  stages.tell({
    stage: 'deployed',
    text:
      deployed.length > 0
        ? `contracts of ${deployer.address}: ${deployed.join(' ')}`
        : 'contracts are on chain',
    data: { deployer: deployer.address, txids: deployed },
  })

  // The app, as its maintainer makes it known.
  const id = 'playbill'
  const coordinate = coordinateOf(maintainer.pubkey, id)
  const app = appId(coordinate)
  const config: AppConfig = {
    coordinate,
    releaseKey: maintainer.pubkey,
    relays: [
      urls.relay,
      ...mirrors.filter((mirror) => !mirror.fault).map((mirror) => mirror.url.replace('http', 'ws')),
    ],
  }
  const common = { STACKS_API_URL: urls.stacks, DEPLOYER: deployer.address, RELAYS: urls.relay }
  const cli = createCli(common, join(dataDir, 'logs', 'cli.log'), options.signal)
  await processes.get('relay').ready()
  let { state } = ground
  const remember = (change: Partial<State>) => {
    state = { ...state, ...change }
    saveState(dataDir, state)
  }
  // What lets anybody fork the demo and run one more mirror of it: docs/operating.md.
  const deployable = async (folder: string) => {
    const args = ['init', '--repo', folder, '--app', coordinate, '--api', urls.api]
    await cli.run(z.unknown(), args)
  }
  const entry = state.entry ?? (await createMaster(dataDir, config, repo, deployable)).entry
  remember({ entry })
  // A block is a second, and a machine that came this far slowly takes long to bond the mirrors, too.
  const late = Math.max(0, Math.ceil(1.5 * ((performance.now() - startedAt) / 1_000 - 10)))
  const lead = options.lead ?? 40 + Math.min(40, Math.floor((await countFiles(checkout)) / 250)) + late
  writeFileSync(folder('rules.json'), JSON.stringify(demoRules([...attesters.values()], `+${lead}`)))
  const registration = await cli.run(
    registered,
    [
      ...['app', 'register', '--id', id, '--name', repo ? (repo.split('/').at(-1) ?? id) : 'Playbill'],
      ...['--description', repo ? `A local network of ${repo}` : 'Tonight on our small stage'],
      ...['--clone', `${urls.forge}/master.git`, '--web', urls.master, '--rules', folder('rules.json')],
    ],
    maintainer.folder,
  )
  stages.tell({
    stage: 'registered',
    text: `${coordinate} ${registration.registered ? 'is' : 'was'} registered; epoch 0 begins at burn block ${registration.start}`,
    data: { app, coordinate, start: registration.start },
  })

  writeFileSync(folder('operator.env'), rehearsal(dataDir, port))

  // Two releases. Every fork is made at the first; all but the stale one are synced to the second.
  const release = async () => {
    const args = ['release', '--app', coordinate, '--repo', checkout, '--entry', entry]
    const done = await cli.run(released, args, maintainer.folder)
    stages.tell({
      stage: 'released',
      text: `release ${done.seq}: ${done.commit}, ${done.files} files`,
      data: done,
    })
  }
  const mirroring = mirrors.map(async (mirror) => {
    const args = ['mirror', 'register', '--app', coordinate, '--node-key', mirror.nodeKey]
    const done = await cli.run(
      mirrored,
      [...args, '--endpoint', mirror.url, '--bond', String(bond)],
      mirror.owner.folder,
    )
    const place = placeOf(mirror.place)
    stages.tell({
      stage: 'mirrored',
      text: `${mirror.name} is mirror ${done.mirror}, says it stands in ${place.city}, bond ${formatMoney(BigInt(done.bond), 'stx')}`,
      data: { name: mirror.name, ...done },
    })
  })
  const funding = fundOnce(cli, coordinate, funder, stages, registration.registered)
  // They are awaited at the end; should anything fail before, their own failures must not go unhandled.
  for (const early of [...mirroring, funding]) early.catch(() => {})
  await release()
  if (state.released < 1) {
    for (const { name } of mirrors) await fork(forge, name)
    remember({ released: 1 })
  }
  if (state.released < 2) {
    await commitSecond(checkout, entry, config, repo)
    await release()
    for (const { name, fault } of mirrors) if (fault !== 'stale') await syncFork(forge, name)
    remember({ released: 2 })
  }

  // Everything that looks at the app, and what stands between.
  const places_ = { PLACES_FILE: folder('places.json'), HOST: loopback }
  processes.start({
    name: 'master',
    script: own('master/main.js'),
    args: [checkout, entry],
    env: { HOST: loopback, PORT: String(port('master')) },
  })
  writeFileSync(folder('links.json'), JSON.stringify(links(port, entry), undefined, 2))
  processes.start({ name: 'links', script: own('links/main.js'), args: [folder('links.json')] })
  for (const mirror of mirrors) {
    const place = placeOf(mirror.place)
    processes.start({
      name: mirror.name,
      script: program('node/dist/main.js'),
      env: {
        ...common,
        ...places_,
        PORT: String(port(`${mirror.name} node`)),
        DATA_DIR: folder(mirror.name),
        APP: coordinate,
        REPOSITORY_URL: `${urls.forge}/${mirror.name}.git`,
        PUBLIC_URL: mirror.url,
        STX_ADDRESS: mirror.owner.address,
        NAME: mirror.name,
        GEOHASH: encodeGeohash(place, 5),
        COUNTRY: place.country,
        UPDATE_SPREAD_SECONDS: '1',
      },
    })
  }
  const server = options.databaseUrl ?? (await embeddedUrl(processes, folder('postgres'), port('postgres')))
  const databases = new Map(
    [...attesters.keys(), 'api'].map((name) => [name, `understudy_${name.replace('-', '_')}`]),
  )
  await ensureDatabases(server, [...databases.values()], options.fresh)
  const databaseOf = (name: string) => databaseUrl(server, databases.get(name)!)
  for (const { name, place, egress } of attesterPlans) {
    const { latitude, longitude } = placeOf(place)
    processes.start({
      name,
      script: program('registry/attester/dist/main.js'),
      env: {
        ...common,
        ...places_,
        PORT: String(port(name)),
        DATA_DIR: folder(name),
        DATABASE_URL: databaseOf(name),
        LATITUDE: String(latitude),
        LONGITUDE: String(longitude),
        EGRESS_ADDRESS: egress,
        PROBE_INTERVAL_MS: String(options.probeIntervalMs ?? 3_000),
        // A killed attester's leases end before its epoch does.
        PROBE_TIMEOUT_MS: '3000',
      },
    })
  }
  processes.start({
    name: 'api',
    script: program('registry/api/dist/main.js'),
    env: {
      ...common,
      ...places_,
      PORT: String(port('api')),
      DATA_DIR: folder('api'),
      DATABASE_URL: databaseOf('api'),
      PUBLIC_URL: urls.api,
      PUBLIC_STACKS_URL: urls.stacks,
      WEB_DIR: program('web/dist'),
    },
  })
  await Promise.all([...mirroring, funding, ...processes.list().map((process) => process.ready())])

  return {
    dataDir,
    urls,
    app: {
      id: app,
      deployer: deployer.address,
      config,
      entry,
      start: registration.start,
      length: registration.length,
    },
    mirrors,
    attesters,
    attesterUrls: new Map(attesterPlans.map(({ name }) => [name, `http://${loopback}:${port(name)}`])),
    wallets: { maintainer, funder, claimant },
    processes,
    stages,
    cli,
    stop: ground.stop,
  }
}

/** What one more operator's shell needs to know of this network: docs/operating.md. */
function rehearsal(dataDir: string, port: (name: string) => number): string {
  const { address } = mirrorPlans.at(-1)!
  const variables = {
    MASTER: join(dataDir, 'forge', 'master.git'),
    FORK: join(dataDir, 'forge', 'my-mirror.git'),
    STACKS_API_URL: `http://${loopback}:${port('devnet')}`,
    REPOSITORY_URL: `http://${forgeHost}:${port('forge')}/my-mirror.git`,
    PUBLIC_URL: `http://${address}:${port('operator')}`,
    HOST: address,
    PORT: String(port('operator')),
    PLACES_FILE: join(dataDir, 'places.json'),
    UNDERSTUDY_KEYS: join(dataDir, 'keys', 'my-mirror'),
  }
  return Object.entries(variables)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`)
    .join('')
}

/** A deposit on the first start. */
async function fundOnce(
  cli: Cli,
  coordinate: string,
  funder: Wallet,
  stages: Stages,
  first: boolean,
): Promise<void> {
  if (!first) return
  const done = await cli.run(
    funded,
    ['fund', '--app', coordinate, '--amount', String(deposit)],
    funder.folder,
  )
  stages.tell({
    stage: 'funded',
    text: `${formatMoney(BigInt(done.free), 'stx')} are in the pool: ${done.txid}`,
    data: done,
  })
}

/** The embedded server's URL, with the password that lies beside its folder. */
async function embeddedUrl(processes: Supervisor, folder: string, port: number): Promise<string> {
  await processes.get('postgres').ready()
  const password = readFileSync(`${folder}.password`, 'utf8').trim()
  return `postgres://postgres:${password}@${loopback}:${port}/postgres`
}

async function ports(options: NetworkOptions, dataDir: string): Promise<(name: string) => number> {
  const usual = (value: number) => (options.ports === 'any' ? 0 : value)
  const wishes: PortWish[] = [
    { name: 'devnet', address: loopback, preferred: usual(3999) },
    { name: 'api', address: loopback, preferred: usual(4100) },
    { name: 'master', address: loopback, preferred: usual(4101) },
    { name: 'relay', address: loopback, preferred: usual(4102) },
    { name: 'postgres', address: loopback, preferred: usual(4104) },
    { name: 'forge', address: forgeAddress, preferred: usual(4103) },
    ...mirrorPlans.flatMap((plan, at) => [
      { name: plan.name, address: plan.address, preferred: usual(4110) },
      { name: `${plan.name} node`, address: loopback, preferred: usual(4111 + at) },
      ...(plan.fault === 'tampering'
        ? [{ name: `${plan.name} fault`, address: loopback, preferred: usual(4120 + at) }]
        : []),
    ]),
    ...attesterPlans.map((plan, at) => ({ name: plan.name, address: loopback, preferred: usual(4131 + at) })),
    { name: 'operator', address: mirrorPlans.at(-1)!.address, preferred: usual(4140) },
  ]
  const { ports: chosen, moves } = await choosePorts(dataDir, wishes)
  for (const { name, from, to } of moves) options.onNotice?.(`port ${from} is busy: ${name} moved to ${to}`)
  return (name) => chosen.get(name)!
}

/** Visitor → delay proxy at the mirror's place → (tampering proxy →) node. */
function links(port: (name: string) => number, entry: string): Links {
  const node = (plan: MirrorPlan) => ({ host: loopback, port: port(`${plan.name} node`) })
  const fault = (plan: MirrorPlan) => ({ host: loopback, port: port(`${plan.name} fault`) })
  return {
    places: places.map(({ name, latitude, longitude, addresses }) => ({
      name,
      latitude,
      longitude,
      addresses: [...addresses],
    })),
    delays: mirrorPlans.map((plan) => ({
      name: plan.name,
      listen: { host: plan.address, port: port(plan.name) },
      target: plan.fault === 'tampering' ? fault(plan) : node(plan),
    })),
    tampering: mirrorPlans
      .filter((plan) => plan.fault === 'tampering')
      .map((plan) => ({ name: plan.name, listen: fault(plan), target: node(plan), paths: ['/', entry] })),
  }
}
