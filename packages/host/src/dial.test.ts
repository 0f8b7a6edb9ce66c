import { webcrypto } from 'node:crypto'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import { createSecureContext } from 'node:tls'
import { gzipSync } from 'node:zlib'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { afterEach, describe, expect, test } from 'vitest'
import { dial, openLine } from './dial.ts'
import { isPublicAddress, type Vantage } from './vantage.ts'

const servers: { close(): unknown; closeAllConnections?(): void }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections?.()
    server.close()
  }
})

/** Resolves as told and admits as told; counts what it was asked. */
class Standing implements Vantage {
  readonly schemes = ['http:', 'https:']
  readonly hosts: Readonly<Record<string, readonly string[]>>
  readonly admitted: readonly string[]
  resolved = 0

  constructor(hosts: Readonly<Record<string, readonly string[]>>, admitted: readonly string[]) {
    this.hosts = hosts
    this.admitted = admitted
  }

  async resolve(host: string) {
    this.resolved++
    return this.hosts[host] ?? []
  }
  admit(address: string) {
    return this.admitted.includes(address)
  }
  async network() {
    return 0
  }
}

const loopback = new Standing({ 'site.test': ['127.0.0.1'] }, ['127.0.0.1'])

async function serving(listener: RequestListener): Promise<number> {
  const server: Server = createServer(listener)
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return (server.address() as AddressInfo).port
}

describe('the guard', () => {
  const publicOnly: Vantage = {
    schemes: ['https:', 'wss:'],
    resolve: async (host) => ({ mixed: ['1.1.1.1', '10.0.0.1'], inner: ['192.168.1.1'] })[host] ?? [],
    admit: isPublicAddress,
    network: async () => 0,
  }
  test.each([
    ['not a url', 'bad-url'],
    ['http://1.1.1.1/', 'scheme'],
    ['file:///etc/passwd', 'scheme'],
    ['wss://1.1.1.1/', 'scheme'],
    ['https://user:pass@1.1.1.1/', 'credentials'],
    ['https://127.0.0.1/', 'not-admitted'],
    ['https://0x7f.1/', 'not-admitted'],
    ['https://2130706433/', 'not-admitted'],
    ['https://10.1.2.3/', 'not-admitted'],
    ['https://100.64.0.1/', 'not-admitted'],
    ['https://169.254.169.254/latest/meta-data', 'not-admitted'],
    ['https://[::1]/', 'not-admitted'],
    ['https://[::ffff:10.0.0.1]/', 'not-admitted'],
    ['https://[fd00::1]/', 'not-admitted'],
    ['https://[fe80::1]/', 'not-admitted'],
    ['https://[64:ff9b::a00:1]/', 'not-admitted'],
    ['https://inner/', 'not-admitted'],
    ['https://mixed/', 'not-admitted'],
    ['https://nowhere/', 'unresolved'],
  ])('refuses %s: %s', async (url, reason) => {
    expect(await dial(url, publicOnly, { timeoutMs: 1_000 })).toMatchObject({ ok: false, reason })
  })

  test('blames itself when its own resolver fails', async () => {
    const broken = { ...publicOnly, resolve: () => Promise.reject(new Error('SERVFAIL')) }
    expect(await dial('https://a.example/', broken)).toMatchObject({ ok: false, reason: 'own-dns' })
  })

  test('resolves a name once and dials what it checked', async () => {
    const port = await serving((_, res) => res.end('here'))
    const vantage = new Standing({ 'site.test': ['127.0.0.1'] }, ['127.0.0.1'])
    const reply = await dial(`http://site.test:${port}/`, vantage)
    expect(reply).toMatchObject({ ok: true, address: '127.0.0.1', status: 200 })
    expect(vantage.resolved).toBe(1)
  })

  test('guards every hop of a redirect', async () => {
    const inside = await serving((_, res) => res.end('secret'))
    const port = await serving((req, res) => {
      if (req.url === '/') res.writeHead(302, { location: '/next' }).end()
      else if (req.url === '/next') res.writeHead(302, { location: `http://inside.test:${inside}/` }).end()
    })
    const vantage = new Standing({ 'site.test': ['127.0.0.1'], 'inside.test': ['127.0.0.2'] }, ['127.0.0.1'])
    const reply = await dial(`http://site.test:${port}/`, vantage)
    expect(reply).toMatchObject({ ok: false, reason: 'not-admitted', address: '127.0.0.2' })
  })

  test('gives up a redirect loop', async () => {
    const port = await serving((_, res) => res.writeHead(302, { location: '/' }).end())
    expect(await dial(`http://site.test:${port}/`, loopback)).toMatchObject({ reason: 'redirects' })
  })
})

describe('an exchange', () => {
  test('says how long each phase took', async () => {
    const port = await serving((_, res) => setTimeout(() => res.end('slow'), 60))
    const reply = await dial(`http://site.test:${port}/`, loopback)
    if (!reply.ok) throw new Error(reply.reason)
    expect(reply.phases.firstByte).toBeGreaterThan(50)
    expect(reply.phases.tls).toBe(0)
    expect(new TextDecoder().decode(reply.body)).toBe('slow')
  })

  test('stops at its size limit, compressed or not', async () => {
    const bomb = gzipSync(Buffer.alloc(5_000_000))
    const port = await serving((req, res) => {
      if (req.url === '/bomb') res.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb)
      else res.end(Buffer.alloc(200_000))
    })
    const limited = (path: string) => dial(`http://site.test:${port}${path}`, loopback, { maxBytes: 100_000 })
    expect(await limited('/bomb')).toMatchObject({ ok: false, reason: 'too-large' })
    expect(await limited('/')).toMatchObject({ ok: false, reason: 'too-large' })
  })

  test('ends at its deadline while a server drips', async () => {
    const port = await serving((_, res) => {
      const drip = setInterval(() => res.write('.'), 10)
      res.on('close', () => clearInterval(drip))
    })
    expect(await dial(`http://site.test:${port}/`, loopback, { timeoutMs: 150 })).toMatchObject({
      ok: false,
      reason: 'timeout',
    })
  })

  test('tells a closed port from a broken answer', async () => {
    const garbage = createTcpServer((socket) => {
      socket.on('error', () => {}).resume()
      socket.end('SSH-2.0-OpenSSH\r\n\r\n')
    })
    servers.push(garbage)
    await new Promise<void>((done) => garbage.listen(0, '127.0.0.1', done))
    const { port } = garbage.address() as AddressInfo
    expect(await dial(`http://site.test:${port}/`, loopback)).toMatchObject({ reason: 'bad-response' })
    expect(await dial(`https://site.test:${port}/`, loopback)).toMatchObject({ reason: 'tls' })
    garbage.close()
    await new Promise((done) => garbage.once('close', done))
    expect(await dial(`http://site.test:${port}/`, loopback)).toMatchObject({ reason: 'refused' })
  })

  test('asks several times over one connection, and opens no other', async () => {
    let connections = 0
    const port = await serving((req, res) => {
      if (req.url === '/last') res.setHeader('connection', 'close')
      res.end(req.url)
    })
    ;(servers.at(-1) as Server).on('connection', () => connections++)
    const line = await openLine(`http://site.test:${port}/`, loopback)
    if (!line.ok) throw new Error(line.reason)
    for (const path of ['/a', '/b', '/last'])
      expect(await line.request(path)).toMatchObject({ ok: true, status: 200 })
    expect(await line.request('/more')).toMatchObject({ ok: false, reason: 'reset' })
    expect(connections).toBe(1)
    line.close()
  })

  test('leaves from the address that it is told', async () => {
    let from = ''
    const port = await serving((req, res) => {
      from = req.socket.remoteAddress ?? ''
      res.end()
    })
    await dial(`http://site.test:${port}/`, loopback, { localAddress: '127.0.0.5' })
    expect(from).toBe('127.0.0.5')
  })
})

describe('TLS', () => {
  const day = 86_400_000
  x509.cryptoProvider.set(webcrypto as never)

  async function servingTls(names: x509.JsonGeneralNames, notAfter: Date) {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const cert = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: 'CN=site.test',
      notBefore: new Date(Date.now() - 10 * day),
      notAfter,
      signingAlgorithm: algorithm,
      keys: keys as never,
      extensions: [new x509.BasicConstraintsExtension(true), new x509.SubjectAlternativeNameExtension(names)],
    })
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
    const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----`
    const server = createTlsServer({ key, cert: cert.toString('pem') }, (_, res) => res.end('safe'))
    servers.push(server)
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    return {
      port: (server.address() as AddressInfo).port,
      secureContext: createSecureContext({ ca: cert.toString('pem') }),
    }
  }
  const later = () => new Date(Date.now() + day)

  test('takes a certificate that is trusted, in time, and for the host', async () => {
    const { port, secureContext } = await servingTls([{ type: 'dns', value: 'site.test' }], later())
    const reply = await dial(`https://site.test:${port}/`, loopback, { secureContext })
    expect(reply).toMatchObject({ ok: true, status: 200 })
    expect(reply.ok && reply.phases.tls).toBeGreaterThan(0)
  })

  test('takes one for an IP literal only when it names the address', async () => {
    const named = await servingTls([{ type: 'ip', value: '127.0.0.1' }], later())
    expect(await dial(`https://127.0.0.1:${named.port}/`, loopback, named)).toMatchObject({ ok: true })
    const other = await servingTls([{ type: 'dns', value: 'site.test' }], later())
    expect(await dial(`https://127.0.0.1:${other.port}/`, loopback, other)).toMatchObject({ reason: 'tls' })
  })

  test.each([
    ['another host', 'other.test'],
    ['a host below it', 'a.site.test'],
    ['a wildcard above it', '*.site.test'],
  ])('refuses one for %s, whatever its common name says', async (_, value) => {
    const { port, secureContext } = await servingTls([{ type: 'dns', value }], later())
    const reply = await dial(`https://site.test:${port}/`, loopback, { secureContext })
    expect(reply).toMatchObject({ ok: false, reason: 'tls', code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  test('refuses one that has expired, and one that nobody vouches for', async () => {
    const names: x509.JsonGeneralNames = [{ type: 'dns', value: 'site.test' }]
    const expired = await servingTls(names, new Date(Date.now() - day))
    expect(await dial(`https://site.test:${expired.port}/`, loopback, expired)).toMatchObject({
      reason: 'tls',
      code: 'CERT_HAS_EXPIRED',
    })
    const { port } = await servingTls(names, later())
    expect(await dial(`https://site.test:${port}/`, loopback)).toMatchObject({
      reason: 'tls',
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    })
  })
})
