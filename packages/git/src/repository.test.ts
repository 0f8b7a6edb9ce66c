import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeManifest } from '@understudy/protocol/release'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashFiles } from './manifest.ts'
import { openObjects } from './objects.ts'
import { openRepository, prepareRepository } from './repository.ts'
import { type SampleForge, type SampleRepository, sampleForge, sampleRepository } from './sample.ts'

let forge: SampleForge
let source: SampleRepository
let home: string
const removals: (() => void)[] = []

const folder = () => {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-git-'))
  removals.push(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const open = async (name: string, dir = join(folder(), 'fork')) => {
  const opened = await openRepository({ dir, url: forge.urlOf(name), vantage: forge.vantage })
  if (!opened.ok) throw new Error(opened.reason)
  return opened.value
}

beforeAll(async () => {
  forge = await sampleForge()
  source = sampleRepository()
  home = folder()
})

afterAll(async () => {
  await forge.close()
  source.remove()
  for (const remove of removals) remove()
})

describe('a repository cloned over HTTP', () => {
  test('follows its source and gives up what the source gave up', async () => {
    const first = source.commit({ 'index.html': 'one', 'a/b.txt': 'b', 'a.txt': 'a' })
    source.push(forge.root, 'app')
    const fork = await open('app')
    expect(await fork.has(first)).toBe(true)
    expect(await fork.treeOf(first)).toBe(source.git('rev-parse', `${first}^{tree}`))
    expect(await fork.blobsOf(first)).toMatchObject({
      ok: true,
      value: [{ path: 'a.txt' }, { path: 'a/b.txt' }, { path: 'index.html' }],
    })

    const second = source.commit({ 'index.html': 'two' })
    expect(await fork.has(second)).toBe(false)
    source.push(forge.root, 'app')
    expect(await fork.fetch()).toEqual({ ok: true, value: undefined })
    expect(await fork.has(second)).toBe(true)

    source.git('reset', '--quiet', '--hard', first)
    source.push(forge.root, 'app')
    expect(await fork.fetch()).toMatchObject({ ok: true })
    expect(await fork.has(second)).toBe(false)
    expect(await fork.holds(second)).toBe(true)
    expect(await fork.has(first)).toBe(true)
  })

  test('of 1,200 files and one of 5 MB hashes to the manifest of its files', async () => {
    const big = sampleRepository()
    removals.push(big.remove)
    const files: Record<string, string | Uint8Array> = { 'big.bin': Buffer.alloc(5_000_000, 'understudy') }
    for (let i = 0; i < 1_200; i++) files[`d${i % 20}/f${i}.txt`] = `file ${i % 1000}`
    const commit = big.commit(files)
    big.push(forge.root, 'big')
    const fork = await open('big')
    const blobs = await fork.blobsOf(commit)
    if (!blobs.ok) throw new Error(blobs.reason)
    const objects = openObjects(fork.dir)
    const hashed = await hashFiles(blobs.value, objects)
    if (!hashed.ok) throw new Error(hashed.reason)
    const expected = Object.entries(files).map(([path, bytes]) => ({
      path: `/${path}`,
      sha256: sha256(bytes),
    }))
    expect(encodeManifest(hashed.value)).toEqual(encodeManifest(expected))
    expect((await objects.read(blobs.value[0]!.oid)).length).toBe(5_000_000)
    await objects.close()
  })

  test('may use SHA-256 object ids', async () => {
    const modern = sampleRepository('sha256')
    removals.push(modern.remove)
    const commit = modern.commit({ 'index.html': 'sha256' })
    expect(commit).toHaveLength(64)
    modern.push(forge.root, 'modern')
    const fork = await open('modern')
    expect(await fork.has(commit)).toBe(true)
    const blobs = await fork.blobsOf(commit)
    const objects = openObjects(fork.dir)
    const oid = blobs.ok ? blobs.value[0]!.oid : ''
    expect(Buffer.from(await objects.read(oid)).toString()).toBe('sha256')
    await objects.close()
  })

  test('clears away what a killed run left', async () => {
    const dir = join(folder(), 'fork')
    await open('app', dir)
    writeFileSync(join(dir, 'packed-refs.lock'), '')
    writeFileSync(join(dir, 'objects', 'pack', 'tmp_pack_x'), 'half')
    mkdirSync(`${dir}.partial-1234`)
    const again = await prepareRepository({ dir, url: forge.urlOf('app'), vantage: forge.vantage })
    expect(existsSync(join(dir, 'packed-refs.lock'))).toBe(false)
    expect(existsSync(join(dir, 'objects', 'pack', 'tmp_pack_x'))).toBe(false)
    expect(existsSync(`${dir}.partial-1234`)).toBe(false)
    expect(await again.fetch()).toMatchObject({ ok: true })
  })
})

describe('a clone that cannot be had', () => {
  const attempt = async (
    url: string,
    more: { maxBytes?: number; stallMs?: number; timeoutMs?: number } = {},
  ) => {
    const parent = folder()
    const opened = await openRepository({ dir: join(parent, 'fork'), url, vantage: forge.vantage, ...more })
    return { reason: opened.ok ? 'opened' : opened.reason, left: readdirSync(parent) }
  }

  test('names the reason and leaves nothing behind', async () => {
    expect(await attempt(forge.urlOf('absent'))).toEqual({
      reason: expect.stringMatching(/not found/),
      left: [],
    })
    expect(await attempt('file:///etc')).toEqual({ reason: expect.stringMatching(/file:\/\//), left: [] })
    expect(await attempt(`http://127.0.0.1:${forge.port}/app.git`)).toEqual({
      reason: expect.stringMatching(/not an IP address/),
      left: [],
    })
  })

  test('is stopped when the repository is too large', async () => {
    const heavy = sampleRepository()
    removals.push(heavy.remove)
    const noise = Buffer.alloc(3_000_000)
    for (let i = 0; i < noise.length; i += 32) createHash('sha256').update(`${i}`).digest().copy(noise, i)
    heavy.commit({ 'noise.bin': noise })
    heavy.push(forge.root, 'heavy')
    const { reason, left } = await attempt(forge.urlOf('heavy'), { maxBytes: 1_000_000 })
    expect(reason).toMatch(/larger than 1000000 bytes/)
    expect(left).toEqual([])
  })

  test('does not follow a redirect', async () => {
    const asked: string[] = []
    const server = createServer((req, res) => {
      asked.push(req.url ?? '')
      const path = (req.url ?? '').replace('/moved.git', '/app.git')
      res.writeHead(302, { location: `http://${forge.host}:${forge.port}${path}` }).end()
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const { port } = server.address() as AddressInfo
    const { reason } = await attempt(`http://${forge.host}:${port}/moved.git`)
    expect(reason).not.toBe('opened')
    expect(asked).toHaveLength(1)
    server.close()
  })

  test('gives up on a server that stays silent', async () => {
    const server = createServer(() => {})
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const { port } = server.address() as AddressInfo
    const { reason, left } = await attempt(`http://${forge.host}:${port}/app.git`, { stallMs: 500 })
    expect(reason).toMatch(/nothing received|too slow|transfer/i)
    expect(left).toEqual([])
    server.closeAllConnections()
    server.close()
  })

  test('runs nothing that its own or a hostile configuration names', async () => {
    const trap = join(home, 'sprung')
    const hook = join(home, 'hook')
    writeFileSync(hook, `#!/bin/sh\ntouch ${trap}\n`, { mode: 0o755 })
    writeFileSync(
      join(home, '.gitconfig'),
      `[core]\n\tsshCommand = ${hook}\n\tfsmonitor = ${hook}\n[credential]\n\thelper = ${hook}\n[init]\n\ttemplateDir = ${home}\n`,
    )
    const before = { ...process.env }
    Object.assign(process.env, {
      HOME: home,
      GIT_CONFIG_GLOBAL: join(home, '.gitconfig'),
      GIT_SSH_COMMAND: hook,
      GIT_ASKPASS: hook,
      GIT_PROXY_COMMAND: hook,
      GIT_DIR: '/nonexistent',
      http_proxy: 'http://127.0.0.1:9',
      ALL_PROXY: 'http://127.0.0.1:9',
    })
    try {
      const fork = await open('app')
      expect(await fork.fetch()).toMatchObject({ ok: true })
    } finally {
      for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
      Object.assign(process.env, before)
    }
    expect(existsSync(trap)).toBe(false)
  })
})

describe('maintenance', { timeout: 300_000 }, () => {
  const small = sampleRepository()
  afterAll(() => small.remove())

  test('gathers the packs of many fetches, drops no object, and disturbs no reader', async () => {
    small.commit({ 'index.html': 'kept' })
    small.push(forge.root, 'tidied')
    const fork = await open('tidied')
    const reader = openObjects(fork.dir)
    const commits: string[] = []
    for (let n = 0; n < 6; n++) {
      commits.push(small.commit({ 'index.html': `kept ${n}` }))
      small.push(forge.root, 'tidied')
      expect(await fork.fetch()).toMatchObject({ ok: true })
    }
    // A branch is moved away: what it led to stays, for it may be the release that is served.
    small.git('reset', '--quiet', '--hard', commits[0]!)
    small.push(forge.root, 'tidied')
    expect(await fork.fetch()).toMatchObject({ ok: true })
    const packs = () => readdirSync(join(fork.dir, 'objects/pack')).filter((name) => name.endsWith('.pack'))
    const before = packs().length
    expect(before).toBeGreaterThanOrEqual(6)
    const blobs = await Promise.all(commits.map((commit) => fork.blobsOf(commit)))
    // The small packs are gathered by one run and deleted by the next.
    for (let run = 0; run < 2; run++) expect(await fork.maintain()).toEqual({ ok: true, value: undefined })
    expect(packs().length).toBeLessThan(before)
    for (const [at, commit] of commits.entries()) {
      expect(await fork.holds(commit)).toBe(true)
      const listed = blobs[at]!
      if (!listed.ok) throw new Error(listed.reason)
      const index = listed.value.find(({ path }) => path === 'index.html')!
      expect(Buffer.from((await reader.read(index.oid))!).toString()).toBe(`kept ${at}`)
    }
    await reader.close()
    expect(await fork.fetch()).toMatchObject({ ok: true })
  })

  test('is not begun before there is anything, and ends when a fetch or its caller wants', async () => {
    const dir = join(folder(), 'fork')
    const fork = await prepareRepository({ dir, url: forge.urlOf('tidied'), vantage: forge.vantage })
    expect(await fork.maintain()).toMatchObject({ ok: false })
    expect(await fork.fetch()).toMatchObject({ ok: true })
    const stopping = new AbortController()
    stopping.abort()
    expect(await fork.maintain(stopping.signal)).toEqual({ ok: false, reason: 'stopped' })
    const [, fetched] = await Promise.all([fork.maintain(), fork.fetch()])
    expect(fetched).toMatchObject({ ok: true })
    expect(await fork.maintain()).toMatchObject({ ok: true })
  })
})
