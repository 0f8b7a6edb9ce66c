import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMetrics } from '@understudy/host/metrics'
import { encodeManifest, manifestPath } from '@understudy/protocol/release'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { buildApp } from './app.ts'
import { createFiles, type StoredFile } from './files.ts'
import { createListener } from './listener.ts'
import type { PreparedRelease } from './preparation.ts'
import { checkServed } from './readiness.ts'
import { createServe } from './serve.ts'
import { createSite, type Site } from './site.ts'

const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')
let dir: string
let site: Site
let server: Server
let url: string
let unready: string[]
let now: number
let errors: Error[]
/** Bytes by object id, which here is the beginning of their sha256. */
let objects: Map<string, Buffer>

/** A release of these files, those above 1,000 bytes laid out on disk. */
function releaseOf(seq: number, contents: Record<string, string>): PreparedRelease {
  const listed = Object.entries(contents).map(([path, text]): StoredFile => {
    const hash = sha256(text)
    objects.set(hash.slice(0, 40), Buffer.from(text))
    if (text.length > 1_000) writeFileSync(join(dir, hash), text)
    return { path, oid: hash.slice(0, 40), sha256: hash, size: text.length }
  })
  const manifest = new Uint8Array(encodeManifest(listed))
  const commit = String(seq).padStart(40, '0')
  const release = { seq, commit, entry: '/start.html', manifest: sha256(manifest), eventId: 'e'.repeat(64) }
  const files = new Map(listed.map((file) => [file.path, file]))
  return { release, event: {}, files, blobs: [], manifest } as unknown as PreparedRelease
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'understudy-app-'))
  mkdirSync(dir, { recursive: true })
  objects = new Map()
  unready = []
  errors = []
  now = 1_000_000
  site = createSite(() => now)
  const read = async (oid: string) => {
    const bytes = objects.get(oid)
    if (!bytes) throw new Error(`no object ${oid}`)
    return bytes
  }
  const onError = (error: Error) => errors.push(error)
  const files = createFiles({
    objects: { read, pour: async () => {} },
    dir,
    smallBytes: 1_000,
    memoryBytes: 1_000_000,
  })
  const serve = createServe(files, onError)
  const metrics = createMetrics('node')
  const own = buildApp({
    app: 'a'.repeat(64),
    coordinate: '30617:x:demo',
    nodeKey: 'b'.repeat(64),
    stx: 'ST000000000000000000002AMW42H',
    relayUrl: 'wss://mirror.example',
    version: '0.0.0',
    site,
    serve,
    desk: { answer: async () => ({ ok: false, code: 'too-many', message: 'slow down' }) },
    relay: { information: () => ({ name: 'relay' }) as never },
    metrics,
    unready: () => unready,
    senderOf: () => '',
    onError,
  })
  server = createServer(createListener({ site, serve, own, metrics, onError })).listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(async () => {
  server.closeAllConnections()
  await new Promise((closed) => server.close(closed))
  rmSync(dir, { recursive: true, force: true })
})

const get = (path: string, init: RequestInit = {}) => fetch(url + path, init)

describe('before a release is verified', () => {
  test('the process is healthy, but says that it is not ready and serves nothing', async () => {
    unready = ['no release is verified yet']
    expect((await get('/healthz')).status).toBe(200)
    const ready = await get('/readyz')
    expect([ready.status, await ready.json()]).toEqual([503, { ok: false, reasons: unready }])
    expect((await get('/')).status).toBe(503)
    const about = await (await get('/.well-known/understudy.json')).json()
    expect(about).toMatchObject({ commit: null, seq: null, relay: 'wss://mirror.example' })
  })
})

describe('with a release', () => {
  const page = '<!doctype html>one'
  const large = 'abcdefghij'.repeat(20_000)
  beforeEach(() =>
    site.switchTo(releaseOf(1, { '/start.html': page, '/large.txt': large, '/healthz': 'mine' })),
  )

  test('every kind of answer may be read by pages of other origins', async () => {
    const etag = `"${sha256(page)}"`
    const requests: [path: string, init: RequestInit, status: number][] = [
      ['/', {}, 200],
      ['/', { method: 'HEAD' }, 200],
      ['/', { headers: { 'if-none-match': etag } }, 304],
      ['/', { headers: { range: 'bytes=1-2' } }, 206],
      ['/', { headers: { range: 'bytes=99-' } }, 416],
      ['/large.txt', {}, 200],
      ['/none', {}, 404],
      ['/%', {}, 400],
      ['/', { method: 'POST' }, 405],
      ['/', { method: 'OPTIONS' }, 204],
      ['/readyz', {}, 200],
      ['/metrics', {}, 200],
      ['/.well-known/understudy.json', {}, 200],
      [manifestPath(site.current()!.release.manifest), {}, 200],
      ['/.well-known/understudy/challenge', { method: 'POST', body: '{}' }, 429],
    ]
    for (const [path, init, status] of requests) {
      const response = await get(path, init)
      expect([path, response.status]).toEqual([path, status])
      expect(response.headers.get('access-control-allow-origin'), path).toBe('*')
      expect(response.headers.get('x-content-type-options'), path).toBe('nosniff')
      await response.text()
    }
  })

  test('a file of the app comes before a path of the operator', async () => {
    expect(await (await get('/healthz')).text()).toBe('mine')
  })

  test('a range holds only for the file that the client has the beginning of', async () => {
    const headers = { range: 'bytes=5-9', 'if-range': `"${sha256(large)}"` }
    const part = await get('/large.txt', { headers })
    expect([part.status, await part.text()]).toEqual([206, 'fghij'])
    const other = await get('/large.txt', { headers: { ...headers, 'if-range': '"other"' } })
    expect([other.status, (await other.text()).length]).toEqual([200, large.length])
  })

  test('an answer that has begun is finished from the release that it began with', async () => {
    const [small, big] = await Promise.all([get('/start.html'), get('/large.txt')])
    site.switchTo(releaseOf(2, { '/start.html': 'two', '/large.txt': 'B'.repeat(200_000) }))
    expect(await small.text()).toBe(page)
    expect(sha256(await big.text())).toBe(sha256(large))
    expect(await (await get('/')).text()).toBe('two')
  })

  test('a page and what it loads come from one release, whatever is switched to meanwhile', async () => {
    const first = site.current()!.release.manifest
    const document = { 'sec-fetch-dest': 'document' }
    const cookieOf = (response: Response) => response.headers.get('set-cookie')?.split(';')[0] ?? ''
    const opened = await get('/', { headers: document })
    expect(opened.headers.get('x-understudy-release')).toBe(first)
    const cookie = cookieOf(opened)
    expect(cookie).toBe(`understudy-release=${first}`)

    for (let seq = 2; seq <= 4; seq++) {
      site.switchTo(releaseOf(seq, { '/start.html': `page ${seq}`, '/large.txt': `large ${seq}` }))
      const asset = await get('/large.txt', {
        headers: { cookie: `a=b; ${cookie}`, 'sec-fetch-dest': 'script' },
      })
      expect(sha256(await asset.text())).toBe(sha256(large))
      const named = await get('/start.html', { headers: { 'x-understudy-release': first } })
      expect(await named.text()).toBe(page)
      expect(await (await get('/large.txt')).text()).toBe(`large ${seq}`)
    }
    const again = await get('/', { headers: { ...document, cookie } })
    expect([await again.text(), cookieOf(again)]).toEqual([
      'page 4',
      `understudy-release=${site.current()!.release.manifest}`,
    ])
    // The page goes on loading, so that its release stays beyond the third.
    site.switchTo(releaseOf(5, { '/start.html': 'page 5' }))
    expect(await (await get('/large.txt', { headers: { cookie } })).text()).toBe(large)
    // Once it is older than that and in nobody's use it goes: rather no file than one of another release.
    now += 31_000
    site.switchTo(releaseOf(6, { '/start.html': 'page 6' }))
    for (const headers of [{ cookie }, { 'x-understudy-release': first }] as Record<string, string>[]) {
      const gone = await get('/large.txt', { headers })
      expect([gone.status, cookieOf(gone)]).toEqual([410, 'understudy-release='])
    }
    expect((await get('/', { headers: { ...document, cookie } })).status).toBe(200)
  })

  test('without fetch metadata the wish for HTML marks a page; a pin that stands is not set again', async () => {
    const html = { accept: 'text/html,*/*;q=0.8' }
    const opened = await get('/', { headers: html })
    const cookie = opened.headers.get('set-cookie')!.split(';')[0]!
    expect((await get('/', { headers: { ...html, cookie } })).headers.get('set-cookie')).toBeNull()
    expect((await get('/large.txt')).headers.get('set-cookie')).toBeNull()
    expect((await get('/', { headers: { cookie: 'understudy-release=nonsense' } })).status).toBe(200)
  })

  test('a release that is only staged is there for who names it, and for nobody else', async () => {
    const staged = releaseOf(2, { '/start.html': 'two' })
    site.stage(staged)
    const headers = { 'x-understudy-release': staged.release.manifest }
    expect(await (await get('/', { headers })).text()).toBe('two')
    expect(await (await get('/')).text()).toBe(page)
    expect(await checkServed(staged, 'named', { url, random: Math.random })).toBeUndefined()
    expect(await checkServed(staged, 'visitor', { url, random: Math.random })).toMatch(/another release/)
    site.stage(undefined)
    expect((await get('/', { headers })).status).toBe(410)
  })

  test('a release whose bytes are lost or not those that were signed is not ready', async () => {
    const bad = releaseOf(2, { '/start.html': 'two', '/large.txt': 'C'.repeat(3_000) })
    site.stage(bad)
    const check = () => checkServed(bad, 'named', { url, random: Math.random, sample: 20 })
    expect(await check()).toBeUndefined()
    writeFileSync(join(dir, sha256('C'.repeat(3_000))), 'D'.repeat(3_000))
    // What is in memory was verified; another node would begin without it.
    const listed = [...bad.files.values()].map(
      (file) => [file.path, { ...file, sha256: 'f'.repeat(64) }] as const,
    )
    site.stage({ ...bad, files: new Map(listed) })
    expect(await checkServed({ ...bad, files: new Map(listed) }, 'named', { url, random: Math.random })).toBe(
      '/ is answered with 500',
    )
  })

  test('the manifests of the newest few releases stay, older ones go', async () => {
    const paths = [manifestPath(site.current()!.release.manifest)]
    for (let seq = 2; seq <= 5; seq++) {
      now += 31_000
      site.switchTo(releaseOf(seq, { '/start.html': `release ${seq}` }))
      paths.push(manifestPath(site.current()!.release.manifest))
    }
    const statuses = await Promise.all(paths.map(async (path) => (await get(path)).status))
    expect(statuses).toEqual([404, 200, 200, 200, 200])
  })

  test('bytes that cannot be read are an error that says nothing of our insides', async () => {
    objects.clear()
    const response = await get('/')
    expect([response.status, await response.json()]).toEqual([
      500,
      { error: { code: 'internal', message: 'this node failed to answer' } },
    ])
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
    expect(errors).toHaveLength(1)
  })
})
