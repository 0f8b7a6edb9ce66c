import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { get } from 'node:https'
import { createSecureContext, type SecureContext } from 'node:tls'
// x509 finds its parts by decorators, which need this first.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { dial } from '@understudy/host/dial'
import type { Vantage } from '@understudy/host/vantage'
import type { BenchResult } from './result.ts'

const host = 'mirror.test'
const page = `<!doctype html><title>bench</title>${'<p>understudy</p>'.repeat(1_000)}`
const rounds = 16
const perSlice = 100
const concurrency = 8

/** Runs in a process of its own, so that only the prober's time counts: serves one page over HTTPS. */
const server = `
  import { createServer } from 'node:https'
  const { key, cert, page } = JSON.parse(await new Promise((done) => process.once('message', done)))
  const headers = { 'content-type': 'text/html', 'access-control-allow-origin': '*' }
  const server = createServer({ key, cert }, (_, res) => res.writeHead(200, headers).end(page))
  server.listen(0, '127.0.0.1', () => process.send(server.address().port))
  process.once('disconnect', () => process.exit(0))
`

async function certificate(): Promise<{ key: string; cert: string }> {
  x509.cryptoProvider.set(webcrypto as never)
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${host}`,
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 86_400_000),
    signingAlgorithm: algorithm,
    keys: keys as never,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: host }]),
    ],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return {
    key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----`,
    cert: cert.toString('pem'),
  }
}

/** Runs a task `perSlice` times, some at once; CPU-seconds that it took this process. */
async function slice(task: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  let left = perSlice
  const worker = async () => {
    while (left-- > 0) await task()
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

/** The floor: a GET on a fresh connection, its body read and thrown away. */
function bareGet(port: number, secureContext: SecureContext): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, servername: host, path: '/', agent: false, secureContext }
    get(options, (response) => {
      response.on('end', resolve).on('error', reject).resume()
    }).on('error', reject)
  })
}

/** Verified cold HTTPS probes per CPU-second: guarded dial, body hashed and compared. In turns with the floor, so that drift cancels. */
export async function bench(): Promise<BenchResult> {
  const { key, cert } = await certificate()
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', server], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  try {
    child.send(JSON.stringify({ key, cert, page }))
    const [port] = (await once(child, 'message')) as [number]
    const secureContext = createSecureContext({ ca: cert })
    const expected = createHash('sha256').update(page).digest('hex')
    const vantage: Vantage = {
      schemes: ['https:'],
      resolve: async () => ['127.0.0.1'],
      admit: (address) => address === '127.0.0.1',
      network: async () => 0,
    }
    const probe = async () => {
      const reply = await dial(`https://${host}:${port}/`, vantage, { secureContext })
      if (!reply.ok) throw new Error(`probe: ${reply.reason}`)
      if (createHash('sha256').update(reply.body).digest('hex') !== expected)
        throw new Error('probe: other bytes than were served')
    }
    const bare = () => bareGet(port, secureContext)
    await slice(probe)
    await slice(bare)
    let probing = 0
    let getting = 0
    for (let round = 0; round < rounds; round++) {
      const order = [() => slice(probe), () => slice(bare)]
      if (round % 2 === 0) {
        probing += await order[0]!()
        getting += await order[1]!()
      } else {
        getting += await order[1]!()
        probing += await order[0]!()
      }
    }
    const value = Math.round((rounds * perSlice) / probing)
    const floor = Math.round((rounds * perSlice) / getting)
    const ratio = Number((getting / probing).toFixed(3))
    const goal = 0.8
    const counts = { probes: rounds * perSlice, bytes: page.length }
    return {
      bench: 'probe',
      value,
      unit: 'probes per CPU-second',
      floor,
      ratio,
      goal,
      met: ratio >= goal,
      ...counts,
    }
  } finally {
    child.kill()
  }
}
