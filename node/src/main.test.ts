import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { registerApp, registerMirror } from '@understudy/chain/calls'
import { type SampleChain, sampleChain } from '@understudy/chain/sample'
import { addressOf } from '@understudy/chain/transactions'
import { hashFiles } from '@understudy/git/manifest'
import { openObjects } from '@understudy/git/objects'
import { openRepository } from '@understudy/git/repository'
import {
  type SampleForge,
  type SampleRepository,
  sampleForge,
  sampleRepository,
} from '@understudy/git/sample'
import { blobsOf, treeOf } from '@understudy/git/tree'
import { appId, coordinateOf } from '@understudy/protocol/app'
import {
  type Challenge,
  challengePath,
  challengeTemplate,
  parseAnswer,
  parseChallenge,
  possessionDigest,
} from '@understudy/protocol/challenge'
import type { EventSigner, NostrEvent, Verify } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { parseHeartbeat, parseMirror } from '@understudy/protocol/mirror'
import {
  type BuildRecipe,
  decodeManifest,
  manifestPath,
  releaseTemplates,
} from '@understudy/protocol/release'
import { attesterKey } from '@understudy/protocol/rules'
import { openRelays, type Relays } from '@understudy/relays/relays'
import { signerOf } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { encrypt } from 'nostr-tools/nip49'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildCommit } from './build.ts'
import { openStore } from './relay/store.ts'

const root = new URL('../../', import.meta.url)
const chainKeys = { deployer: 'd1'.repeat(32), maintainer: 'd2'.repeat(32), operator: 'd3'.repeat(32) }
const publicUrl = 'http://mirror.understudy.test'
const attesters = ['a1', 'a2', 'a3']
  .map((byte) => signerOf(Buffer.from(byte.repeat(32), 'hex')))
  .sort((a, b) => (a.pubkey < b.pubkey ? -1 : 1))
const release = signerOf(Buffer.from('b1'.repeat(32), 'hex'))
const maintainer = signerOf(Buffer.from('b2'.repeat(32), 'hex'))
const coordinate = coordinateOf(maintainer.pubkey, 'demo')
const app = appId(coordinate)

let home: string
let forge: SampleForge
let source: SampleRepository
let stacksUrl: string
let chain: SampleChain
let relayUrl: string
let relays: Relays
let verify: Verify
let node: Program
let signedAt = 0
const programs: Program[] = []

interface Program {
  readonly url: string
  readonly lines: readonly string[]
  kill(signal: NodeJS.Signals): Promise<void>
}

/** Starts a program of ours. `ready` waits until it says so; `kill` may come before. */
function launch(main: string, env: Record<string, string>, args: string[] = []) {
  const child: ChildProcess = spawn(process.execPath, [fileURLToPath(new URL(main, root)), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '', HOST: '127.0.0.1', PORT: '0', ...env },
  })
  async function kill(signal: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
  }
  const lines: string[] = []
  let stderr = ''
  child.stderr?.on('data', (chunk) => {
    stderr += chunk
  })
  const ready = new Promise<Program>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${main} ended with ${code}: ${stderr}`)))
    createInterface({ input: child.stdout! }).on('line', (line) => {
      lines.push(line)
      const said = JSON.parse(line) as { msg?: string; url?: string }
      if (said.msg === 'ready' && said.url) resolve({ url: said.url, lines, kill })
    })
  })
  // Who kills it before it is ready does not wait for that.
  ready.catch(() => {})
  return { ready, kill }
}

async function start(...program: Parameters<typeof launch>): Promise<Program> {
  const started = await launch(...program).ready
  programs.push(started)
  return started
}

/** Asks again until there is something. */
async function until<T>(look: () => Promise<T | undefined | false>, what: string, ms = 60_000): Promise<T> {
  const deadline = Date.now() + ms
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`)
    await pause(25)
  }
}

const startNode = (change: Record<string, string> = {}) => start('node/dist/main.js', nodeEnv(change))

const nodeEnv = (change: Record<string, string> = {}): Record<string, string> => ({
  STACKS_API_URL: stacksUrl,
  DEPLOYER: addressOf(chainKeys.deployer, 0x80000000),
  RELAYS: relayUrl,
  DATA_DIR: join(home, 'node'),
  PLACES_FILE: join(home, 'places.json'),
  APP: coordinate,
  REPOSITORY_URL: forge.urlOf('fork'),
  PUBLIC_URL: publicUrl,
  STX_ADDRESS: addressOf(chainKeys.operator, 0x80000000),
  GEOHASH: 'u0yjj',
  COUNTRY: 'DE',
  UPDATE_SPREAD_SECONDS: '0.2',
  ...change,
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Signs a release of a commit of the source and publishes both events. `forged` says what is not so. */
async function publishRelease(
  seq: number,
  commit: string,
  forged: { tree?: string; extra?: string; build?: BuildRecipe } = {},
) {
  const dir = join(source.dir, '.git')
  const objects = openObjects(dir)
  const files = await filesOf()
  await objects.close()
  async function filesOf() {
    const blobs = await blobsOf(dir, commit)
    if (!forged.build) return blobs.ok ? hashFiles(blobs.value, objects) : blobs
    const built = await buildCommit(commit, forged.build, { gitDir: dir, objects })
    if (!built.ok) return built
    await built.value.remove()
    return { ok: true, value: [...built.value.files] } as const
  }
  if (!files.ok) throw new Error(files.reason)
  const listed = forged.extra ? [...files.value, { path: forged.extra, sha256: '0'.repeat(64) }] : files.value
  // Two within one second would not replace each other.
  signedAt = Math.max(signedAt + 1, Math.floor(Date.now() / 1000))
  const { snapshot, newest, manifest } = releaseTemplates(
    {
      app,
      d: 'demo',
      coordinate,
      commit,
      tree: forged.tree ?? (await treeOf(dir, commit)),
      seq,
      entry: '/index.html',
      files: listed,
      build: forged.build,
    },
    signedAt,
  )
  for (const template of [snapshot, newest]) {
    const event = await release.signEvent(template)
    await until(async () => (await relays.publish(event)).ok, 'a relay that takes the release')
  }
  return { manifest: createHash('sha256').update(manifest).digest('hex'), files: listed }
}

const get = (path: string, init?: RequestInit) => fetch(node.url + path, init)
const status = async () =>
  (await get('/.well-known/understudy.json')).json() as Promise<Record<string, unknown>>
const serving = (seq: number) => until(async () => (await status()).seq === seq, `release ${seq}`)
const said = (words: string) => until(async () => node.lines.some((line) => line.includes(words)), words)

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'understudy-node-'))
  forge = await sampleForge()
  source = sampleRepository()
  verify = await loadVerify()
  const places = { places: [], hosts: { [forge.host]: '127.0.0.1' } }
  writeFileSync(join(home, 'places.json'), JSON.stringify(places))
  const [devnet, relay] = await Promise.all([
    start('local/devnet/dist/main.js', {}, ['--port', '0', '--burn-interval', '0']),
    start('node/dist/relay/main.js', { DATA_DIR: join(home, 'relay') }),
  ])
  stacksUrl = devnet.url
  relayUrl = relay.url
  relays = openRelays([relayUrl], { verify })
  chain = await sampleChain(stacksUrl, chainKeys.deployer)
  await chain.fill([chainKeys.maintainer, chainKeys.operator])
  const { burnHeight } = await chain.client.info()
  const schedule = { start: burnHeight + 20, length: 60, notice: 3, cap: 100_000_000n }
  const terms = {
    budget: 50_000_000n,
    keys: attesters.map(({ pubkey }) => attesterKey(pubkey)),
    places: 3,
    levels: ['network'] as const,
    floor: 500_000,
    domainBond: 10_000_000n,
    fee: 0n,
    grace: 5,
    minBond: 10_000_000n,
    faults: 1,
    window: 30,
    challenge: 6,
    claimPeriod: 600,
    releaseKey: release.pubkey,
    minSeq: 0,
  }
  await chain.send(chainKeys.maintainer, registerApp(chain.contracts, { coordinate, schedule, terms }))
}, 300_000)

afterAll(async () => {
  relays?.close()
  for (const program of programs.reverse()) await program.kill('SIGTERM')
  await forge?.close()
  source?.remove()
  rmSync(home, { recursive: true, force: true })
})

const big = Buffer.alloc(5_000_000, 'five megabytes ')
const sampleFiles = (word: string): Record<string, string | Uint8Array> => ({
  'index.html': `<!doctype html><title>${word}</title>`,
  '404.html': `<!doctype html><title>no such page</title>`,
  'assets/app.js': `console.log(${JSON.stringify(word)})`,
  'docs/index.html': '<!doctype html><title>docs</title>',
  'big.bin': big,
  ...Object.fromEntries(Array.from({ length: 1_100 }, (_, i) => [`data/${i % 10}/${i}.json`, `{"i":${i}}`])),
})

/** `npm run kill:node` for 200. */
const kills = Number(process.env.KILLS ?? 20)

// One story: each test goes on where the one before ended.
describe('a fallback node', { timeout: 300_000 }, () => {
  let commit: string
  let newer: string
  let lastSeq = 0

  test('serves every byte of the signed release', async () => {
    commit = source.commit(sampleFiles('one'))
    source.push(forge.root, 'fork')
    const { manifest, files } = await publishRelease(1, commit)
    node = await startNode()
    await until(async () => (await get('/readyz')).status === 200, 'ready')
    expect(await status()).toMatchObject({
      app,
      coordinate,
      commit,
      seq: 1,
      manifest,
      relay: 'ws://mirror.understudy.test',
    })
    expect(files.length).toBe(1_105)
    for (const { path, sha256 } of files) {
      const bytes = new Uint8Array(await (await get(path)).arrayBuffer())
      expect(createHash('sha256').update(bytes).digest('hex'), path).toBe(sha256)
    }
    const listed = new Uint8Array(await (await get(manifestPath(manifest))).arrayBuffer())
    expect(decodeManifest(listed, manifest)).toMatchObject({ ok: true, value: { length: 1_105 } })
  })

  test('answers as a web server does', async () => {
    const page = await get('/')
    expect(page.status).toBe(200)
    expect(await page.text()).toContain('<title>one</title>')
    expect(Object.fromEntries(page.headers)).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
      'cache-control': 'public, no-cache',
    })
    const etag = page.headers.get('etag') ?? ''
    expect((await get('/', { headers: { 'if-none-match': etag } })).status).toBe(304)
    expect(await (await get('/docs/')).text()).toContain('docs')
    const head = await get('/big.bin', { method: 'HEAD' })
    expect(head.headers.get('content-length')).toBe('5000000')
    expect(await head.text()).toBe('')
    const part = await get('/big.bin', { headers: { range: 'bytes=4999990-' } })
    expect(part.status).toBe(206)
    expect(part.headers.get('content-range')).toBe('bytes 4999990-4999999/5000000')
    expect(Buffer.from(await part.arrayBuffer())).toEqual(big.subarray(4_999_990))
    const missing = await get('/no/such/page')
    expect(missing.status).toBe(404)
    expect(await missing.text()).toContain('no such page')
    const information = await get('/', { headers: { accept: 'application/nostr+json' } })
    expect(await information.json()).toMatchObject({ supported_nips: expect.arrayContaining([1, 11]) })
    expect(await (await get('/metrics')).text()).toContain('understudy_release_seq')
  })

  test('announces itself, beats, and lists its relays, there and on its own relay', async () => {
    const { nodeKey } = await status()
    const own = openRelays([node.url.replace('http', 'ws')], { verify })
    for (const where of [relays, own]) {
      const events = await until(async () => {
        const found = await where.query([{ authors: [String(nodeKey)] }])
        return found.length === 3 && found
      }, 'three kinds of event')
      const of = (kind: number) => events.find((event) => event.kind === kind)!
      expect(parseMirror(of(kinds.mirror))).toMatchObject({
        ok: true,
        value: { commit, web: publicUrl, geohash: 'u0yjj', country: 'DE', clone: forge.urlOf('fork') },
      })
      expect(parseHeartbeat(of(kinds.heartbeat))).toMatchObject({ ok: true, value: { app, commit } })
      expect(of(kinds.relayList).tags).toContainEqual(['r', 'ws://mirror.understudy.test'])
    }
    own.close()
  })

  const challengeOf = async (change: Partial<Challenge> = {}, by: EventSigner = attesters[0]!, age = 0) => {
    const nodeKey = String((await status()).nodeKey)
    const fields = {
      app,
      nodeKey,
      commit,
      nonce: randomBytes(32).toString('hex'),
      host: 'mirror.understudy.test',
      address: '127.0.0.1',
      ...change,
    }
    return by.signEvent(challengeTemplate(fields, Math.floor(Date.now() / 1000) - age))
  }

  /** What the answer must be, from a clone that the node never saw. */
  async function expectedDigest(event: NostrEvent): Promise<string> {
    const dir = join(home, `clone-${randomBytes(4).toString('hex')}`)
    const clone = await openRepository({ dir, url: forge.urlOf('fork'), vantage: forge.vantage })
    if (!clone.ok) throw new Error(clone.reason)
    const challenge = parseChallenge(event)
    const blobs = await clone.value.blobsOf(commit)
    if (!challenge.ok || !blobs.ok) throw new Error('unreadable')
    const objects = openObjects(dir)
    const digest = await possessionDigest(challenge.value, blobs.value, objects.read)
    await objects.close()
    return digest
  }

  const ask = (body: string | NostrEvent) =>
    get(challengePath, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })

  test('proves over HTTP that it holds the commit', async () => {
    const challenge = await challengeOf()
    const response = await ask(challenge)
    expect(response.status).toBe(200)
    const event = (await response.json()) as NostrEvent
    expect(verify(event)).toBe(true)
    expect(parseAnswer(event)).toMatchObject({
      ok: true,
      value: { challenge: challenge.id, digest: await expectedDigest(challenge), address: '127.0.0.1' },
    })
  })

  test('proves it over a relay', async () => {
    const challenge = await challengeOf({ address: 'relays' })
    const answers: NostrEvent[] = []
    const filter = { kinds: [kinds.answer], '#e': [challenge.id], limit: 0 }
    await new Promise<void>((caughtUp) => {
      relays.subscribe([filter], { onEvent: (event) => answers.push(event), onCaughtUp: () => caughtUp() })
    })
    expect((await relays.publish(challenge)).ok).toBe(true)
    const answer = await until(async () => answers[0], 'an answer')
    expect(parseAnswer(answer)).toMatchObject({
      ok: true,
      value: { digest: await expectedDigest(challenge) },
    })
  })

  test('refuses whatever is no challenge to it', async () => {
    const good = await challengeOf()
    const cases: [what: string, body: string | NostrEvent, status: number, code: string][] = [
      ['nothing', '', 400, 'malformed'],
      ['half of a document', '{"id":', 400, 'malformed'],
      ['a list', '[]', 400, 'malformed'],
      ['an event of another kind', { ...good, kind: 1 }, 400, 'malformed'],
      ['no nonce', { ...good, tags: good.tags.filter(([name]) => name !== 'nonce') }, 400, 'malformed'],
      ['a commit that is none', await challengeOf({ commit: 'HEAD' }), 400, 'malformed'],
      ['a changed nonce', await changed(good), 400, 'bad-signature'],
      ['a changed signature', { ...good, sig: '0'.repeat(128) }, 400, 'bad-signature'],
      ['another node', await challengeOf({ nodeKey: '1'.repeat(64) }), 400, 'not-addressed'],
      ['another app', await challengeOf({ app: '1'.repeat(64) }), 400, 'not-addressed'],
      ['another host', await challengeOf({ host: 'other.understudy.test' }), 400, 'not-addressed'],
      ['an old one', await challengeOf({}, attesters[0], 120), 400, 'stale'],
      ['one from the future', await challengeOf({}, attesters[0], -120), 400, 'stale'],
      ['no attester', await challengeOf({}, maintainer), 403, 'not-an-attester'],
      ['a commit that is not served', await challengeOf({ commit: '1'.repeat(40) }), 409, 'not-served'],
      ['far too much', JSON.stringify({ ...good, content: 'x'.repeat(20_000) }), 413, 'too-large'],
    ]
    for (const [what, body, expected, code] of cases) {
      const response = await ask(body)
      expect([what, response.status, await response.json()]).toEqual([
        what,
        expected,
        { error: { code, message: expect.any(String) } },
      ])
    }
    async function changed(event: NostrEvent): Promise<NostrEvent> {
      const tags = event.tags.map((t) => (t[0] === 'nonce' ? ['nonce', '2'.repeat(64)] : t))
      return { ...event, tags }
    }
  })

  test.each([
    ['GET', '/%', 400],
    ['GET', '/%00', 404],
    ['GET', '/..%2f..%2fetc/passwd', 404],
    ['GET', '/.git/config', 404],
    ['GET', `/${'a'.repeat(300)}`, 404],
    ['GET', '/.well-known/understudy/manifest/xyz', 400],
    ['GET', `/.well-known/understudy/manifest/${'0'.repeat(64)}`, 404],
    ['GET', '/.well-known/understudy/challenge', 404],
    ['GET', '/.well-known/understudy/other', 404],
    ['POST', '/index.html', 405],
    ['PUT', '/index.html', 405],
    ['DELETE', '/', 405],
    ['OPTIONS', '/', 204],
  ])('answers %s %s with %i', async (method, path, expected) => {
    expect((await get(path, { method })).status).toBe(expected)
  })

  test('switches to the next release as soon as it is out', async () => {
    newer = source.commit({ ...sampleFiles('two'), 'data/0/0.json': null, 'new.txt': 'new' })
    source.push(forge.root, 'fork')
    const { manifest } = await publishRelease(2, newer)
    await serving(2)
    expect(await (await get('/')).text()).toContain('two')
    expect((await get('/new.txt')).status).toBe(200)
    expect((await get('/data/0/0.json')).status).toBe(404)
    expect(await status()).toMatchObject({ commit: newer, manifest })
    const { nodeKey } = await status()
    await until(async () => {
      const [event] = await relays.query([{ kinds: [kinds.mirror], authors: [String(nodeKey)] }])
      return event?.tags.some((t) => t[0] === 'c' && t[1] === newer)
    }, 'the announcement of the new commit')
  })

  test('keeps to what it has when a release is a lie', async () => {
    const next = source.commit({ 'index.html': 'three' })
    source.push(forge.root, 'fork')
    await publishRelease(3, next, { extra: '/not-there.js' })
    await said("the fork's files are not those of the signed manifest")
    await publishRelease(4, next, { tree: '1'.repeat(40) })
    await said('the commit has another tree than the release says')
    await publishRelease(6, next)
    await said('one before it was never seen')
    expect(await (await get('/')).text()).toContain('two')
    await publishRelease(5, next)
    await serving(6)
  })

  test('stays where it is while the fork lacks the commit, goes on when it has it, killed in between', async () => {
    const absent = source.commit({ 'index.html': 'seven' })
    await publishRelease(7, absent)
    await said('the fork lacks the commit')
    expect(await (await get('/')).text()).toBe('three')
    await node.kill('SIGKILL')
    node = await startNode()
    // Served from disk before anything was asked of chain, relays or fork.
    expect(await (await get('/')).text()).toBe('three')
    source.push(forge.root, 'fork')
    await serving(7)
    expect(await (await get('/')).text()).toBe('seven')
  })

  test('a peer that listens nowhere fetches from it what no relay has any more', async () => {
    const dir = join(home, 'state')
    const env = {
      PATH: process.env.PATH ?? '',
      STACKS_API_URL: stacksUrl,
      DEPLOYER: addressOf(chainKeys.deployer, 0x80000000),
      RELAYS: 'ws://127.0.0.1:1',
      SYNC_WITH: node.url.replace('http', 'ws'),
      DATA_DIR: dir,
      PLACES_FILE: join(home, 'places.json'),
      APP: coordinate,
    }
    const program = fileURLToPath(new URL('cli/dist/main.js', root))
    const peer = spawn(process.execPath, [program, 'node', '--state-only'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
    })
    const ended = once(peer, 'exit')
    try {
      // Whatever it says, it says no address.
      for await (const line of createInterface({ input: peer.stdout! })) {
        const { msg, url, received } = JSON.parse(line) as { msg: string; url?: string; received?: number }
        if (msg === 'ready') expect(url).toBeUndefined()
        if (msg === 'converged with a sibling' && received! > 0) break
      }
    } finally {
      peer.kill('SIGTERM')
    }
    expect(await ended).toEqual([0, null])
    const store = openStore(join(dir, 'relay.sqlite'))
    try {
      const search = { upTo: store.head(), now: Math.floor(Date.now() / 1000), limit: 100 }
      const held = store.load(store.find({ kinds: [kinds.releaseSnapshot, kinds.release] }, search))
      const events = held.map((json) => JSON.parse(json) as NostrEvent)
      expect(events.every((event) => event.pubkey === release.pubkey && verify(event))).toBe(true)
      expect(new Set(events.map((event) => event.kind))).toEqual(
        new Set([kinds.releaseSnapshot, kinds.release]),
      )
    } finally {
      store.close()
    }
  })

  test('ends in order when it is told to', async () => {
    const before = node
    await node.kill('SIGTERM')
    await expect(fetch(before.url)).rejects.toThrow()
    expect(before.lines.some((line) => line.includes('shutting down'))).toBe(true)
    expect(before.lines.some((line) => line.includes('shutdown step failed'))).toBe(false)
  })

  test('told to end while it sends a file, it sends all of it', async () => {
    node = await startNode()
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request(`${node.url}/big.bin`, resolve).on('error', reject).end()
    })
    // More than the sockets between us can hold: the rest is sent after the signal.
    const ended = node.kill('SIGTERM')
    let bytes = 0
    for await (const chunk of answer) bytes += (chunk as Buffer).length
    expect(bytes).toBe(big.length)
    await said('shutting down')
    await ended
    await expect(fetch(`${node.url}/`)).rejects.toThrow()
    expect(node.lines.some((line) => line.includes('shutdown step failed'))).toBe(false)
  })

  test('with an empty disk and its key from outside it comes back as the same mirror', async () => {
    const file = join(home, 'node', 'node.key')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const secret = Uint8Array.from(Buffer.from(readFileSync(file, 'utf8').trim(), 'hex'))
    rmSync(join(home, 'node'), { recursive: true })
    node = await startNode({ NODE_KEY: encrypt(secret, 'open sesame', 8), NODE_KEY_PASSWORD: 'open sesame' })
    await serving(7)
    expect(await (await get('/')).text()).toBe('seven')
    expect((await status()).nodeKey).toBe(signerOf(secret).pubkey)
    expect(existsSync(file)).toBe(false)
    await until(async () => (await get('/readyz')).status === 200, 'ready')
    const logs = programs.flatMap(({ lines }) => lines).join()
    for (const word of [Buffer.from(secret).toString('hex'), 'open sesame', 'ncryptsec'])
      expect(logs).not.toContain(word)
    await node.kill('SIGKILL')
  })

  test('with an empty disk, and relays that lost all, it rebuilds the release and the app state from git and a sibling', async () => {
    const empty = await start('node/dist/relay/main.js', { DATA_DIR: join(home, 'empty') })
    const port = await freePort()
    const sibling = await start(
      'node/dist/main.js',
      nodeEnv({
        DATA_DIR: join(home, 'sibling'),
        PORT: String(port),
        PUBLIC_URL: `http://127.0.0.1:${port}`,
        RELAYS: `${relayUrl},${empty.url}`,
      }),
    )
    const self = (await (await fetch(`${sibling.url}/.well-known/understudy.json`)).json()) as {
      nodeKey: string
    }
    const bonded = { app, nodeKey: self.nodeKey, endpoint: sibling.url, bond: 10_000_000n }
    const { operator } = chainKeys
    await chain.send(operator, registerMirror(chain.contracts, chain.addressOf(operator), bonded))
    const theirs = openRelays([sibling.url.replace('http', 'ws')], { verify })
    const releases = { kinds: [kinds.releaseSnapshot, kinds.release] }
    await until(async () => (await theirs.query([releases])).length > 0, 'a sibling with releases')
    // What an attester said, and the sibling alone heard.
    const now = Math.floor(Date.now() / 1_000)
    const said = await attesters[0]!.signEvent({
      kind: kinds.seen,
      created_at: now,
      tags: [['d', app]],
      content: '',
    })
    await until(async () => (await theirs.publish(said)).ok, 'a sibling that takes the event')

    rmSync(join(home, 'node'), { recursive: true, force: true })
    node = await startNode({ RELAYS: empty.url })
    await serving(7)
    expect(await (await get('/')).text()).toBe('seven')
    const own = openRelays([node.url.replace('http', 'ws')], { verify })
    await until(async () => (await own.query([{ ids: [said.id] }])).length === 1, 'the app state')
    const lost = openRelays([empty.url], { verify })
    expect(await lost.query([releases, { ids: [said.id] }])).toEqual([])
    for (const opened of [theirs, own, lost]) opened.close()
    await sibling.kill('SIGTERM')
    await empty.kill('SIGTERM')
    await node.kill('SIGKILL')
  })

  test(
    'killed at random moments of updates, it never serves a half release',
    async () => {
      const listed = new Map<string, ReadonlyMap<string, string>>()
      const publish = async (seq: number, files: Record<string, string | Uint8Array | null>) => {
        const commit = source.commit(files)
        source.push(forge.root, 'fork')
        const { manifest, files: made } = await publishRelease(seq, commit)
        listed.set(manifest, new Map(made.map(({ path, sha256 }) => [path, sha256])))
      }
      const gone = Object.keys(sampleFiles('')).filter(
        (path) => path.startsWith('data/') && path !== 'data/0/0.json',
      )
      let startMs = 1_000
      await publish(8, Object.fromEntries(gone.map((path) => [path, null])))
      node = await startNode()
      await serving(8)
      const seen = new Set<unknown>()
      let seq = 8
      for (let killed = 0; killed < kills; ) {
        seq++
        await publish(seq, {
          'index.html': `release ${seq}`,
          'assets/app.js': `run(${seq})`,
          'big.bin': Buffer.alloc(3_000_000, `release ${seq} `),
        })
        await pause(Math.random() * 600)
        await node.kill('SIGKILL')
        killed++
        // The next one dies while it starts, at any moment from nothing at all to ready.
        const starting = launch('node/dist/main.js', nodeEnv())
        await Promise.race([starting.ready, pause(Math.random() * startMs)])
        await starting.kill('SIGKILL')
        killed++
        if (killed % 20 === 0) console.log(`${killed} of ${kills} kills`)
        const again = performance.now()
        node = await startNode()
        startMs = performance.now() - again
        const first = await get('/')
        expect(first.status).toBe(200)
        const manifest = first.headers.get('x-understudy-release')!
        seen.add(manifest)
        const release = listed.get(manifest)!
        for (const [path, sha256] of [['/', release.get('/index.html')] as const, ...release]) {
          const answer = await get(path, { headers: { 'x-understudy-release': manifest } })
          const bytes = new Uint8Array(await answer.arrayBuffer())
          expect([path, createHash('sha256').update(bytes).digest('hex')]).toEqual([path, sha256])
        }
      }
      await serving(seq)
      lastSeq = seq
      console.log(`${kills} kills; ${seen.size} releases were served right after one`)
    },
    60_000 + kills * 20_000,
  )

  test('builds a release that is built, where it may, and serves the output; challenges ask for the sources', async () => {
    const recipe = { command: ['node', 'make.mjs'], output: 'site' }
    const script = `import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
      mkdirSync('site')
      writeFileSync('site/index.html', readFileSync('index.html', 'utf8').toUpperCase())`
    const built = source.commit({ 'index.html': 'made of sources', 'make.mjs': script })
    source.push(forge.root, 'fork')
    const seq = lastSeq + 1
    await publishRelease(seq, built, { build: recipe })
    await said('this node builds nothing; set RELEASE_MODE=build')
    expect((await status()).seq).toBe(seq - 1)
    await node.kill('SIGTERM')
    node = await startNode({ RELEASE_MODE: 'build' })
    await serving(seq)
    expect(await (await get('/')).text()).toBe('MADE OF SOURCES')
    expect((await get('/make.mjs')).status).toBe(404)
    await node.kill('SIGTERM')
    // What was built is there at once: nothing is built again for it.
    node = await startNode()
    expect(await (await get('/')).text()).toBe('MADE OF SOURCES')
    commit = built
    const challenge = await challengeOf()
    const answer = parseAnswer((await (await ask(challenge)).json()) as NostrEvent)
    expect(answer).toMatchObject({ ok: true, value: { digest: await expectedDigest(challenge) } })
    await node.kill('SIGTERM')
  })
})
