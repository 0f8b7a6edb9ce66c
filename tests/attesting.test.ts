import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createLogReader } from '@understudy/chain/logReader'
import { type SampleChain, sampleChain } from '@understudy/chain/sample'
import { type ChainApp, projectChain } from '@understudy/chain/state'
import { transfer } from '@understudy/chain/transactions'
import { epochEnd, epochStart } from '@understudy/protocol/epoch'
import { attesterKey } from '@understudy/protocol/rules'
import { understudy } from 'understudy/understudy'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { devnetKey } from './browser/network.ts'
import { type RunningProgram, startProgram } from './browser/program.ts'
import { plainEnv } from './operator/packed.ts'

// docs/attesting.md, from a key to the way out, command by command. Around it: devnet, where a block comes for every transaction and when
// the test asks, a relay, a git host, one mirror, and two attesters who stay.

const folder = mkdtempSync(join(tmpdir(), 'understudy-attesting-'))
const document = readFileSync(new URL('../docs/attesting.md', import.meta.url), 'utf8')
const running: RunningProgram[] = []
const attesters = new Set<Attester>()
let chain: SampleChain
/** What everybody's shell needs to know. */
let network: Record<string, string>
let forge: string
let app: { id: string; coordinate: string }
let staying: readonly Attester[]
let first: Attester
let second: Attester
/** The first epoch that the first one signs. */
let signed: number

/** Blocks of the document in the shell of somebody, in order: the word behind `sh` in a fence says whose. */
const blocksOf = (whose: string): string[] =>
  [...document.matchAll(/^```sh (\w+)\n(.*?)^```$/gms)].flatMap(([, word, block]) =>
    word === whose ? [block!] : [],
  )

function blockWith(command: string, whose: string): string {
  const found = blocksOf(whose).filter((block) => block.includes(command))
  expect(found, `one block with ${command} in the shell of ${whose}`).toHaveLength(1)
  return found[0]!
}

/** Puts in what the document leaves to the reader: its words in capitals. */
const filled = (block: string, table: Readonly<Record<string, string>>): string =>
  block.replace(/\b[A-Z][A-Z0-9]*\b(?![=_])/g, (word) => {
    if (table[word] === undefined) throw new Error(`nothing is known to put in for ${word} in: ${block}`)
    return table[word]
  })

interface Typed {
  readonly lines: readonly string[]
  /** What it said in JSON under this name. */
  said(message: string): Record<string, unknown>[]
  readonly ended: Promise<number | null>
  /** Ends it as Ctrl-C would. */
  stop(): Promise<void>
}

/** Types commands into a shell. For every transaction that is sent a block is mined. */
function type(commands: string, cwd: string, env: Readonly<Record<string, string>>): Typed {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', commands], {
    cwd,
    env: { ...plainEnv, ...env, HOME: folder, PATH: `${join(folder, 'bin')}:${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      if (/: sent 0x|"settlement sent"/.test(line)) void chain.mine()
    })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return {
    lines,
    said: (message) =>
      lines.filter((line) => line.includes(`"msg":"${message}"`)).map((line) => JSON.parse(line)),
    ended,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGINT')
      await ended
    },
  }
}

/** Types a block and waits until it is done; it must succeed. Gives what it said. */
async function run(block: string, env: Readonly<Record<string, string>>, cwd = folder): Promise<string> {
  const typed = type(block, cwd, env)
  const code = await typed.ended
  const said = typed.lines.join('\n')
  expect(code, `${block}${said}`).toBe(0)
  return said
}

interface Attester extends Typed {
  readonly name: string
  readonly folder: string
  readonly pubkey: string
  readonly payee: string
  readonly account: string
  readonly url: string
}

/** What the document leaves open in the settings; what is not named here stays as it is written there. */
function settingsOf(name: string): string {
  const [block] = blocksOf('settings')
  const table: Record<string, string> = { ...network, DATA_DIR: join(folder, name, 'data') }
  return block!.replace(
    /^([A-Z_]+)=(\S+)/gm,
    (_, variable, example) => `${variable}=${table[variable] ?? example}`,
  )
}

/** What one more machine needs to play along here, and the pace of this network. */
const local = () => ({
  PLACES_FILE: join(folder, 'places.json'),
  HOST: '127.0.0.1',
  PORT: '0',
  // An attester may be kept from the processor for two of these before it counts itself as away.
  PROBE_INTERVAL_MS: '4000',
  CHAIN_POLL_MS: '400',
  LOG_LEVEL: 'debug',
})

const loadSettings = () => blockWith('attester.env', 'attester')

/** Steps 1 and 2: settings, and the first start. */
async function startAttester(name: string): Promise<Attester> {
  const home = join(folder, name)
  mkdirSync(home, { mode: 0o700 })
  writeFileSync(join(home, 'attester.env'), settingsOf(name))
  const start = blocksOf('attester').find((block) => /^understudy attester$/m.test(block))
  const typed = type(`${loadSettings()}${start}`, home, local())
  const ready = await until(`${name} to be ready`, () => typed.said('ready')[0])
  const { pubkey, account, payee, key } = typed.said('attester')[0] as Record<string, string>
  expect(key).toBe(attesterKey(pubkey!))
  const attester = {
    ...typed,
    name,
    folder: home,
    pubkey: pubkey!,
    payee: payee!,
    account: account!,
    url: String(ready.url),
  }
  attesters.add(attester)
  return attester
}

/** Sends it what settlements cost. */
async function fillAccount({ account }: Attester): Promise<void> {
  const privateKey = devnetKey('funder')
  const nonce = await chain.client.nonce(chain.addressOf(privateKey))
  await chain.land(
    await transfer(account, 10_000_000n, { privateKey, nonce, fee: 1_000n, chainId: chain.chainId }),
  )
}

async function stopAttester(attester: Attester): Promise<void> {
  await attester.stop()
  attesters.delete(attester)
}

/** Asks until there is an answer. */
async function until<T>(
  what: string | (() => string),
  look: () => T | undefined | false | Promise<T | undefined | false>,
  ms = 180_000,
): Promise<T> {
  for (const end = performance.now() + ms; ; ) {
    const found = await look()
    if (found) return found
    if (performance.now() > end)
      throw new Error(`waited for ${typeof what === 'string' ? what : what()}\n${logs()}`)
    await pause()
  }
}

/** The last that every attester said, for whoever has to find out why a test failed. */
const logs = () =>
  [...attesters]
    .flatMap(({ name, lines }) => [name, ...lines.filter((line) => !line.includes('"level":20')).slice(-15)])
    .join('\n')

const pause = () => new Promise((resolve) => setTimeout(resolve, 100))

/** Mines up to a height, and no faster than the attesters look: blocks that they miss count against them. */
async function mineTo(height: number, step = 12): Promise<void> {
  for (;;) {
    const { burnHeight } = await chain.client.info()
    if (burnHeight >= height) return
    const now = await chain.mine(Math.min(step, height - burnHeight))
    for (const { name, url } of attesters)
      await until(`${name} to see block ${now}`, async () => {
        const metrics = await (await fetch(`${url}/metrics`)).text()
        return Number(/^understudy_burn_height\S* (\d+)$/m.exec(metrics)?.[1]) >= now
      })
  }
}

/** Passes over whatever lies between. */
const skipTo = (height: number) => mineTo(height, height)

async function appNow(): Promise<ChainApp> {
  return projectChain(await createLogReader(chain.client, chain.contracts).read()).apps.get(app.id)!
}

const of = (epoch: number) => (line: Record<string, unknown>) => line.epoch === epoch

/** Lets these see the whole of an epoch and settle it, and waits until it can be paid. */
async function liveThrough(epoch: number, all: readonly Attester[]): Promise<void> {
  const { schedule } = await appNow()
  const end = epochEnd(schedule, epoch)
  const everybody = (message: string) =>
    until(`everybody to say ${message} of epoch ${epoch}`, () =>
      all.every(({ said }) => said(message).some(of(epoch))),
    )
  await skipTo(epochStart(schedule, epoch))
  // Half of the probes must be conclusive, or there is no report: an attester that is kept from the processor doubts itself.
  const probes = ({ said }: Attester) => said('probed').filter(of(epoch))
  const passed = (attester: Attester) => probes(attester).filter(({ outcome }) => outcome === 'passed').length
  const tally = () =>
    all.map((one) => `${one.name}: ${probes(one).map(({ outcome, reason }) => `${outcome} ${reason}`)}`)
  await until(
    () => `everybody to see the mirror pass in epoch ${epoch}; ${tally().join('; ')}`,
    () => all.every((one) => passed(one) > 0 && 2 * passed(one) >= probes(one).length),
    300_000,
  )
  await mineTo(end)
  await everybody('committed')
  await mineTo(end + 3)
  await everybody('cut off, attestations revealed')
  // An attempt a block, each as long as it takes to agree.
  const sent = () => all.some(({ said }) => said('settlement sent').some(of(epoch)))
  for (let height = end + 6; height < end + 12 && !sent(); height++) {
    await mineTo(height)
    for (const patience = performance.now() + 10_000; !sent() && performance.now() < patience; ) await pause()
  }
  await until(`the settlement of epoch ${epoch}`, async () => (await appNow()).settlements.has(epoch))
  const { burn, challenge } = (await appNow()).settlements.get(epoch)!
  await mineTo(burn + challenge)
  await everybody('settled')
}

/** Runs a command of the CLI that the document does not name, in this process. */
async function done(env: Record<string, string>, ...args: string[]): Promise<Record<string, string>> {
  const out: string[] = []
  const err: string[] = []
  const code = await understudy([...args, '--json'], {
    env,
    cwd: folder,
    now: Date.now,
    say(line) {
      err.push(line)
      if (line.includes(': sent 0x')) void chain.mine()
    },
    print: (text) => out.push(text),
  })
  expect(code, `${args.join(' ')}: ${err.join('\n')}`).toBe(0)
  return JSON.parse(out.join('\n'))
}

/** Keys of somebody who has money: an account of the devnet. */
function walletOf(name: string): string {
  mkdirSync(join(folder, name), { mode: 0o700 })
  writeFileSync(join(folder, name, 'stacks.key'), devnetKey(name).slice(0, 64), { mode: 0o600 })
  writeFileSync(join(folder, name, 'nostr.key'), devnetKey(`${name} nostr`).slice(0, 64), { mode: 0o600 })
  return chain.addressOf(devnetKey(name))
}

const shellOf = (name: string) => ({ ...network, UNDERSTUDY_KEYS: join(folder, name) })

async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((listening) => server.listen(0, '127.0.1.1', listening))
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return port
}

async function start(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const started = await startProgram(script, args, env, 180_000)
  running.push(started)
  return started.url
}

/** A repository with one page, and its fork. */
function publishRepository(): string {
  const checkout = join(folder, 'checkout')
  mkdirSync(checkout)
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=M', '-c', 'user.email=m@example.com', ...args], { cwd: checkout })
  git('init', '--quiet', '--initial-branch', 'main')
  writeFileSync(join(checkout, 'index.html'), '<h1>Tonight</h1>')
  git('add', '--all')
  git('commit', '--quiet', '-m', 'Open')
  for (const name of ['master', 'fork'])
    git('clone', '--quiet', '--bare', checkout, join(folder, 'forge', `${name}.git`))
  return checkout
}

/** Registers the app with one attester, funds it, releases, and brings up a mirror. */
async function openApp(attester: Attester): Promise<void> {
  const registered = await done(
    shellOf('maintainer'),
    ...['app', 'register', '--id', 'playbill', '--clone', `${forge}/master.git`, '--start', '+40'],
    ...['--attesters', attester.pubkey, '--budget', '30stx', '--fee', '3stx', '--min-bond', '10stx'],
    ...['--levels', 'network', '--length', '48'],
  )
  app = { id: registered.app!, coordinate: registered.coordinate! }
  await done(shellOf('maintainer'), 'release', '--app', app.coordinate, '--repo', publishRepository())
  await done(shellOf('funder'), 'fund', '--app', app.coordinate, '--amount', '300stx')
  const PORT = String(await closedPort())
  const mirror = {
    ...network,
    APP: app.coordinate,
    REPOSITORY_URL: `${forge}/fork.git`,
    PUBLIC_URL: `http://127.0.1.1:${PORT}`,
    STX_ADDRESS: walletOf('operator1'),
    UNDERSTUDY_KEYS: join(folder, 'operator1'),
    PLACES_FILE: join(folder, 'places.json'),
    DATA_DIR: join(folder, 'mirror'),
    HOST: '127.0.1.1',
    PORT,
  }
  await start('cli/dist/main.js', ['node'], mirror)
  await until('the mirror to serve', async () => (await fetch(`${mirror.PUBLIC_URL}/readyz`)).ok)
  await done(mirror, 'mirror', 'register', '--bond', '10stx')
}

beforeAll(async () => {
  // Postgres does not take a folder that others may look into.
  chmodSync(folder, 0o700)
  for (const name of ['bin', 'forge']) mkdirSync(join(folder, name))
  const cli = fileURLToPath(new URL('../cli/dist/main.js', import.meta.url))
  writeFileSync(join(folder, 'bin', 'understudy'), `#!/bin/sh\nexec '${process.execPath}' '${cli}' "$@"\n`, {
    mode: 0o755,
  })
  const place = { name: 'A', network: 64501, latitude: 50.11, longitude: 8.68, addresses: ['127.0.1.1'] }
  const hosts = { 'forge.understudy.test': '127.0.9.1' }
  writeFileSync(join(folder, 'places.json'), JSON.stringify({ places: [place], hosts }))
  const [stacks, relay, host] = await Promise.all([
    start('local/devnet/dist/main.js', ['--port', '0', '--burn-interval', '0'], {}),
    start('node/dist/relay/main.js', [], { HOST: '127.0.0.1', PORT: '0', DATA_DIR: join(folder, 'relay') }),
    start('local/localnet/dist/forge/main.js', [join(folder, 'forge')], { HOST: '127.0.9.1', PORT: '0' }),
  ])
  forge = `http://forge.understudy.test:${new URL(host).port}`
  chain = await sampleChain(stacks, devnetKey('deployer'))
  network = { STACKS_API_URL: stacks, DEPLOYER: chain.deployer, RELAYS: relay.replace('http', 'ws') }
  for (const name of ['maintainer', 'funder']) walletOf(name)
}, 300_000)

afterAll(async () => {
  await Promise.all([...attesters].map(stopAttester))
  for (const program of running.toReversed()) await program.stop()
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}, 60_000)

/** Step 3, and the wallet that does it. */
async function bond(attester: Attester, wallet: string): Promise<void> {
  const WALLET = walletOf(wallet)
  const agree = filled(blockWith('attester-bond agree', 'attester'), { APP: app.coordinate, WALLET })
  const printed = await run(`${loadSettings()}${agree}`, local(), attester.folder)
  expect(/^key +(\S+)$/m.exec(printed)?.[1]).toBe(attester.pubkey)
  const SIGNATURE = /^signature +(\S+)$/m.exec(printed)?.[1] ?? ''
  const put = blockWith('attester-bond put', 'wallet')
  await run(filled(put, { APP: app.coordinate, PUBKEY: attester.pubkey, SIGNATURE }), shellOf(wallet))
  expect((await appNow()).attesters.get(attesterKey(attester.pubkey))).toMatchObject({
    amount: 500_000_000n,
    owner: WALLET,
  })
}

/** Step 4. Gives the first epoch that the rules govern. */
async function announce(...named: readonly Attester[]): Promise<number> {
  const block = blockWith('rules change', 'maintainer')
  const [one = '', two = '', three = ''] = named.map(({ pubkey }) => pubkey)
  const table = { APP: app.coordinate, PUBKEY1: one, PUBKEY2: two, PUBKEY3: three }
  await run(filled(block, table), shellOf('maintainer'))
  const rules = (await appNow()).rules.at(-1)!
  expect(rules.keys).toEqual(named.map(({ pubkey }) => attesterKey(pubkey)).sort())
  return rules.from
}

/** The end of step 5. */
const verify = (epoch: number) =>
  run(filled(blockWith('verify epoch', 'anybody'), { APP: app.coordinate, N: String(epoch) }), network)

/** The end of the document; `early` when it is too soon for it. */
const leaving = (attester: Attester) =>
  filled(blockWith('attester-bond withdraw', 'wallet'), {
    APP: app.coordinate,
    PUBKEY: attester.pubkey,
    PAYEE: attester.payee,
  })

test('every line of the log that the document explains is one that the attester writes', () => {
  const table = document.slice(document.indexOf('| line |'), document.indexOf('`settled` comes last'))
  const named = table.split('\n').flatMap((row) => row.split('|')[1]?.match(/(?<=`)[^`]+(?=`)/g) ?? [])
  const lines = named.filter((words) => words !== ', ')
  expect(lines.length).toBeGreaterThanOrEqual(13)
  const source = fileURLToPath(new URL('../registry/attester/src/', import.meta.url))
  const code = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
    .map((path) => readFileSync(join(source, path), 'utf8'))
  for (const line of lines)
    expect(
      code.some((text) => text.includes(`'${line}'`)),
      line,
    ).toBe(true)
})

test('an attester makes its key when it starts for the first time, and says what it is called', async () => {
  const [one, two, three] = await Promise.all(['one', 'two', 'first'].map(startAttester))
  staying = [one!, two!]
  first = three!
  for (const attester of attesters) await fillAccount(attester)
  await openApp(one!)
  expect(statSync(join(first.folder, 'data', 'attester.key')).mode & 0o777).toBe(0o600)
  expect(first.payee).toBe(first.account)
}, 300_000)

test('a wallet puts a bond behind the key, rules name it, and it signs the first epoch that they govern', async () => {
  await bond(first, 'operator2')
  signed = await announce(...staying, first)
  await liveThrough(signed, [...staying, first])
  const verified = await verify(signed)
  expect(verified).toContain('the same as on chain, bit for bit')
  expect(verified).toMatch(/signed by [23] of 3 attesters, 2 needed/)
}, 900_000)

test('another key takes its place: the old one signs the last epoch that lists it, the new one the next', async () => {
  second = await startAttester('second')
  await fillAccount(second)
  await bond(second, 'operator3')
  const next = await announce(...staying, second)
  const last = next - 1
  await liveThrough(last, [...staying, first])
  expect(first.said('probed').filter(of(next))).toEqual([])
  await stopAttester(first)
  const { schedule, rules } = await appNow()
  const { window, challenge } = rules[1]!
  const final = epochEnd(schedule, last) + window + challenge
  const early = type(leaving(first), folder, shellOf('operator2'))
  expect(await early.ended).toBe(1)
  expect(early.lines.join('\n')).toContain(`final from burn block ${final} on`)

  await mineTo(final)
  const paid = await run(leaving(first), shellOf('operator2'))
  expect(paid).toMatch(new RegExp(`^epoch (${signed}|${last})  ${first.payee}  `, 'm'))
  expect((await appNow()).attesters.has(attesterKey(first.pubkey))).toBe(false)

  await liveThrough(next, [...staying, second])
}, 900_000)

test('whoever leaves gets the bond back once no epoch needs it any more, and its fees', async () => {
  const after = await announce(staying[0]!)
  const { schedule } = await appNow()
  await skipTo(epochStart(schedule, after - 1))
  await skipTo(epochEnd(schedule, after - 1) + 30)
  await until('its last epoch to be final', () =>
    ['settled', 'epoch lapsed unsettled'].some((message) => second.said(message).some(of(after - 1))),
  )
  await stopAttester(second)
  const paid = await run(leaving(second), shellOf('operator3'))
  expect(paid).toMatch(new RegExp(`^epoch \\d+  ${second.payee}  `, 'm'))
  expect((await appNow()).attesters.size).toBe(0)
}, 900_000)
