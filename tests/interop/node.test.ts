import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { registerApp } from '@understudy/chain/calls'
import { sampleChain } from '@understudy/chain/sample'
import { hashFiles } from '@understudy/git/manifest'
import { openObjects } from '@understudy/git/objects'
import { type SampleRepository, sampleRepository } from '@understudy/git/sample'
import { blobsOf, treeOf } from '@understudy/git/tree'
import { appId, coordinateOf } from '@understudy/protocol/app'
import type { EventSigner } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { parseMirror } from '@understudy/protocol/mirror'
import { releaseTemplates } from '@understudy/protocol/release'
import { attesterKey } from '@understudy/protocol/rules'
import { openRelays, type Relays } from '@understudy/relays/relays'
import { signerOf } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { nip98 } from 'nostr-tools'
import { npubEncode } from 'nostr-tools/nip19'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type RunningProgram, startProgram } from '../browser/program.ts'

// Stock git and an administrator's client against the node program. The master's host is stopped before the first clone.

const keyOf = (byte: string) => Buffer.from(byte.repeat(32), 'hex')
const [release, maintainer] = [signerOf(keyOf('b1')), signerOf(keyOf('b2'))]
const attesters = ['a1', 'a2', 'a3'].map((byte) => signerOf(keyOf(byte)))

const coordinate = coordinateOf(maintainer.pubkey, 'demo@1')
const deployerKey = 'd1'.repeat(32)
const operatorKey = 'd3'.repeat(32)
const publicUrl = 'http://mirror.understudy.test'

let home: string
let source: SampleRepository
let node: RunningProgram
let relays: Relays
let commits: string[]
const programs: RunningProgram[] = []
const until = <T>(look: () => Promise<T>) => vi.waitFor(look, { timeout: 60_000, interval: 50 })

/** Stock git as a user has it, but for this machine's settings. */
async function git(...args: string[]): Promise<string> {
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    LC_ALL: 'C',
  }
  const { stdout } = await promisify(execFile)('git', args, { env, cwd: home })
  return stdout.trim()
}

const codeUrl = () => `${node.url}/${npubEncode(maintainer.pubkey)}/demo%401.git`

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'understudy-code-'))
  const forgeRoot = join(home, 'forge')
  mkdirSync(forgeRoot)
  source = sampleRepository()
  commits = ['one', 'two', 'three'].map((word) =>
    source.commit({ 'index.html': `<title>${word}</title>`, [`${word}.bin`]: Buffer.alloc(50_000, word) }),
  )
  source.git('tag', 'v1', commits[0]!)
  source.push(forgeRoot, 'fork')
  source.git('push', '--quiet', '--tags', join(forgeRoot, 'fork.git'))

  async function start(...program: Parameters<typeof startProgram>): Promise<RunningProgram> {
    const started = await startProgram(...program)
    programs.push(started)
    return started
  }
  const common = { HOST: '127.0.0.1', PORT: '0' }
  const [devnet, relay, forge] = await Promise.all([
    start('local/devnet/dist/main.js', ['--port', '0', '--burn-interval', '0'], {}),
    start('node/dist/relay/main.js', [], { ...common, DATA_DIR: join(home, 'relay') }),
    start('local/localnet/dist/forge/main.js', [forgeRoot], common),
  ])
  const chain = await sampleChain(devnet.url, deployerKey)
  const terms = {
    ...{ budget: 50_000_000n, places: 3, levels: ['network'] as const, floor: 500_000, faults: 1 },
    ...{
      keys: attesters.map(({ pubkey }) => attesterKey(pubkey)).sort(),
      fee: 0n,
      domainBond: 10_000_000n,
      minBond: 10_000_000n,
    },
    ...{ grace: 5, window: 30, challenge: 6, claimPeriod: 600, releaseKey: release.pubkey, minSeq: 0 },
  }
  const start0 = (await chain.client.info()).burnHeight + 20
  const schedule = { start: start0, length: 60, notice: 3, cap: 100_000_000n }
  await chain.fill([operatorKey])
  await chain.send(operatorKey, registerApp(chain.contracts, { coordinate, schedule, terms }))

  relays = openRelays([relay.url], { verify: await loadVerify() })
  const dir = join(source.dir, '.git')
  const commit = commits[2]!
  const objects = openObjects(dir)
  const blobs = await blobsOf(dir, commit)
  const files = blobs.ok ? await hashFiles(blobs.value, objects) : blobs
  await objects.close()
  if (!files.ok) throw new Error(files.reason)
  const tree = await treeOf(dir, commit)
  const about = { app: appId(coordinate), d: 'demo', coordinate, commit, tree, seq: 1, entry: '/index.html' }
  const { snapshot, newest } = releaseTemplates(
    { ...about, files: files.value },
    Math.floor(Date.now() / 1000),
  )
  for (const template of [snapshot, newest])
    expect(await relays.publish(await release.signEvent(template))).toMatchObject({ ok: true })

  const { port } = new URL(forge.url)
  const placesFile = join(home, 'places.json')
  writeFileSync(placesFile, JSON.stringify({ places: [], hosts: { 'forge.understudy.test': '127.0.0.1' } }))
  node = await start('node/dist/main.js', [], {
    ...common,
    STACKS_API_URL: devnet.url,
    DEPLOYER: chain.deployer,
    RELAYS: relay.url,
    DATA_DIR: join(home, 'node'),
    PLACES_FILE: placesFile,
    APP: coordinate,
    REPOSITORY_URL: `http://forge.understudy.test:${port}/fork.git`,
    PUBLIC_URL: publicUrl,
    STX_ADDRESS: chain.addressOf(operatorKey),
    ADMINS: maintainer.pubkey,
  })
  await until(async () => expect((await fetch(`${node.url}/readyz`)).status).toBe(200))
  await forge.stop()
  await expect(fetch(forge.url)).rejects.toThrow()
}, 300_000)

afterAll(async () => {
  relays?.close()
  for (const program of programs.toReversed()) await program.stop()
  source?.remove()
  rmSync(home, { recursive: true, force: true })
})

describe('the code of an app whose host is gone', () => {
  test('is cloned from a node, with all its branches and tags', async () => {
    await git('clone', '--quiet', codeUrl(), 'clone')
    expect(await git('-C', 'clone', 'rev-parse', 'HEAD')).toBe(commits[2])
    expect(await git('-C', 'clone', 'rev-parse', 'v1')).toBe(commits[0])
    expect(readFileSync(join(home, 'clone/index.html'), 'utf8')).toBe('<title>three</title>')
    await git('-C', 'clone', 'fsck', '--strict', '--no-progress')
  })

  test.each(['0', '1', '2'])('is cloned by protocol version %s', async (version) => {
    const settings = ['-c', `protocol.version=${version}`]
    await git(...settings, 'clone', '--quiet', '--bare', codeUrl(), `version-${version}`)
    expect(await git('-C', `version-${version}`, 'rev-list', '--count', '--all')).toBe('3')
    await git(...settings, 'clone', '--quiet', '--bare', '--depth=1', codeUrl(), `shallow-${version}`)
    expect(await git('-C', `shallow-${version}`, 'rev-list', '--count', 'HEAD')).toBe('1')
  })

  test('is cloned shallow, and deepened later', async () => {
    await git('clone', '--quiet', '--depth=1', codeUrl(), 'shallow')
    expect(await git('-C', 'shallow', 'rev-list', '--count', 'HEAD')).toBe('1')
    await git('-C', 'shallow', 'fetch', '--quiet', '--deepen=1')
    expect(await git('-C', 'shallow', 'rev-list', '--count', 'HEAD')).toBe('2')
    await git('-C', 'shallow', 'fetch', '--quiet', '--unshallow')
    expect(await git('-C', 'shallow', 'rev-list', '--count', 'HEAD')).toBe('3')
  })

  test('is fetched into an older clone, and a commit by its name', async () => {
    await git('init', '--quiet', 'older')
    await git('-C', 'older', 'fetch', '--quiet', codeUrl(), commits[1]!)
    expect(await git('-C', 'older', 'rev-parse', 'FETCH_HEAD')).toBe(commits[1])
    await git('-C', 'older', 'fetch', '--quiet', codeUrl(), 'main:main')
    expect(await git('-C', 'older', 'rev-parse', 'main')).toBe(commits[2])
  })

  test('cannot be pushed to', async () => {
    await expect(git('-C', 'clone', 'push', codeUrl(), 'HEAD:refs/heads/new')).rejects.toThrow(/403/)
  })

  test('is read by pages of other origins, too', async () => {
    const url = `${codeUrl()}/info/refs?service=git-upload-pack`
    const preflight = await fetch(url, { method: 'OPTIONS' })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*')
    expect((await fetch(url)).headers.get('access-control-allow-origin')).toBe('*')
    // What is no repository is answered as ever.
    expect((await fetch(url.replace('demo%401', 'other'))).status).toBe(404)
    expect((await fetch(`${node.url}/`)).status).toBe(200)
  })

  test('is named in the announcement, after the fork', async () => {
    const [event] = await until(async () => {
      const found = await relays.query([{ kinds: [kinds.mirror] }])
      expect(found).toHaveLength(1)
      return found
    })
    expect(parseMirror(event!)).toMatchObject({
      ok: true,
      value: { code: `${publicUrl}/${npubEncode(maintainer.pubkey)}/demo%401.git` },
    })
  })

  test('costs nothing more once a client has gone away', async () => {
    const { port } = new URL(node.url)
    const path = `${new URL(codeUrl()).pathname}/git-upload-pack`
    const headers = { 'content-type': 'application/x-git-upload-pack-request', 'content-length': '1000' }
    const asking = request({ host: '127.0.0.1', port, path, method: 'POST', headers })
    asking.on('error', () => {})
    asking.write('0032want ')
    await new Promise((resolve) => asking.once('socket', (socket) => socket.once('connect', resolve)))
    asking.destroy()
    // A git that still ran would hold one of the few places; the count of answers cut off says that it ended.
    await until(async () => {
      const metrics = await (await fetch(`${node.url}/metrics`)).text()
      expect(metrics).toMatch(/understudy_git_cut_off_total\{[^}]*\} [1-9]/)
    })
  })

  test('is handed out at a measured pace: who asks too often waits', async () => {
    const url = `${codeUrl()}/info/refs?service=git-upload-pack`
    const statuses = new Set<number>()
    await until(async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(url)))
      for (const answer of answers) {
        statuses.add(answer.status)
        await answer.arrayBuffer()
      }
      expect([...statuses]).toContain(429)
    })
    // Others are not held up: pages come as ever.
    expect((await fetch(`${node.url}/`)).status).toBe(200)
  })
})

describe('the relay of a node', () => {
  /** One call of NIP-86, authorised as nostr-tools does it. */
  async function administer(signer: EventSigner, method: string, ...params: unknown[]) {
    const body = { method, params }
    const token = await nip98.getToken(
      publicUrl,
      'post',
      async (template) => signer.signEvent(template),
      true,
      body,
    )
    const response = await fetch(node.url, {
      method: 'POST',
      headers: { 'content-type': 'application/nostr+json+rpc', authorization: token },
      body: JSON.stringify(body),
    })
    return { status: response.status, ...((await response.json()) as { result?: unknown; error?: string }) }
  }

  test('is administered by the keys that its operator names, and by no others (NIP-86, NIP-98)', async () => {
    const information = await fetch(node.url, { headers: { accept: 'application/nostr+json' } })
    expect(await information.json()).toMatchObject({ supported_nips: expect.arrayContaining([77, 86, 98]) })
    const [attester, other] = attesters as [EventSigner, EventSigner]
    const own = openRelays([node.url.replace('http', 'ws')], { verify: await loadVerify() })
    const say = async (second: number) =>
      own.publish(
        await attester.signEvent({
          kind: kinds.relayList,
          created_at: Math.floor(Date.now() / 1000) - 100 + second,
          tags: [],
          content: '',
        }),
      )
    expect(await administer(other, 'stats')).toMatchObject({ status: 403 })
    expect(await administer(maintainer, 'banpubkey', attester.pubkey, 'a test')).toMatchObject({
      status: 200,
      result: true,
    })
    expect(await say(1)).toMatchObject({
      ok: false,
      refused: [{ reason: expect.stringContaining('banned') }],
    })
    expect(await administer(maintainer, 'unbanpubkey', attester.pubkey)).toMatchObject({ status: 200 })
    expect(await say(2)).toMatchObject({ ok: true })
    own.close()
    // The path stays closed to what is no such call.
    expect((await fetch(node.url, { method: 'POST' })).status).toBe(405)
  })
})
