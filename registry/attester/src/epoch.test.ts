import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type ContractCall, claim, fund, registerApp, registerMirror, veto } from '@understudy/chain/calls'
import { createStacksClient, type StacksClient } from '@understudy/chain/client'
import { type Contracts, contractNames, contractsOf } from '@understudy/chain/contracts'
import { createLogReader } from '@understudy/chain/logReader'
import { type ChainApp, type ChainSettlement, isPayable, projectChain } from '@understudy/chain/state'
import {
  confirmed,
  deployContract,
  type SignedTransaction,
  signCall,
  submit,
  transfer,
} from '@understudy/chain/transactions'
import { collectBundle, verifyBundle } from '@understudy/chain/verify'
import { openObjects } from '@understudy/git/objects'
import { serveRepositories } from '@understudy/git/serve'
import { blobsOf } from '@understudy/git/tree'
import { appId, coordinateOf, repositoryTemplate } from '@understudy/protocol/app'
import { parseAttestation } from '@understudy/protocol/attestation'
import {
  answerTemplate,
  challengePath,
  parseChallenge,
  possessionDigest,
} from '@understudy/protocol/challenge'
import { commitmentTemplate, parseCommitment } from '@understudy/protocol/commitment'
import { epochEnd, proposerOf } from '@understudy/protocol/epoch'
import { writeBundle } from '@understudy/protocol/epochBundle'
import { type NostrEvent, parseEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { merkleProof, merkleRoot, payoutLeafHash } from '@understudy/protocol/merkle'
import { mirrorTemplate } from '@understudy/protocol/mirror'
import { releaseTemplates } from '@understudy/protocol/release'
import { attesterKey } from '@understudy/protocol/rules'
import {
  type Inputs,
  inputsHash,
  parseSignedOutcome,
  settlementHash,
  signedOutcomeTemplate,
} from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import type { Match } from '@understudy/protocol/verify'
import { openRelays, type Relays } from '@understudy/relays/relays'
import { signerOf } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Identity, identityOf } from './identity.ts'

// A network of real programs: devnet with the contracts, a relay, three attesters each with its Postgres and its own slow line to the
// relay. Only the mirrors are made here, because two of them must do wrong.

const root = fileURLToPath(new URL('../../..', import.meta.url))
const placesOf = [
  { name: 'A', network: 64501, latitude: 50.1, longitude: 8.7, addresses: ['127.0.1.1'] },
  { name: 'B', network: 64502, latitude: 39.0, longitude: -77.5, addresses: ['127.0.2.1'] },
]
const forge = 'forge.understudy.test'

interface Account {
  readonly name: string
  readonly privateKey: string
  readonly address: string
}

interface Program {
  readonly child: ChildProcess
  readonly lines: Record<string, unknown>[]
  ended(signal: NodeJS.Signals): Promise<void>
}

/** A TCP proxy in front of a port of this machine: every byte is late, until the line is cut. */
class Line {
  readonly #server
  readonly #open = new Set<Socket>()
  #isCut = false

  constructor(target: number, delayMs: number) {
    this.#server = createTcpServer((near) => {
      const far = connect(target, '127.0.0.1')
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#open.add(from)
        // Timers of equal length fire in the order in which they were set: bytes stay in order.
        from.on('data', (bytes) => setTimeout(() => to.write(bytes), delayMs))
        from.on('error', () => to.destroy())
        from.on('close', () => {
          this.#open.delete(from)
          setTimeout(() => to.destroy(), delayMs)
        })
      }
      if (this.#isCut) near.destroy()
    })
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  /** Ends all connections, and those that are tried from now on. */
  cut(isCut: boolean): void {
    this.#isCut = isCut
    if (isCut) for (const socket of this.#open) socket.destroy()
  }

  close(): void {
    this.cut(true)
    this.#server.close()
  }
}

let dir: string
let stacksUrl: string
let relayUrl: string
let relayUrls: readonly string[]
let client: StacksClient
let contracts: Contracts
let accounts: readonly Account[]
let identities: readonly Identity[]
let relays: Relays
let app: string
const programs = new Set<Program>()
const attesters: Program[] = []
const lines: Line[] = []
const closing: (() => unknown)[] = []

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')
const accountOf = (name: string) => accounts.find((account) => account.name === name)!
const git = (cwd: string, ...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', ...args], {
    cwd,
    encoding: 'utf8',
  }).trim()

async function until<T>(
  what: string | (() => string),
  ms: number,
  look: () => Promise<T | undefined | false>,
): Promise<T> {
  const end = Date.now() + ms
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${typeof what === 'string' ? what : what()}`)
    await delay(100)
  }
}

function run(script: string, args: readonly string[], env: Record<string, string>): Program {
  const child = spawn(process.execPath, [join(root, script), ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: Record<string, unknown>[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) lines.push(JSON.parse(line) as Record<string, unknown>)
  })
  createInterface({ input: child.stderr }).on('line', (line) => lines.push({ msg: 'stderr', line }))
  const program: Program = {
    child,
    lines,
    async ended(signal) {
      programs.delete(program)
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.kill(signal)
      await exit
    },
  }
  programs.add(program)
  return program
}

/** Burn blocks come only from here: the test does not race the clock. */
async function mine(burnBlocks = 1): Promise<void> {
  const response = await fetch(`${stacksUrl}/devnet/mine`, {
    method: 'POST',
    body: JSON.stringify({ burnBlocks }),
    headers: { 'content-type': 'application/json' },
  })
  if (!response.ok) throw new Error(`mine: ${response.status} ${await response.text()}`)
}

async function mineTo(height: number): Promise<void> {
  const { burnHeight } = await client.info()
  if (burnHeight < height) await mine(height - burnHeight)
}

/** Lines that a program has logged, from `since` on. */
const said = (program: Program, msg: string, since = 0) =>
  program.lines.slice(since).filter((line) => line.msg === msg)

const logged = () =>
  JSON.stringify(
    attesters.map(({ lines }) => lines.filter((line) => Number(line.level) >= 30).slice(-12)),
    null,
    1,
  )

/** Waits until each of these attesters could tell of each mirror this many more times how it is, and mostly. */
async function probed(epoch: number, times: number, of: readonly Program[] = attesters): Promise<void> {
  const from = of.map(({ lines }) => lines.length)
  await until(
    () => `probes of epoch ${epoch}: ${reasons()} ${logged()}`,
    120_000,
    async () =>
      of.every((a, at) =>
        [1, 2, 3].every((mirror) => {
          const about = (line: Record<string, unknown>) => line.epoch === epoch && line.mirror === mirror
          const doubt = said(a, 'probed').filter((l) => about(l) && l.outcome === 'inconclusive').length
          const told = said(a, 'probed', from[at]).filter((l) => about(l) && l.outcome !== 'inconclusive')
          return told.length >= times + doubt
        }),
      ),
  )
}

/** How the probes of each attester went, for whoever has to find out why a test failed. */
const reasons = () =>
  JSON.stringify(
    attesters.map((a) =>
      said(a, 'probed').map((line) => `${line.epoch}/${line.mirror} ${line.reason || line.outcome}`),
    ),
  )

const eventsOf = (kind: number, epoch: number) => relays.query([{ kinds: [kind], '#d': [`${app}:${epoch}`] }])

/** Waits until everything that was committed to, `but` by one attester, is revealed. A slow machine doubts itself: not everyone need have a report on every mirror. */
async function revealed(epoch: number, but?: string): Promise<NostrEvent[]> {
  const { chainId } = await client.info()
  return until(
    () => `all attestations, ${reasons()}`,
    60_000,
    async () => {
      const counts = (await eventsOf(kinds.commitment, epoch)).flatMap((event) => {
        const read = parseCommitment(event, chainId)
        return read.ok && event.pubkey !== but ? [read.value.count] : []
      })
      const found = await eventsOf(kinds.attestation, epoch)
      return found.length === counts.reduce((sum, count) => sum + count, 0) && found
    },
  )
}

/** Mines one block after the other until the epoch is settled in a round, each as soon as somebody has sent something. */
async function settle(epoch: number, last: number, round = 0): Promise<ChainSettlement> {
  for (;;) {
    const settled = (await chainApp()).settlements.get(epoch)
    if (settled?.round === round) return settled
    const { burnHeight } = await client.info()
    if (burnHeight >= last) throw new Error(`not settled by ${last}: ${logged()}`)
    const sent = () =>
      attesters.some((a) =>
        said(a, 'settlement sent').some((line) => line.epoch === epoch && line.round === round),
      )
    for (const end = Date.now() + 6_000; !sent() && Date.now() < end; ) await delay(100)
    await mine()
  }
}

/** Waits until every attester has signed an outcome of the epoch, and gives the roots that they signed. */
async function signedByAll(epoch: number, last: number): Promise<unknown[]> {
  const outcomes = () =>
    attesters.map((a) =>
      [...said(a, 'proposed'), ...said(a, 'co-signed')].filter((line) => line.epoch === epoch),
    )
  for (;;) {
    const proposed = () => outcomes().some((signed) => signed.length > 0)
    for (const until = Date.now() + 6_000; !proposed() && Date.now() < until; ) await delay(100)
    if (proposed()) break
    const { burnHeight } = await client.info()
    if (burnHeight >= last) throw new Error(`nobody proposed by ${last}: ${logged()}`)
    await mine()
  }
  await until(
    () => `everybody's signature: ${logged()}`,
    60_000,
    async () => outcomes().every((signed) => signed.length > 0),
  )
  return outcomes().flatMap((signed) => signed.map(({ root }) => root))
}

async function urlOf(program: Program): Promise<string> {
  const ready = await until('a program to be ready', 60_000, async () => {
    if (program.child.exitCode !== null) throw new Error(`ended: ${JSON.stringify(program.lines.slice(-5))}`)
    return program.lines.find((line) => line.msg === 'ready')
  })
  return String(ready.url)
}

function startAttester(at: number): Program {
  const place = placesOf[at % placesOf.length]!
  return run('registry/attester/dist/main.js', [], {
    STACKS_API_URL: stacksUrl,
    DEPLOYER: accountOf('deployer').address,
    RELAYS: relayUrls[at]!,
    DATA_DIR: join(dir, `attester${at}`),
    PLACES_FILE: join(dir, 'places.json'),
    LATITUDE: String(place.latitude),
    LONGITUDE: String(place.longitude),
    PROBE_INTERVAL_MS: '1200',
    CHAIN_POLL_MS: '100',
    DELTA_MS: '300',
    LOG_LEVEL: 'debug',
  })
}

async function send(account: Account, make: (nonce: bigint) => Promise<SignedTransaction>): Promise<void> {
  const { txid } = await make(await client.nonce(account.address))
    .then((transaction) => submit(client, transaction))
    .then((sent) => {
      if (!sent.ok) throw new Error(`${account.name}: ${sent.reason} ${sent.message}`)
      return sent
    })
  await mine()
  const result = await confirmed(client, txid, { intervalMs: 100 })
  if (!result.ok)
    throw new Error(
      `${account.name}: ${result.reason} ${JSON.stringify(result.transaction?.result, (_, v) => (typeof v === 'bigint' ? String(v) : v))}`,
    )
}

async function call(account: Account, contractCall: ContractCall): Promise<void> {
  const { chainId } = await client.info()
  await send(account, (nonce) =>
    signCall(contractCall, { privateKey: account.privateKey, nonce, fee: 10_000n, chainId }),
  )
}

async function chainApp(): Promise<ChainApp> {
  return projectChain(await createLogReader(client, contracts).read()).apps.get(app)!
}

async function listen(server: Server, address: string): Promise<number> {
  server.listen(0, address)
  await once(server, 'listening')
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** A mirror that serves `files` and answers challenges out of `repository`. */
async function startMirror(
  address: string,
  files: ReadonlyMap<string, string>,
  repository: string,
  secretKey: Uint8Array,
): Promise<string> {
  const objects = openObjects(repository)
  closing.push(() => objects.close())
  const signer = signerOf(secretKey)
  const server = createServer(async (req, res) => {
    res.setHeader('access-control-allow-origin', '*')
    if (req.url === challengePath && req.method === 'POST') {
      const chunks: Buffer[] = []
      for await (const chunk of req) chunks.push(chunk as Buffer)
      const event = parseEvent(JSON.parse(Buffer.concat(chunks).toString()))
      const challenge = event.ok ? parseChallenge(event.value) : event
      const blobs = challenge.ok
        ? await blobsOf(repository, challenge.value.commit).catch(() => undefined)
        : undefined
      if (!challenge.ok || !blobs?.ok) return res.writeHead(404).end()
      const digest = await possessionDigest(challenge.value, blobs.value, (oid) => objects.read(oid))
      const answer = signer.signEvent(answerTemplate(challenge.value, digest, Math.floor(Date.now() / 1_000)))
      return res.end(JSON.stringify(await answer))
    }
    const body = files.get(req.url ?? '')
    return body === undefined ? res.writeHead(404).end() : res.end(body)
  })
  return `http://${address}:${await listen(server, address)}`
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'understudy-epoch-'))
  const verify = await loadVerify()
  accounts = JSON.parse(
    execFileSync(process.execPath, [join(root, 'local/devnet/dist/main.js'), '--accounts'], {
      encoding: 'utf8',
    }),
  ) as Account[]

  const devnet = run('local/devnet/dist/main.js', ['--port', '0', '--burn-interval', '0'], {})
  const relay = run('node/dist/relay/main.js', [], {
    DATA_DIR: join(dir, 'relay'),
    PORT: '0',
    HOST: '127.0.0.1',
  })
  stacksUrl = await urlOf(devnet)
  relayUrl = await urlOf(relay)
  relayUrls = await Promise.all(
    [40, 80, 120].map(async (delayMs) => {
      const line = new Line(Number(new URL(relayUrl).port), delayMs)
      lines.push(line)
      closing.push(() => line.close())
      return `ws://127.0.0.1:${await line.listen()}`
    }),
  )
  relays = openRelays([relayUrl], { verify })
  closing.push(() => relays.close())
  client = createStacksClient({ url: stacksUrl })
  const { chainId } = await client.info()
  const deployer = accountOf('deployer')
  contracts = contractsOf(deployer.address)
  for (const name of contractNames) {
    const source = await readFile(join(root, 'contracts', `${name}.clar`), 'utf8')
    await send(deployer, (nonce) =>
      deployContract(name, source, { privateKey: deployer.privateKey, nonce, fee: 100_000n, chainId }),
    )
  }

  // The master's repository: two releases, of which the first will be too old.
  const work = join(dir, 'work')
  const commits: { commit: string; tree: string; files: ReadonlyMap<string, string> }[] = []
  await mkdir(work)
  git(work, 'init', '-q', '-b', 'main')
  for (const version of ['one', 'two']) {
    const files = new Map([
      ['/index.html', `<h1>${version}</h1>`],
      ['/app.js', `console.log('${version}')`],
      ['/same.css', 'h1 { color: red }'],
    ])
    for (const [path, text] of files) await writeFile(join(work, path), text)
    git(work, 'add', '.')
    git(work, 'commit', '-q', '-m', version)
    commits.push({
      commit: git(work, 'rev-parse', 'HEAD'),
      tree: git(work, 'rev-parse', 'HEAD^{tree}'),
      files,
    })
  }
  const forgeRoot = join(dir, 'forge')
  git(dir, 'clone', '-q', '--bare', work, join(forgeRoot, 'app.git'))
  git(dir, 'clone', '-q', '--bare', work, join(forgeRoot, 'stale.git'))
  git(join(forgeRoot, 'stale.git'), 'update-ref', 'refs/heads/main', commits[0]!.commit)
  git(join(forgeRoot, 'stale.git'), 'reflog', 'expire', '--expire=all', '--all')
  git(join(forgeRoot, 'stale.git'), 'gc', '-q', '--prune=now')
  const host = serveRepositories({ root: forgeRoot })
  const forgePort = await listen(
    createServer((req, res) => void host.handle(req, res)),
    '127.0.9.1',
  )
  await writeFile(
    join(dir, 'places.json'),
    JSON.stringify({ places: placesOf, hosts: { [forge]: '127.0.9.1' } }),
  )

  // Keys first, because the rules name them.
  const secrets = await Promise.all(
    [0, 1, 2].map(async (at) => {
      const secret = randomBytes(32)
      await mkdir(join(dir, `attester${at}`), { mode: 0o700 })
      await writeFile(join(dir, `attester${at}`, 'attester.key'), secret.toString('hex'), { mode: 0o600 })
      return secret
    }),
  )
  identities = secrets.map((secret) => identityOf(secret, chainId))
  const maintainerKey = randomBytes(32)
  const releaseKey = randomBytes(32)
  const coordinate = coordinateOf(signerOf(maintainerKey).pubkey, 'demo')
  app = appId(coordinate)
  const funder = accountOf('funder')
  for (const { account } of identities) {
    await send(funder, (nonce) =>
      transfer(account, 10_000_000n, { privateKey: funder.privateKey, nonce, fee: 1_000n, chainId }),
    )
  }
  const { burnHeight } = await client.info()
  const start = burnHeight + 20
  await call(
    accountOf('maintainer'),
    registerApp(contracts, {
      coordinate,
      schedule: { start, length: 60, notice: 3, cap: 100_000_000n },
      terms: {
        budget: 30_000_000n,
        keys: identities.map(({ key }) => key).sort(),
        places: 3,
        levels: ['network'],
        floor: 500_000,
        domainBond: 1_000_000_000n,
        fee: 1_500_000n,
        grace: 5,
        minBond: 1_000_000n,
        faults: 1,
        window: 30,
        challenge: 6,
        claimPeriod: 1_440,
        releaseKey: signerOf(releaseKey).pubkey,
        minSeq: 1,
      },
    }),
  )
  await call(
    funder,
    fund(contracts, funder.address, { app, amount: 200_000_000n, rulesVersion: 1, minShares: 0n }),
  )

  const now = Math.floor(Date.now() / 1_000)
  const publish = async (event: Parameters<Relays['publish']>[0]) => {
    const published = await relays.publish(event)
    if (!published.ok) throw new Error(`relay: ${JSON.stringify(published.refused)}`)
  }
  const repository = {
    ...{ pubkey: signerOf(maintainerKey).pubkey, d: 'demo', name: 'Demo', description: '' },
    ...{
      clone: [`http://${forge}:${forgePort}/app.git`],
      web: ['http://master.example'],
      relays: [relayUrl],
    },
    stx: accountOf('maintainer').address,
  }
  await publish(await signerOf(maintainerKey).signEvent(repositoryTemplate(repository, now)))
  for (const [at, { commit, tree, files }] of commits.entries()) {
    const list = [...files].map(([path, text]) => ({ path, sha256: sha256(text) }))
    const draft = { app, d: 'demo', coordinate, commit, tree, seq: at + 1, entry: '/index.html', files: list }
    await publish(await signerOf(releaseKey).signEvent(releaseTemplates(draft, now + at).snapshot))
  }

  const newest = commits[1]!
  const tampered = new Map([...newest.files, ['/index.html', '<h1>evil</h1>']])
  const mirrors = [
    { address: '127.0.1.1', files: newest.files, fork: 'app', commit: newest.commit },
    { address: '127.0.2.1', files: commits[0]!.files, fork: 'stale', commit: commits[0]!.commit },
    { address: '127.0.2.1', files: tampered, fork: 'app', commit: newest.commit },
  ]
  for (const [at, { address, files, fork, commit }] of mirrors.entries()) {
    const secretKey = randomBytes(32)
    const operator = accountOf(`operator${at + 1}`)
    const web = await startMirror(address, files, join(forgeRoot, `${fork}.git`), secretKey)
    const nodeKey = signerOf(secretKey).pubkey
    await call(
      operator,
      registerMirror(contracts, operator.address, { app, nodeKey, endpoint: web, bond: 5_000_000n }),
    )
    const clone = `http://${forge}:${forgePort}/${fork}.git`
    const draft = {
      coordinate,
      name: `m${at + 1}`,
      commit,
      clone,
      web,
      relay: relayUrl,
      geohash: '',
      country: '',
    }
    const announcement = mirrorTemplate({ ...draft, stx: operator.address }, now, now + 3_600)
    await publish(await signerOf(secretKey).signEvent(announcement))
  }
  for (const at of [0, 1, 2]) attesters.push(startAttester(at))
  await Promise.all(attesters.map(urlOf))
  // Everybody saw both releases, and both are older than the grace of 5 blocks when the epoch begins.
  await until('releases seen by all', 30_000, async () =>
    attesters.every((a) => said(a, 'release seen').length === 2),
  )
  await mineTo(start)
}, 300_000)

afterAll(async () => {
  await Promise.all([...programs].map((program) => program.ended('SIGTERM')))
  for (const close of closing.reverse()) await close()
  // A program that was killed could not stop its database.
  for (const at of [0, 1, 2]) {
    const pid = await readFile(join(dir, `attester${at}`, 'postgres', 'postmaster.pid'), 'utf8').catch(
      () => '',
    )
    if (pid) process.kill(Number(pid.split('\n')[0]), 'SIGINT')
  }
  if (dir) await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}, 300_000)

test('three attesters settle an epoch once and on one root, although one was cut off for half of it and one killed', async () => {
  const end = epochEnd((await chainApp()).schedule, 0)
  await probed(0, 1)
  const [killed, cutOff] = [0, 1]
  const before = attesters[cutOff]!.lines.length
  lines[cutOff]!.cut(true)
  await mineTo(end - 45)
  await attesters[killed]!.ended('SIGKILL')
  attesters[killed] = startAttester(killed)
  // Without a relay it knows that it is the one who is off, and blames nobody.
  await until(
    () => `doubts of the one that is cut off: ${reasons()}`,
    60_000,
    async () =>
      said(attesters[cutOff]!, 'probed', before).some(({ outcome }) => outcome === 'inconclusive') &&
      said(attesters[cutOff]!, 'probed', before).length >= 3,
  )
  // Blocks that pass while an attester is down count as missed.
  await urlOf(attesters[killed]!)
  await mineTo(end - 15)
  lines[cutOff]!.cut(false)
  await probed(0, 3)
  await mineTo(end)
  await until('all commitments', 60_000, async () => (await eventsOf(kinds.commitment, 0)).length === 3)
  expect(await eventsOf(kinds.attestation, 0)).toHaveLength(0)
  await mineTo(end + 3)
  const told = await revealed(0)
  await mineTo(end + 6)
  const signed = await signedByAll(0, end + 14)
  const settled = await settle(0, end + 17)
  expect(new Set(signed)).toEqual(new Set([settled.root]))

  // q = ⌊28.5 STX / 3⌋ for the good mirror, by its availability; nothing for the stale one and the tamperer; three fees.
  expect(settled.count).toBe(4)
  expect(settled.allocated).toBeGreaterThan(1_500_000n + 9_500_000n / 2n)
  expect(settled.allocated).toBeLessThanOrEqual(1_500_000n + 9_500_000n)
  const reports = told.flatMap((event) => {
    const read = parseAttestation(event)
    return read.ok ? [read.value.report] : []
  })
  const of = (mirror: number) => reports.filter((report) => report.mirror === mirror)
  for (const mirror of [1, 2, 3]) expect(of(mirror).length).toBeGreaterThanOrEqual(2)
  for (const report of of(1)) {
    expect(report).toMatchObject({ wrongBytes: false, asn: 64501, address: '127.0.1.1' })
    expect(report.passed).toBeGreaterThan(0)
    expect(report.rttMicros).toBeGreaterThan(0)
  }
  for (const report of of(2)) {
    expect(report).toMatchObject({ passed: 0, wrongBytes: false })
    expect(report.reasons.stale).toBeGreaterThan(0)
  }
  for (const report of of(3)) {
    expect(report).toMatchObject({ passed: 0, wrongBytes: true })
    expect(report.reasons['wrong-bytes']).toBeGreaterThan(0)
  }

  // Buried six blocks deep it is final for everyone, and nobody sent a second one.
  await mine(6)
  await until(
    () => `all to be done: ${logged()}`,
    30_000,
    async () => attesters.every((a) => said(a, 'settled').some((line) => line.epoch === 0)),
  )
  expect(await eventsOf(kinds.commitment, 0)).toHaveLength(3)
  expect(attesters.flatMap((a) => said(a, 'settlement did not go through'))).toEqual([])
  await pay(0)
}, 400_000)

test('a lying proposal is co-signed by nobody, and the others settle without its author', async () => {
  const { schedule, rules } = await chainApp()
  const { keys, version: rulesVersion } = rules[0]!
  const end = epochEnd(schedule, 1)
  const liar = identities.findIndex(({ key }) => key === proposerOf(keys, 1, 0))
  const identity = identities[liar]!
  const honest = attesters.filter((_, at) => at !== liar)
  await probed(1, 3)
  await mineTo(end)
  const commitments = await until('all commitments', 30_000, async () => {
    const found = await eventsOf(kinds.commitment, 1)
    return found.length === 3 && found
  })
  // It commits like the others, and then, instead of showing what to, proposes in its turn to take everything.
  await attesters[liar]!.ended('SIGKILL')
  await mineTo(end + 3)
  await revealed(1, identity.pubkey)
  await mineTo(end + 6)
  const [before] = (await eventsOf(kinds.commitment, 0)).flatMap((event) => {
    const read = parseCommitment(event, identity.chainId)
    return read.ok && event.pubkey === identity.pubkey
      ? [{ key: identity.key, epoch: 0, root: read.value.root }]
      : []
  })
  const inputs: Inputs = {
    rulesVersion,
    anchor: await client.anchorBelow(end),
    commitments: commitments.flatMap((event) => {
      const read = parseCommitment(event, identity.chainId)
      return read.ok && event.pubkey !== identity.pubkey
        ? [{ key: attesterKey(event.pubkey), root: read.value.root }]
        : []
    }),
    former: [before!],
  }
  const all = { index: 0, mirror: 0, recipient: identity.payee, amount: 30_000_000n }
  const message = {
    ...{ pool: contracts.pool, app, epoch: 1, round: 0, inputs: inputsHash(inputs) },
    ...{ root: merkleRoot([payoutLeafHash(all)]), allocated: all.amount, count: 1 },
  }
  const signature = signHash(settlementHash(message, identity.chainId), identity.secretKey)
  const lie = signedOutcomeTemplate(
    kinds.proposal,
    { attempt: 0, inputs, message, signature },
    Math.floor(Date.now() / 1_000),
  )
  expect((await relays.publish(await identity.signer.signEvent(lie))).ok).toBe(true)
  await until(
    () => `both to refuse: ${logged()}`,
    30_000,
    async () =>
      honest.every((a) =>
        said(a, 'not co-signing').some((line) => line.reason === 'another outcome than ours'),
      ),
  )

  await mineTo(end + 7)
  const settled = await settle(1, end + 17)
  expect(settled.root).not.toBe(message.root)
  expect(settled.allocated).toBeLessThan(message.allocated)
  expect(keys.filter((_, at) => settled.signers[at])).not.toContain(identity.key)
  const signed = [...(await eventsOf(kinds.proposal, 1)), ...(await eventsOf(kinds.coSignature, 1))]
  const liars = signed.filter((event) => {
    const read = parseSignedOutcome(event, identity.chainId)
    return read.ok && read.value.message.root === message.root
  })
  expect(liars.map((event) => event.pubkey)).toEqual([identity.pubkey])
  // Where mirrors stand it is still heard about, by what it said when it was last there.
  const { inputs: named, former } = await verified(1)
  expect(named.former).toEqual([before])
  expect(former.map(({ key, epoch, reports }) => [key, epoch, reports.length > 0])).toEqual([
    [identity.key, 0, true],
  ])
}, 400_000)

/** The epoch as a stranger computes it again from relays and chain. */
async function verified(epoch: number): Promise<Match> {
  const { chainId } = await client.info()
  const epochKinds = [kinds.commitment, kinds.attestation, kinds.proposal, kinds.coSignature]
  const epochEvents = async (_app: string, of: number) =>
    (await Promise.all(epochKinds.map((kind) => eventsOf(kind, of)))).flat()
  const collected = await collectBundle({ client, contracts, chainId, epochEvents }, app, epoch)
  if (collected.ok !== 'collected') throw new Error(JSON.stringify(collected))
  const bytes = new TextEncoder().encode(writeBundle(collected.bundle))
  const verdict = verifyBundle(bytes, { app, epoch }, await loadVerify())
  if (verdict.ok !== 'match') throw new Error(JSON.stringify(verdict))
  return verdict
}

/** Waits until the epoch can be paid, and has its first leaf paid. */
async function pay(epoch: number): Promise<void> {
  const { outcome } = await verified(epoch)
  const leaf = outcome.leaves[0]!
  const proof = merkleProof(outcome.leaves.map(payoutLeafHash), 0)
  for (;;) {
    const settled = (await chainApp()).settlements.get(epoch)!
    if (isPayable(settled, await client.info())) break
    await mine()
  }
  await call(accountOf('funder'), claim(contracts, { app, epoch, leaf, proof }))
  expect((await chainApp()).settlements.get(epoch)?.claims.get(0)).toMatchObject({
    ...{ mirror: leaf.mirror, recipient: leaf.recipient, amount: leaf.amount },
  })
}

test('an epoch that its maintainer vetoes is settled again in round 1, verified and paid', async () => {
  const end = epochEnd((await chainApp()).schedule, 2)
  for (const [at, { child }] of attesters.entries())
    if (child.exitCode !== null || child.signalCode !== null) {
      attesters[at] = startAttester(at)
      await urlOf(attesters[at]!)
    }
  await mineTo(end - 60)
  await probed(2, 2)
  await mineTo(end)
  await until('all commitments', 30_000, async () => (await eventsOf(kinds.commitment, 2)).length === 3)
  await mineTo(end + 3)
  await revealed(2)
  await mineTo(end + 6)
  const first = await settle(2, end + 17)
  await call(accountOf('maintainer'), veto(contracts, { app, epoch: 2 }))
  expect((await chainApp()).settlements.has(2)).toBe(false)
  const second = await settle(2, end + 30, 1)
  expect(second.root).toBe(first.root)
  const match = await verified(2)
  expect(match.facts.settlement.round).toBe(1)
  expect(match.bundles).toHaveLength(3)
  await pay(2)
}, 400_000)

test('an attester that contradicts itself is reported and banned, and the epoch settles again without it', async () => {
  const { schedule, rules } = await chainApp()
  const end = epochEnd(schedule, 3)
  const keys = rules[0]!.keys
  // Two attesters settle while the third is down, and one of the two has signed another commitment.
  const liar = identities.findIndex(({ key }) => key === proposerOf(keys, 3, 0))
  const absent = (liar + 1) % 3
  const identity = identities[liar]!
  await mineTo(end - 60)
  await probed(3, 2)
  await mineTo(end)
  const commitments = await until('all commitments', 30_000, async () => {
    const found = await eventsOf(kinds.commitment, 3)
    return found.length === 3 && found
  })
  await mineTo(end + 3)
  await revealed(3)
  await attesters[absent]!.ended('SIGTERM')
  await mineTo(end + 6)
  const first = await settle(3, end + 17)
  expect(keys.filter((_, at) => first.signers[at])).toContain(identity.key)
  const said = commitments.flatMap((event) => {
    const read = parseCommitment(event, identity.chainId)
    return read.ok && event.pubkey === identity.pubkey ? [read.value] : []
  })[0]!
  const other = { ...said, root: 'ab'.repeat(32) }
  const template = commitmentTemplate(
    other,
    said.header,
    identity.chainId,
    identity.secretKey,
    Math.floor(Date.now() / 1_000),
  )
  expect((await relays.publish(await identity.signer.signEvent(template))).ok).toBe(true)
  await until(
    () => `a report: ${logged()}`,
    30_000,
    async () => attesters.some((a) => a.lines.some((line) => line.msg === 'report sent')),
  )
  await mine()
  const banned = await chainApp()
  expect([...banned.banned]).toEqual([identity.key])
  expect(banned.settlements.has(3)).toBe(false)
  attesters[absent] = startAttester(absent)
  await urlOf(attesters[absent]!)
  const second = await settle(3, end + 30, 1)
  expect(keys.filter((_, at) => second.signers[at])).not.toContain(identity.key)
  const match = await verified(3)
  expect(match.bundles.map(({ key }) => key)).toEqual(keys.filter((key) => key !== identity.key))
  await pay(3)
}, 400_000)
