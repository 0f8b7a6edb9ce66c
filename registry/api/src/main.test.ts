import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type ContractCall, fund, registerApp, registerMirror } from '@understudy/chain/calls'
import type { StacksClient } from '@understudy/chain/client'
import type { Contracts } from '@understudy/chain/contracts'
import { type SampleChain, sampleChain } from '@understudy/chain/sample'
import { addressOf } from '@understudy/chain/transactions'
import { appViewSchema, mirrorsSchema } from '@understudy/protocol/api'
import { repositoryTemplate } from '@understudy/protocol/app'
import type { EventTemplate, NostrEvent } from '@understudy/protocol/event'
import { mirrorTemplate } from '@understudy/protocol/mirror'
import { attesterKey } from '@understudy/protocol/rules'
import { openRelays, type Relays } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { author, Demo } from './fixture.ts'

const root = new URL('../../../', import.meta.url)
const programOf = (path: string) => fileURLToPath(new URL(path, root))
const _fee = 50_000n
const keyOf = (byte: string): string => byte.repeat(32)
const keys = { deployer: keyOf('d1'), maintainer: keyOf('d2'), operator: keyOf('d3') }

interface Running {
  readonly child: ChildProcess
  readonly url: string
  stop(signal?: NodeJS.Signals): Promise<void>
}

const started: Running[] = []

/** A real program in a process of its own, once it says that it is ready. */
async function run(path: string, args: readonly string[], env: Record<string, string>): Promise<Running> {
  const child = spawn(process.execPath, [programOf(path), ...args], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout! })) {
    const entry = JSON.parse(line) as { msg?: string; url?: string }
    if (!entry.url || (entry.msg !== undefined && entry.msg !== 'ready')) continue
    child.stdout!.resume()
    const running = {
      child,
      url: entry.url,
      async stop(signal: NodeJS.Signals = 'SIGTERM') {
        if (child.exitCode !== null || child.signalCode !== null) return
        const exit = once(child, 'exit')
        child.kill(signal)
        await exit
      },
    }
    started.push(running)
    return running
  }
  throw new Error(`${path} ended before it was ready; is it built?`)
}

async function until<T>(what: string, read: () => Promise<T | undefined>): Promise<T> {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await delay(50)) {
    const value = await read().catch(() => undefined)
    if (value !== undefined) return value
  }
  throw new Error(`waited in vain for ${what}`)
}

let dir: string
let devnet: Running
let relay: Running
let api: Running
let client: StacksClient
let chainId: number
let chain: SampleChain
let contracts: Contracts
let relays: Relays

const address = (who: keyof typeof keys): string => addressOf(keys[who], chainId)

const send = (who: keyof typeof keys, call: ContractCall) => chain.send(keys[who], call)

const startApi = (args: readonly string[] = []) =>
  run('registry/api/dist/main.js', args, {
    STACKS_API_URL: devnet.url,
    DEPLOYER: address('deployer'),
    RELAYS: relay.url,
    DATA_DIR: join(dir, 'api'),
    HOST: '127.0.0.1',
    POLL_INTERVAL_MS: '200',
  })

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'understudy-registry-'))
  devnet = await run('local/devnet/dist/main.js', ['--port', '0', '--burn-interval', '0'], {
    LOG_LEVEL: 'warn',
  })
  relay = await run('node/dist/relay/main.js', [], { DATA_DIR: join(dir, 'relay'), HOST: '127.0.0.1' })
  chain = await sampleChain(devnet.url, keys.deployer)
  ;({ client, chainId, contracts } = chain)
  await chain.fill(Object.values(keys))
  relays = openRelays([relay.url], { verify: await loadVerify() })
})

afterAll(async () => {
  relays?.close()
  for (const running of started.reverse()) await running.stop()
  await rm(dir, { recursive: true, force: true })
})

async function publish(
  signer: ReturnType<typeof author>['signer'],
  template: EventTemplate,
): Promise<NostrEvent> {
  const event = await signer.signEvent(template)
  expect(await relays.publish(event)).toMatchObject({ ok: true })
  return event
}

async function read<T>(path: string, schema: z.ZodMiniType<T>): Promise<T> {
  const response = await fetch(api.url + path)
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`)
  return z.parse(schema, await response.json())
}
const appOf = (app: string) => read(`/api/apps/${app}`, appViewSchema)
const mirrorsOf = async (app: string) => (await read(`/api/apps/${app}/mirrors`, mirrorsSchema)).mirrors

/** Every row that events and prints made, read past the program. */
async function rows(): Promise<unknown[]> {
  const password = (await readFile(join(dir, 'api', 'postgres.password'), 'utf8')).trim()
  const [, , , port] = (await readFile(join(dir, 'api', 'postgres', 'postmaster.pid'), 'utf8')).split('\n')
  const db = new pg.Client({ host: '127.0.0.1', port: Number(port), user: 'postgres', password })
  await db.connect()
  const tables = ['events', 'repositories', 'announcements', 'chain_events']
  const read = []
  for (const table of tables)
    read.push((await db.query(`select to_jsonb(t) as row from registry.${table} t order by 1`)).rows)
  await db.end()
  return read
}

describe('the registry as a program', () => {
  it('follows a real chain and a real relay, survives its database, and rebuilds the same rows', async () => {
    const demo = new Demo()
    const { app, coordinate } = demo
    const badge = () => fetch(`${api.url}/badge/${app}/backup-servers.json`)

    // Who announces before the chain names them is heard once it does.
    await publish(
      demo.maintainer.signer,
      repositoryTemplate(
        {
          pubkey: demo.maintainer.signer.pubkey,
          d: demo.d,
          name: 'Demo',
          description: '',
          clone: ['https://forge.example/demo.git'],
          web: [],
          relays: [],
          stx: address('maintainer'),
        },
        Math.floor(Date.now() / 1_000),
      ),
    )
    api = await startApi()
    expect((await badge()).status).toBe(200)
    expect((await fetch(`${api.url}/api/apps/${app}`)).status).toBe(404)

    const { burnHeight } = await client.info()
    const terms = {
      budget: 30_000_000n,
      keys: demo.attesters.map((a) => attesterKey(a.signer.pubkey)),
      places: 3,
      levels: ['network'] as const,
      floor: 500_000,
      domainBond: 10_000_000n,
      fee: 0n,
      grace: 5,
      minBond: 10_000_000n,
      faults: 1,
      window: 30,
      challenge: 6,
      claimPeriod: 600,
      releaseKey: demo.releaser.signer.pubkey,
      minSeq: 0,
    }
    const schedule = { start: burnHeight + 50, length: 60, notice: 3, cap: 100_000_000n }
    await send('maintainer', registerApp(contracts, { coordinate, schedule, terms }))
    const view = await until('the app and its repository', async () => {
      const found = await appOf(app)
      return found.name === 'Demo' ? found : undefined
    })
    expect(view).toMatchObject({ bound: true, mirrors: 0, pool: { free: '0' } })

    const node = demo.nodes[0]!.signer
    const operator = address('operator')
    const mirror = { app, nodeKey: node.pubkey, endpoint: 'https://mirror.example', bond: 10_000_000n }
    await send('operator', registerMirror(contracts, operator, mirror))
    const deposit = { app, amount: 60_000_000n, rulesVersion: 1, minShares: 60_000_000n }
    await send('maintainer', fund(contracts, address('maintainer'), deposit))
    const announced = {
      coordinate,
      name: 'north',
      commit: 'a'.repeat(40),
      clone: 'https://fork.example/demo.git',
      web: 'https://mirror.example',
      relay: 'wss://mirror.example',
      geohash: '',
      country: '',
      stx: operator,
    }
    const now = Math.floor(Date.now() / 1_000)
    await publish(node, mirrorTemplate(announced, now, now + 3_600))
    const mirrors = await until('the mirror', async () => {
      const found = await mirrorsOf(app)
      return found[0]?.bound ? found : undefined
    })
    expect(mirrors).toMatchObject([{ name: 'north', owner: operator, state: 'unknown' }])
    await until('the deposit', async () => ((await appOf(app)).pool.free === '60000000' ? true : undefined))

    // What nobody on the chain signed leaves no trace, and the program goes on.
    const stranger = author(99)
    await publish(stranger.signer, mirrorTemplate({ ...announced, name: 'stranger' }, now, now + 3_600))
    const badgeBefore = await (await fetch(`${api.url}/badge/${app}/reward-pool.svg`)).text()
    expect(badgeBefore).toContain('60 STX')

    // The database dies under it.
    const [pid] = (await readFile(join(dir, 'api', 'postgres', 'postmaster.pid'), 'utf8')).split('\n')
    process.kill(Number(pid), 'SIGKILL')
    const during = await fetch(`${api.url}/badge/${app}/reward-pool.svg`)
    expect([during.status, await during.text()]).toEqual([200, badgeBefore])
    await publish(node, mirrorTemplate({ ...announced, name: 'north, again' }, now + 1, now + 3_600))
    await until('the row of what came in meanwhile', async () => {
      return (await mirrorsOf(app))[0]?.name === 'north, again' ? true : undefined
    })
    await until('readiness', async () => ((await fetch(`${api.url}/readyz`)).ok ? true : undefined))

    const before = await rows()
    expect(JSON.stringify(before)).not.toContain(stranger.signer.pubkey)
    await api.stop('SIGKILL')
    const rebuild = spawn(process.execPath, [programOf('registry/api/dist/main.js'), 'rebuild'], {
      env: {
        PATH: process.env.PATH,
        STACKS_API_URL: devnet.url,
        DEPLOYER: address('deployer'),
        RELAYS: relay.url,
        DATA_DIR: join(dir, 'api'),
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    expect(await once(rebuild, 'exit')).toEqual([0, null])
    api = await startApi()
    expect(await rows()).toEqual(before)
  })
})
