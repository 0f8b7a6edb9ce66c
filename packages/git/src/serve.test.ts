import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SampleRepository, sampleRepository } from './sample.ts'
import { type GitHost, serveRepositories } from './serve.ts'

let source: SampleRepository
let root: string
let host: GitHost
let server: Server
let base: string

beforeAll(async () => {
  source = sampleRepository()
  source.commit({ 'index.html': 'hello' })
  root = mkdtempSync(join(tmpdir(), 'understudy-serve-'))
  source.push(root, 'app')
  host = serveRepositories({ root, maxRequestBytes: 10_000, maxConcurrent: 2 })
  server = createServer((req, res) => void host.handle(req, res))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(async () => {
  server.closeAllConnections()
  await host.close()
  server.close()
  source.remove()
  rmSync(root, { recursive: true, force: true })
})

const pack = (body: string, type = 'application/x-git-upload-pack-request') =>
  fetch(`${base}/app.git/git-upload-pack`, { method: 'POST', body, headers: { 'content-type': type } })

describe('a git host', () => {
  test.each([
    ['GET', '/', 404],
    ['GET', '/app.git', 404],
    ['GET', '/app.git/HEAD', 404],
    ['GET', '/app.git/objects/info/packs', 404],
    ['GET', '/other.git/info/refs?service=git-upload-pack', 404],
    ['GET', '/../app.git/info/refs?service=git-upload-pack&x', 200],
    ['GET', '/..%2f/info/refs?service=git-upload-pack', 404],
    ['GET', '/.git/info/refs?service=git-upload-pack', 404],
    ['GET', '/app.git/info/refs', 403],
    ['GET', '/app.git/info/refs?service=git-receive-pack', 403],
    ['POST', '/app.git/git-receive-pack', 403],
    ['POST', '/app.git/info/refs?service=git-upload-pack', 405],
    ['GET', '/app.git/git-upload-pack', 405],
  ])('answers %s %s with %i', async (method, path, status) => {
    expect((await fetch(base + path, { method })).status).toBe(status)
  })

  test('refuses another content type, and cuts off a request that is too large or nonsense', async () => {
    expect((await pack('0000', 'text/plain')).status).toBe(415)
    await expect(pack('0'.repeat(20_000)).then((r) => r.text())).rejects.toThrow()
    expect(
      await pack('nonsense').then(
        (r) => r.text(),
        () => '',
      ),
    ).toBe('')
    expect((await fetch(`${base}/app/info/refs?service=git-upload-pack`)).status).toBe(200)
  })

  test('advertises the branches', async () => {
    const response = await fetch(`${base}/app.git/info/refs?service=git-upload-pack`)
    expect(response.headers.get('content-type')).toBe('application/x-git-upload-pack-advertisement')
    expect(await response.text()).toContain(`${source.git('rev-parse', 'HEAD')} refs/heads/main`)
  })
})
