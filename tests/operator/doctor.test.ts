import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, request, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createStacksClient } from '@understudy/chain/client'
import { contractNames } from '@understudy/chain/contracts'
import { addressOf, confirmed, deployContract, submit, transfer } from '@understudy/chain/transactions'
import { getPublicKey } from 'nostr-tools/pure'
import { freeBytes } from 'understudy/disk'
import { understudy } from 'understudy/understudy'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { devnetKey } from '../browser/network.ts'
import { type RunningProgram, startProgram } from '../browser/program.ts'
import { type Authority, type Certificate, createAuthority, selfSigned } from './certificates.ts'

const folder = mkdtempSync(join(tmpdir(), 'understudy-doctor-'))
const running: RunningProgram[] = []
const proxies: Server[] = []
/** The environment of a set-up in which everything is as it should be. */
let good: Record<string, string>
let strangerRelay: string
let mainnet: string
let node: URL
let authority: Authority
/** A name of this machine. */
const secure = 'secure.understudy.test'

async function start(...program: Parameters<typeof startProgram>): Promise<RunningProgram> {
  const started = await startProgram(...program)
  running.push(started)
  return started
}

/** Runs a command in this process. */
async function run(env: Record<string, string>, args: readonly string[], now = Date.now, free = freeBytes) {
  const out: string[] = []
  const err: string[] = []
  const say = (line: string) => void err.push(line)
  const code = await understudy([...args, '--json'], {
    env,
    cwd: folder,
    now,
    freeBytes: free,
    say,
    print: (text) => out.push(text),
  })
  return { code, err: err.join('\n'), data: JSON.parse(out.join('\n') || '{}') }
}

async function done(env: Record<string, string>, ...args: string[]) {
  const { code, err, data } = await run(env, args)
  expect(code, `${args.join(' ')}: ${err}`).toBe(0)
  return data
}

interface Row {
  readonly check: string
  readonly state: string
  readonly detail: string
  readonly fix?: string
}

/** What doctor finds wrong when the good set-up is changed in one thing. */
async function faultsWith(change: Record<string, string>, now = Date.now, free = freeBytes) {
  const { code, data } = await run({ ...good, ...change }, ['doctor'], now, free)
  const faults = (data.checks as Row[]).filter(({ state }) => state === 'fault')
  expect(code).toBe(faults.length > 0 ? 1 : 0)
  for (const { fix } of faults) expect(fix).toBeTruthy()
  return faults
}

/** The names of the faults, in order. */
const named = (faults: readonly Row[]) => faults.map(({ check }) => check)

/** A proxy before the node, which does to answers what the test wants; with a certificate, one that ends TLS. */
async function proxy(
  change: (headers: Record<string, unknown>) => void,
  upgrade: boolean,
  certificate?: Certificate,
): Promise<string> {
  const handle: RequestListener = (incoming, answer) => {
    const { method, url, headers } = incoming
    const onward = request({ host: node.hostname, port: node.port, method, path: url, headers }, (reply) => {
      change(reply.headers)
      answer.writeHead(reply.statusCode ?? 502, reply.headers)
      reply.pipe(answer)
    })
    onward.on('error', () => answer.destroy())
    incoming.pipe(onward)
  }
  const server = certificate ? createTlsServer(certificate, handle) : createServer(handle)
  server.on('upgrade', (incoming, socket) => {
    if (!upgrade) return socket.destroy()
    const onward = connect(Number(node.port), node.hostname, () => {
      const lines = [`GET ${incoming.url} HTTP/1.1`]
      for (let at = 0; at < incoming.rawHeaders.length; at += 2)
        lines.push(`${incoming.rawHeaders[at]}: ${incoming.rawHeaders[at + 1]}`)
      onward.write(`${lines.join('\r\n')}\r\n\r\n`)
      onward.pipe(socket)
      socket.pipe(onward)
    })
    onward.on('error', () => socket.destroy())
    socket.on('error', () => onward.destroy())
  })
  proxies.push(server)
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  return certificate ? `https://${secure}:${port}` : `http://127.0.0.1:${port}`
}

/** Runs doctor in a process of its own, which trusts the authority of this test. */
async function trustingDoctor(change: Record<string, string>): Promise<{ ok: boolean; checks: Row[] }> {
  const pem = join(folder, 'authority.pem')
  writeFileSync(pem, authority.pem)
  const env = { PATH: process.env.PATH, ...good, ...change, NODE_EXTRA_CA_CERTS: pem }
  const main = fileURLToPath(new URL('../../cli/dist/main.js', import.meta.url))
  const stdout = await new Promise<string>((done) =>
    execFile(process.execPath, [main, 'doctor', '--json'], { cwd: folder, env }, (_, out) => done(out)),
  )
  return JSON.parse(stdout)
}

/** Asks until it holds. */
async function eventually(holds: () => Promise<boolean>, ms = 60_000): Promise<void> {
  for (const until = performance.now() + ms; !(await holds().catch(() => false)); ) {
    if (performance.now() > until) throw new Error(`still not so: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

/** A port that nothing listens on just now. */
async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return port
}

const git = (cwd: string, ...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=M', '-c', 'user.email=m@example.com', ...args], {
    cwd,
    encoding: 'utf8',
  })

const checkout = join(folder, 'checkout')
const forge = join(folder, 'forge')
let maintainer: Record<string, string>

beforeAll(async () => {
  chmodSync(folder, 0o700)
  authority = await createAuthority()
  mkdirSync(checkout)
  mkdirSync(forge)
  const here = { HOST: '127.0.0.1', PORT: '0' }
  const [devnet, relay, other, host] = await Promise.all([
    start('local/devnet/dist/main.js', ['--port', '0', '--burn-interval', '250'], {}),
    start('node/dist/relay/main.js', [], { ...here, DATA_DIR: join(folder, 'relay') }),
    start('node/dist/relay/main.js', [], { ...here, DATA_DIR: join(folder, 'other') }),
    start('local/localnet/dist/forge/main.js', [forge], here),
  ])
  strangerRelay = other.url.replace('http', 'ws')
  const client = createStacksClient({ url: devnet.url })
  const { chainId } = await client.info()
  const rich = devnetKey('deployer')
  const deployer = addressOf(rich, chainId)
  let nonce = 0n
  for (const name of contractNames) {
    const source = readFileSync(new URL(`../../contracts/${name}.clar`, import.meta.url), 'utf8')
    const signed = await deployContract(name, source, {
      privateKey: rich,
      nonce: nonce++,
      fee: 1_000_000n,
      chainId,
    })
    expect(await submit(client, signed)).toMatchObject({ ok: true })
  }
  writeFileSync(
    join(folder, 'places.json'),
    JSON.stringify({
      places: [{ name: 'A', network: 64501, latitude: 50, longitude: 8, addresses: ['127.0.0.1'] }],
      hosts: { 'forge.understudy.test': '127.0.0.1', [secure]: '127.0.0.1' },
    }),
  )
  const network = {
    STACKS_API_URL: devnet.url,
    DEPLOYER: deployer,
    RELAYS: relay.url.replace('http', 'ws'),
    PLACES_FILE: join(folder, 'places.json'),
  }
  maintainer = { ...network, UNDERSTUDY_KEYS: join(folder, 'maintainer') }
  const operator = { ...network, UNDERSTUDY_KEYS: join(folder, 'operator') }
  const keys = await done(maintainer, 'keys', 'new')
  const wallet = await done(operator, 'keys', 'new')
  mainnet = wallet.mainnet
  for (const to of [keys.testnet, wallet.testnet]) {
    const signed = await transfer(to, 1_000_000_000n, {
      privateKey: rich,
      nonce: nonce++,
      fee: 1_000n,
      chainId,
    })
    expect(await submit(client, signed)).toMatchObject({ ok: true })
    expect(await confirmed(client, signed.txid, { intervalMs: 100 })).toMatchObject({ ok: true })
  }
  const attester = getPublicKey(Buffer.from('a1'.repeat(32), 'hex'))
  const registered = await done(
    maintainer,
    ...['app', 'register', '--id', 'playbill', '--budget', '10stx', '--attesters', attester],
    ...['--levels', 'network', '--start', '+4000'],
  )

  git(checkout, 'init', '--quiet', '--initial-branch', 'main')
  writeFileSync(join(checkout, 'index.html'), '<h1>Tonight</h1>')
  git(checkout, 'add', '--all')
  git(checkout, 'commit', '--quiet', '-m', 'Open')
  git(forge, 'clone', '--quiet', '--bare', checkout, 'fork.git')
  await done(maintainer, 'release', '--app', registered.coordinate, '--repo', checkout)

  const port = await closedPort()
  const publicUrl = `http://127.0.0.1:${port}`
  good = {
    ...operator,
    APP: registered.coordinate,
    REPOSITORY_URL: `http://forge.understudy.test:${new URL(host.url).port}/fork.git`,
    PUBLIC_URL: publicUrl,
    STX_ADDRESS: wallet.testnet,
    DATA_DIR: join(folder, 'node'),
    HOST: '127.0.0.1',
    PORT: String(port),
  }
  const started = await start('cli/dist/main.js', ['node'], good)
  node = new URL(started.url)
  await eventually(async () => (await fetch(`${publicUrl}/readyz`)).ok)
}, 300_000)

afterAll(async () => {
  for (const server of proxies) server.close(() => {}).closeAllConnections()
  for (const program of running.toReversed()) await program.stop()
  rmSync(folder, { recursive: true, force: true })
}, 300_000)

describe('a set-up without a fault', { timeout: 300_000 }, () => {
  test('that is not registered yet is told to register, and to nothing else', async () => {
    await eventually(async () => named(await faultsWith({})).join() === 'mirror')
    expect((await faultsWith({}))[0]!.fix).toBe('understudy mirror register')
    expect(await done(good, 'mirror', 'register', '--bond', '200stx')).toMatchObject({ mirror: 1 })
  })

  test('raises no alarm, three times over, and every check was made', async () => {
    for (const _ of [1, 2, 3]) {
      const { ok, checks } = await done(good, 'doctor')
      expect(ok).toBe(true)
      expect(checks.map(({ state }: Row) => state)).toEqual(checks.map(() => 'ok'))
      expect(checks.length).toBeGreaterThanOrEqual(18)
    }
  })
})

describe('a set-up with one fault is told which', { timeout: 300_000 }, () => {
  const nowhere = { PUBLIC_URL: 'http://mirror.understudy.test' }

  test('configuration: a variable is missing', async () => {
    const [fault] = await faultsWith({ STX_ADDRESS: '' })
    expect(fault).toMatchObject({ check: 'configuration' })
    expect(fault!.detail).toMatch(/STX_ADDRESS: is missing/)
  })

  test('folder: the state folder is a file', async () => {
    writeFileSync(join(folder, 'file'), '')
    expect(named(await faultsWith({ DATA_DIR: join(folder, 'file') }))).toEqual(['folder'])
  })

  test('disk: it is full', async () => {
    expect(named(await faultsWith({}, Date.now, async () => 1_000_000))).toEqual(['disk'])
  })

  test('key: others can read it', async () => {
    const file = join(good.DATA_DIR!, 'node.key')
    chmodSync(file, 0o644)
    const faults = await faultsWith({}).finally(() => chmodSync(file, 0o600))
    expect(faults).toEqual([expect.objectContaining({ check: 'key', fix: `chmod 600 ${file}` })])
  })

  test('node: its key is not the one in the state folder', async () => {
    mkdirSync(join(folder, 'elsewhere'))
    writeFileSync(join(folder, 'elsewhere', 'node.key'), 'ab'.repeat(32), { mode: 0o600 })
    expect(named(await faultsWith({ DATA_DIR: join(folder, 'elsewhere') }))).toEqual(['node'])
  })

  test('git: it is not installed', async () => {
    const env = { ...good, PATH: '/nonexistent' }
    const cli = ['cli/dist/main.js', 'doctor', '--json']
    const root = new URL('../../', import.meta.url)
    const { stdout } = spawnSync(process.execPath, cli, { cwd: root, env, encoding: 'utf8' })
    const { checks } = JSON.parse(stdout) as { checks: Row[] }
    expect(named(checks.filter(({ state }) => state === 'fault'))).toEqual(['git'])
  })

  test('chain: its API does not answer', async () => {
    const faults = await faultsWith({ STACKS_API_URL: `http://127.0.0.1:${await closedPort()}` })
    expect(named(faults)).toEqual(['chain'])
  })

  test('contracts: somebody else is named as their deployer', async () => {
    expect(named(await faultsWith({ DEPLOYER: good.STX_ADDRESS! }))).toEqual(['contracts'])
  })

  test('app: it is not registered', async () => {
    const faults = await faultsWith({ APP: `30617:${'c'.repeat(64)}:playbill` })
    expect(named(faults)).toEqual(['app', 'node'])
  })

  test('clock: it is ten minutes ahead', async () => {
    const [fault, ...others] = await faultsWith({}, () => Date.now() + 600_000)
    expect(fault).toMatchObject({ check: 'clock' })
    const seconds = Number(/is (\d+) s ahead/.exec(fault!.detail)?.[1])
    expect(Math.abs(seconds - 600)).toBeLessThan(30)
    expect(others).toEqual([])
  })

  test('wallet: it is of another network, or mistyped', async () => {
    expect(named(await faultsWith({ STX_ADDRESS: mainnet }))).toEqual(['wallet', 'node'])
    const typo = good.STX_ADDRESS!.replace(/.$/, (last) => (last === '0' ? '1' : '0'))
    expect((await faultsWith({ STX_ADDRESS: typo }))[0]).toMatchObject({ check: 'wallet' })
  })

  test('repository: the fork is not there', async () => {
    const url = good.REPOSITORY_URL!.replace('fork', 'typo')
    expect(named(await faultsWith({ REPOSITORY_URL: url }))).toEqual(['repository'])
    const ssh = await faultsWith({ REPOSITORY_URL: 'git@forge.understudy.test:fork.git' })
    expect(named(ssh)).toEqual(['repository'])
  })

  test('dns: the name has no address', async () => {
    const faults = await faultsWith(nowhere)
    expect(named(faults)).toEqual(['dns'])
    expect(faults[0]!.fix).toContain('add an A or AAAA record for mirror.understudy.test')
  })

  test('address: attesters do not dial it', async () => {
    const { port } = node
    expect(named(await faultsWith({ PUBLIC_URL: `http://192.168.1.7:${port}` }))).toEqual(['address'])
  })

  test('reach: nothing listens there', async () => {
    expect(named(await faultsWith({ PUBLIC_URL: `http://127.0.0.1:${await closedPort()}` }))).toEqual([
      'reach',
    ])
  })

  test('tls: there is none', async () => {
    const [fault, ...others] = await faultsWith({ PUBLIC_URL: good.PUBLIC_URL!.replace('http', 'https') })
    expect(fault).toMatchObject({ check: 'tls', detail: expect.stringContaining('does not speak TLS') })
    expect(fault!.fix).toContain('Caddy')
    expect(others).toEqual([])
  })

  test.each([
    ['is self-signed', /is self-signed/, () => selfSigned(secure)],
    ['has expired', /has expired/, () => authority.issue(secure, -1)],
    ['is for another name', /is not for secure/, () => authority.issue('other.understudy.test', 30)],
  ])('tls: the certificate %s', async (_, words, certificate) => {
    const PUBLIC_URL = await proxy(() => {}, true, await certificate())
    const { checks } = await trustingDoctor({ PUBLIC_URL })
    const faults = checks.filter(({ state }) => state === 'fault')
    expect(faults).toEqual([
      {
        check: 'tls',
        state: 'fault',
        detail: expect.stringMatching(words),
        fix: expect.stringContaining('Caddy'),
      },
    ])
  })

  test('tls: nobody vouches for who signed the certificate', async () => {
    const PUBLIC_URL = await proxy(() => {}, true, await authority.issue(secure, 30))
    // Without that authority's certificate, as every visitor is.
    const [fault] = await faultsWith({ PUBLIC_URL })
    expect(fault).toMatchObject({
      check: 'tls',
      detail: expect.stringContaining('nobody whom browsers trust'),
    })
    expect(fault!.fix).toContain('fullchain.pem')
  })

  test('and none behind a proxy with a good certificate, once the chain names that address', async () => {
    const PUBLIC_URL = await proxy(() => {}, true, await authority.issue(secure, 30))
    const key = getPublicKey(
      Buffer.from(readFileSync(join(good.DATA_DIR!, 'node.key'), 'utf8').trim(), 'hex'),
    )
    await done(good, 'mirror', 'register', '--endpoint', PUBLIC_URL, '--node-key', key)
    try {
      const { ok, checks } = await trustingDoctor({ PUBLIC_URL })
      expect(checks.filter(({ state }) => state !== 'ok')).toEqual([])
      expect(ok).toBe(true)
    } finally {
      await done(good, 'mirror', 'register')
    }
  })

  test('port: another program has it', async () => {
    const { port } = new URL(good.RELAYS!)
    expect(named(await faultsWith({ PORT: port }))).toEqual(['port'])
  })

  test('node: something else answers', async () => {
    const url = good.REPOSITORY_URL!.replace('forge.understudy.test', '127.0.0.1')
    expect(named(await faultsWith({ PUBLIC_URL: new URL(url).origin }))).toEqual(['node'])
  })

  test('cors: a proxy drops the header', async () => {
    const PUBLIC_URL = await proxy((headers) => delete headers['access-control-allow-origin'], true)
    expect(named(await faultsWith({ PUBLIC_URL }))).toEqual(['cors', 'mirror'])
  })

  test('websocket: a proxy does not pass it on', async () => {
    const PUBLIC_RELAY_URL = (await proxy(() => {}, false)).replace('http', 'ws')
    expect(named(await faultsWith({ PUBLIC_RELAY_URL }))).toEqual(['websocket'])
  })

  test('mirror: the chain names another endpoint', async () => {
    const PUBLIC_URL = await proxy(() => {}, true)
    expect(named(await faultsWith({ PUBLIC_URL }))).toEqual(['mirror'])
  })

  test('relays: one cannot be reached', async () => {
    const gone = `ws://127.0.0.1:${await closedPort()}`
    const faults = await faultsWith({ RELAYS: `${good.RELAYS},${gone}` })
    expect(named(faults)).toEqual(['relays'])
    expect(faults[0]!.detail).toContain(gone)
  })

  test('announcement: a relay does not take what the node writes', async () => {
    const faults = await faultsWith({ RELAYS: `${good.RELAYS},${strangerRelay}` })
    expect(named(faults)).toEqual(['announcement'])
    expect(faults[0]!.detail).toContain(strangerRelay)
  })

  test('release: the fork was not synced', async () => {
    writeFileSync(join(checkout, 'index.html'), '<h1>Tomorrow</h1>')
    git(checkout, 'commit', '--quiet', '--all', '-m', 'Change')
    await done(maintainer, 'release', '--app', good.APP!, '--repo', checkout)
    const faults = await faultsWith({})
    expect(named(faults)).toEqual(['release'])
    expect(faults[0]!.fix).toBe('sync your fork with the master repository')
  })

  test('bond: it is being taken back', async () => {
    await done(good, 'mirror', 'unbond')
    expect(named(await faultsWith({}))).toEqual(['release', 'bond'])
  })
})
