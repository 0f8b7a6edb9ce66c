import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HashedFile } from '@understudy/git/manifest'
import { createMetrics } from '@understudy/host/metrics'
import { encodeManifest, manifestPath } from '@understudy/protocol/release'
import type { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { buildApp } from './app.ts'
import { createFiles } from './files.ts'
import type { PreparedRelease } from './preparation.ts'
import { createSite, type Site } from './site.ts'

const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')
let dir: string
let site: Site
let app: Hono
let unready: string[]
let errors: Error[]
/** Bytes by object id, which here is the beginning of their sha256. */
let objects: Map<string, Buffer>

/** A release of these files, those above 1,000 bytes laid out on disk. */
function releaseOf(seq: number, contents: Record<string, string>): PreparedRelease {
  const listed = Object.entries(contents).map(([path, text]): HashedFile => {
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

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'understudy-app-'))
  mkdirSync(dir, { recursive: true })
  objects = new Map()
  unready = []
  errors = []
  site = createSite()
  const read = async (oid: string) => {
    const bytes = objects.get(oid)
    if (!bytes) throw new Error(`no object ${oid}`)
    return bytes
  }
  app = buildApp({
    app: 'a'.repeat(64),
    coordinate: '30617:x:demo',
    nodeKey: 'b'.repeat(64),
    stx: 'ST000000000000000000002AMW42H',
    relayUrl: 'wss://mirror.example',
    version: '0.0.0',
    site,
    files: createFiles({
      objects: { read, pour: async () => {}, close: async () => {} },
      dir,
      smallBytes: 1_000,
    }),
    desk: { answer: async () => ({ ok: false, code: 'too-many', message: 'slow down' }) },
    relay: { information: () => ({ name: 'relay' }) as never },
    metrics: createMetrics('node'),
    unready: () => unready,
    senderOf: () => '',
    onError: (error) => errors.push(error),
  })
})

afterEach(() => rmSync(dir, { recursive: true, force: true }))

describe('before a release is verified', () => {
  test('the process is healthy, but says that it is not ready and serves nothing', async () => {
    unready = ['no release is verified yet']
    expect((await app.request('/healthz')).status).toBe(200)
    const ready = await app.request('/readyz')
    expect([ready.status, await ready.json()]).toEqual([503, { ok: false, reasons: unready }])
    expect((await app.request('/')).status).toBe(503)
    const about = await (await app.request('/.well-known/understudy.json')).json()
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
      const response = await app.request(path, init)
      expect([path, response.status]).toEqual([path, status])
      expect(response.headers.get('access-control-allow-origin'), path).toBe('*')
      expect(response.headers.get('x-content-type-options'), path).toBe('nosniff')
      await response.text()
    }
  })

  test('a file of the app comes before a path of the operator', async () => {
    expect(await (await app.request('/healthz')).text()).toBe('mine')
  })

  test('a range holds only for the file that the client has the beginning of', async () => {
    const headers = { range: 'bytes=5-9', 'if-range': `"${sha256(large)}"` }
    const part = await app.request('/large.txt', { headers })
    expect([part.status, await part.text()]).toEqual([206, 'fghij'])
    const other = await app.request('/large.txt', { headers: { ...headers, 'if-range': '"other"' } })
    expect([other.status, (await other.text()).length]).toEqual([200, large.length])
  })

  test('an answer that has begun is finished from the release that it began with', async () => {
    const [small, big] = await Promise.all([app.request('/start.html'), app.request('/large.txt')])
    site.switchTo(releaseOf(2, { '/start.html': 'two', '/large.txt': 'B'.repeat(200_000) }))
    expect(await small.text()).toBe(page)
    expect(sha256(await big.text())).toBe(sha256(large))
    expect(await (await app.request('/')).text()).toBe('two')
  })

  test('the manifests of the newest few releases stay, older ones go', async () => {
    const paths = [manifestPath(site.current()!.release.manifest)]
    for (let seq = 2; seq <= 5; seq++) {
      site.switchTo(releaseOf(seq, { '/start.html': `release ${seq}` }))
      paths.push(manifestPath(site.current()!.release.manifest))
    }
    const statuses = await Promise.all(paths.map(async (path) => (await app.request(path)).status))
    expect(statuses).toEqual([404, 200, 200, 200, 200])
  })

  test('bytes that cannot be read are an error that says nothing of our insides', async () => {
    objects.clear()
    const response = await app.request('/')
    expect([response.status, await response.json()]).toEqual([
      500,
      { error: { code: 'internal', message: 'this node failed to answer' } },
    ])
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
    expect(errors).toHaveLength(1)
  })
})
