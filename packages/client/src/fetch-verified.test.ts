import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { afterEach, describe, expect, it } from 'vitest'
import { type FetchOptions, fetchVerified } from './fetch-verified.ts'
import { type Source, SourceHealth } from './source.ts'

const body = 'the lead is well tonight'
const hash = bytesToHex(sha256(utf8ToBytes(body)))
const servers: Server[] = []
const options: FetchOptions = {
  fetch,
  now: () => performance.now(),
  hedgeMs: 50,
  timeoutMs: 2_000,
  maxBytes: 1_000,
}

async function source(name: string, listener: RequestListener): Promise<Source> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { name, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

const genuine: RequestListener = (_, response) => response.end(body)
const tampering: RequestListener = (_, response) => response.end(`${body}!`)
const silent: RequestListener = () => {}
const endless: RequestListener = (request, response) => {
  const timer = setInterval(() => response.write('x'.repeat(400)), 1)
  request.once('close', () => clearInterval(timer))
}

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

describe('a verified fetch', () => {
  it('takes the bytes of the first source when they are genuine', async () => {
    const asked: string[] = []
    const master = await source('master', (request, response) => {
      asked.push(request.url ?? '')
      response.end(body)
    })
    const fetched = await fetchVerified([master], '/a b/ü.txt', hash, options)
    expect(fetched).toMatchObject({ ok: true, source: { name: 'master' } })
    expect(asked).toEqual(['/a%20b/%C3%BC.txt'])
  })

  it('passes over a tampering source, a dead one and one without the file', async () => {
    const dead = { name: 'dead', url: 'http://127.0.0.1:1' }
    const empty = await source('empty', (_, response) => response.writeHead(404).end())
    const sources = [await source('tampering', tampering), dead, empty, await source('good', genuine)]
    const failures: string[] = []
    const fetched = await fetchVerified(sources, '/index.html', hash, {
      ...options,
      onResult: (from, result) => {
        if (!result.ok) failures.push(`${from.name}: ${result.reason}`)
      },
    })
    expect(fetched).toMatchObject({ ok: true, source: { name: 'good' } })
    expect(failures.sort()).toEqual(['dead: network', 'empty: status', 'tampering: wrong-bytes'])
  })

  it('hedges: a silent source holds nobody up', async () => {
    const fetched = await fetchVerified(
      [await source('silent', silent), await source('good', genuine)],
      '/',
      hash,
      options,
    )
    expect(fetched).toMatchObject({ ok: true, source: { name: 'good' } })
  })

  it('says of every source why it failed when none is genuine', async () => {
    const sources = [
      await source('tampering', tampering),
      await source('endless', endless),
      await source('silent', silent),
    ]
    const fetched = await fetchVerified(sources, '/', hash, { ...options, timeoutMs: 300 })
    expect(fetched.ok).toBe(false)
    const reasons = fetched.ok ? [] : fetched.tried.map((t) => `${t.source.name}: ${t.reason}`)
    expect(reasons.sort()).toEqual(['endless: too-large', 'silent: timeout', 'tampering: wrong-bytes'])
  })

  it('answers at once when there is nobody to ask', async () => {
    expect(await fetchVerified([], '/', hash, options)).toEqual({ ok: false, tried: [] })
  })
})

describe('the order of sources', () => {
  const [master, near, far] = ['master', 'near', 'far'].map((name) => ({ name, url: `https://${name}` })) as [
    Source,
    Source,
    Source,
  ]
  const names = (health: SourceHealth, now: number) =>
    health.order([master, far, near], now).map((s) => s.name)

  it('begins with the master, then goes by how fast each answered', () => {
    const health = new SourceHealth()
    health.succeeded(far, 300)
    health.succeeded(near, 20)
    expect(names(health, 0)).toEqual(['master', 'near', 'far'])
  })

  it('rests the master after a failure, and comes back to it', () => {
    const health = new SourceHealth()
    health.failed(master, 'network', 0)
    expect(names(health, 1)[2]).toBe('master')
    expect(names(health, 15_001)[0]).toBe('master')
  })

  it('never comes back to one that sent wrong bytes while another is there', () => {
    const health = new SourceHealth()
    health.failed(near, 'wrong-bytes', 0)
    expect(names(health, Number.MAX_SAFE_INTEGER).at(-1)).toBe('near')
  })
})
