import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  accountViewSchema,
  apiErrorSchema,
  appsSchema,
  appViewSchema,
  badgeSchema,
  epochDetailSchema,
  epochsSchema,
  leafProofSchema,
  mirrorDetailSchema,
  mirrorsSchema,
  networkSchema,
  readySchema,
} from '@understudy/protocol/api'
import type { Verify } from '@understudy/protocol/event'
import { merkleProof, payoutLeafHash, rootFromProof } from '@understudy/protocol/merkle'
import { loadVerify } from '@understudy/relays/verify'
import type { Hono } from 'hono'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { openFolderArchive } from '../archive/folder.ts'
import { createBoard } from '../badge/board.ts'
import { startPostgres, type TestPostgres } from '../database-fixture.ts'
import { databaseOf, migrate } from '../db/database.ts'
import { chainId, contracts, Demo, testTime } from '../fixture.ts'
import { createProjector } from '../projector/projector.ts'
import { createRegistry } from '../view/registry.ts'
import { buildApp } from './app.ts'
import { loadPages } from './pages.ts'

let postgres: TestPostgres
let verify: Verify
beforeAll(async () => {
  postgres = await startPostgres()
  verify = await loadVerify()
})
afterAll(() => postgres.stop())

/** The HTTP app over real rows, and a chain that the test moves. */
async function serve(demo: Demo) {
  const pool = await postgres.database()
  await migrate(pool, { fresh: false })
  const db = databaseOf(pool)
  const snapshot = () => {
    const { burnHeight, height } = demo.chain
    const { events, state } = demo.chain.read()
    return { burnHeight, height, events, state }
  }
  let seconds = testTime
  const projector = createProjector({
    archive: await openFolderArchive(await mkdtemp(join(postgres.dir, 'archive-'))),
    db,
    verify,
    home: { chainId, pool: contracts.pool },
    chain: () => snapshot().state,
    now: () => seconds,
    random: () => 0,
    onTrouble: (what, error) => {
      throw new Error(what, { cause: error })
    },
    lingerMs: 0,
  })
  const registry = createRegistry(db, snapshot, projector.revision, () => seconds)
  const web = await mkdtemp(join(postgres.dir, 'web-'))
  await mkdir(join(web, 'assets'))
  await writeFile(join(web, 'index.html'), '<!doctype html><title>Understudy</title>')
  await writeFile(join(web, 'assets', 'index-BX3a9_kQ.js'), 'export {}')
  const errors: unknown[] = []
  const app = buildApp({
    registry,
    board: createBoard({
      picture: registry.picture,
      now: () => 0,
      freshMs: 1,
      patienceMs: 5_000,
      maxBadges: 100,
    }),
    network: () => ({
      stacksUrl: 'https://stacks.example',
      chainId,
      contracts: { ...contracts },
      relays: [],
      burnHeight: demo.chain.burnHeight,
      stacksHeight: demo.chain.height,
      explorer: '',
    }),
    ready: async () => ({ ok: true, burnHeight: 1, stacksHeight: 1, relaysConnected: 0 }),
    metrics: { contentType: 'text/plain', text: async () => 'understudy_x 1\n' },
    publicUrl: 'https://registry.example',
    pages: await loadPages(web),
    onError: (error) => errors.push(error),
  })
  return {
    app,
    pool,
    errors,
    async hear(events: readonly unknown[]) {
      for (const event of events) expect(projector.offer(event)).toEqual({ ok: true })
      await projector.idle()
    },
    later(by: number) {
      seconds += by
    },
  }
}

async function view<T>(app: Hono, path: string, schema: z.ZodMiniType<T>): Promise<T> {
  const response = await app.request(path)
  expect(response.status, path).toBe(200)
  expect(response.headers.get('access-control-allow-origin')).toBe('*')
  return z.parse(schema, await response.json())
}

async function refusal(app: Hono, path: string, init?: RequestInit): Promise<[number, string, string]> {
  const response = await app.request(path, init)
  const { error } = z.parse(apiErrorSchema, await response.json())
  return [response.status, error.code, error.message]
}

describe('the registry over HTTP', () => {
  it('tells an app from its registration to its payouts', async () => {
    const demo = new Demo().register()
    const { app, hear } = await serve(demo)
    const at = `/api/apps/${demo.app}`

    expect(await view(app, at, appViewSchema)).toMatchObject({
      name: 'demo',
      bound: false,
      epoch: null,
      mirrors: 2,
      mirrorsUp: 0,
      release: null,
      pool: { free: '100000000', funders: 1, epochsLeft: 3 },
      rules: { threshold: 2, budget: '30000000' },
    })
    const release = await demo.release(2)
    await hear([await demo.repository(), await demo.release(1), release])
    await hear([await demo.announcement(0), await demo.heartbeat(0, testTime + 60)])
    expect(await view(app, '/api/apps', appsSchema)).toMatchObject({
      apps: [{ name: 'Demo', bound: true, release: { seq: 2, eventId: release.id, files: 1 } }],
    })
    const { mirrors } = await view(app, `${at}/mirrors`, mirrorsSchema)
    expect(mirrors).toMatchObject([
      { mirror: 1, name: 'node 1', bound: true, state: 'unknown', availability: null, claim: 'unknown' },
      { mirror: 2, name: 'mirror 2', bound: false, state: 'unknown', web: 'https://mirror-2.example' },
    ])

    demo.moveTo(demo.start + demo.length)
    const first = await demo.epoch(0, [
      demo.report(0),
      demo.report(1, { passed: 10, failed: 30, wrongBytes: true, reasons: { 'wrong-bytes': 30 } }),
    ])
    await hear(first.events)
    const judged = await view(app, `${at}/mirrors`, mirrorsSchema)
    expect(judged.mirrors).toMatchObject([
      { state: 'up', availability: 1_000_000, attestedEpoch: 0, network: 'AS64500', claim: 'not falsified' },
      { state: 'tampering', availability: 250_000, probes: { passed: 30, failed: 90, inconclusive: 0 } },
    ])
    const closing = await view(app, `${at}/epochs/0`, epochDetailSchema)
    expect(closing).toMatchObject({
      state: 'closing',
      commitments: 3,
      attestations: 6,
      recomputed: 'none',
      payouts: [],
    })

    const settleTxid = demo.settle(0, first)
    expect(await view(app, `${at}/epochs/0`, epochDetailSchema)).toMatchObject({
      state: 'settled',
      settleTxid,
      recomputed: 'same',
      allocated: '10000000',
      payouts: [{ index: 0, mirror: 1, amount: '10000000', claimTxid: null }],
    })
    demo.moveTo(demo.chain.burnHeight + 6)
    const proof = await view(app, `${at}/epochs/0/leaves/0/proof`, leafProofSchema)
    expect(proof).toMatchObject({
      payable: true,
      claimTxid: null,
      proof: merkleProof(first.outcome.leaves.map(payoutLeafHash), 0),
    })
    expect(rootFromProof(payoutLeafHash(first.outcome.leaves[0]!), proof.proof)).toBe(first.outcome.root)

    const claimTxid = demo.claim(0, first.outcome, 0)
    const { epochs } = await view(app, `${at}/epochs`, epochsSchema)
    expect(epochs).toMatchObject([
      { epoch: 1, state: 'running' },
      { epoch: 0, state: 'payable', paid: '10000000', count: 1 },
    ])
    const mirror = await view(app, `${at}/mirrors/1`, mirrorDetailSchema)
    expect(mirror).toMatchObject({ paid: '10000000', epochs: [{ epoch: 0, paid: '10000000' }] })
    expect(mirror.epochs[0]!.attestations).toHaveLength(3)
    expect(await view(app, `${at}/epochs/0`, epochDetailSchema)).toMatchObject({ payouts: [{ claimTxid }] })
  })

  it('tells an account what it has: a deposit and a wish to leave, mirrors, payments to claim', async () => {
    const demo = new Demo().register()
    const { app, hear } = await serve(demo)
    const { maintainer } = demo.chain.read().state.apps.get(demo.app)!
    const read = (address: string) =>
      view(app, `/api/apps/${demo.app}/accounts/${address}`, accountViewSchema)
    const { owner } = (await view(app, `/api/apps/${demo.app}/mirrors`, mirrorsSchema)).mirrors[0]!
    const nothing = { deposit: { shares: '0', worth: '0' }, waiting: null, exit: null, unclaimed: [] }
    expect(await read(maintainer)).toEqual({
      ...nothing,
      address: maintainer,
      deposit: { shares: '100000000', worth: '100000000' },
      quiet: true,
      mirrors: [],
    })
    expect(await read(owner)).toMatchObject({
      ...nothing,
      mirrors: [{ mirror: 1, bond: '10000000', paid: '0', unbonding: null, ready: null }],
    })

    demo.moveTo(demo.start + demo.length)
    const first = await demo.epoch(0)
    await hear(first.events)
    expect(await read(maintainer)).toMatchObject({ quiet: false })
    demo.settle(0, first)
    expect(await read(owner)).toMatchObject({ quiet: false, unclaimed: [] })
    demo.moveTo(demo.chain.burnHeight + 6)
    const leaf = first.outcome.leaves.find(({ recipient }) => recipient === owner)!
    expect(await read(owner)).toMatchObject({
      quiet: true,
      unclaimed: [{ epoch: 0, index: leaf.index, mirror: 1, amount: leaf.amount.toString() }],
    })
    const left = 100_000_000n - first.outcome.allocated
    expect(await read(maintainer)).toMatchObject({ deposit: { worth: left.toString() } })
    demo.claim(0, first.outcome, leaf.index)
    const after = await read(owner)
    expect(after).toMatchObject({ unclaimed: [], mirrors: [{ paid: leaf.amount.toString() }] })
    // An epoch that nobody settled is final only when its window is over.
    demo.moveTo(demo.start + 2 * demo.length)
    expect(await read(maintainer)).toMatchObject({ quiet: false })
    demo.moveTo(demo.start + 2 * demo.length + 30)
    expect(await read(maintainer)).toMatchObject({ quiet: true })
  })

  it('shows no payouts where what it recomputes is not what is on the chain', async () => {
    const demo = new Demo().register()
    const { app, hear } = await serve(demo)
    demo.moveTo(demo.start + demo.length)
    const epoch = await demo.epoch(0)
    const [withheld, ...told] = epoch.events.filter((event) => event.kind === 4617)
    const rest = epoch.events.filter((event) => event.kind !== 4617)
    await hear([...rest, ...told])
    demo.settle(0, epoch)
    const at = `/api/apps/${demo.app}/epochs/0`
    expect(await view(app, at, epochDetailSchema)).toMatchObject({ recomputed: 'incomplete', payouts: [] })
    expect((await refusal(app, `${at}/leaves/0/proof`))[0]).toBe(404)
    await hear([withheld])
    expect(await view(app, at, epochDetailSchema)).toMatchObject({ recomputed: 'same' })

    const other = new Demo('other').register()
    const second = await serve(other)
    other.moveTo(other.start + other.length)
    const lied = await other.epoch(0)
    await second.hear(lied.events)
    other.settle(0, { ...lied, outcome: { ...lied.outcome, root: 'e'.repeat(64) } })
    const detail = await view(second.app, `/api/apps/${other.app}/epochs/0`, epochDetailSchema)
    expect(detail).toMatchObject({ recomputed: 'differs', payouts: [] })
  })

  it('forgets what a mirror was three epochs ago, and what its announcement said once it expired', async () => {
    const demo = new Demo().register()
    const { app, hear, later } = await serve(demo)
    demo.moveTo(demo.start + demo.length)
    await hear([await demo.announcement(0), ...(await demo.epoch(0)).events])
    const read = async () => (await view(app, `/api/apps/${demo.app}/mirrors`, mirrorsSchema)).mirrors[0]!
    expect(await read()).toMatchObject({ state: 'up', bound: true })
    later(7_200)
    expect(await read()).toMatchObject({ state: 'up', bound: false })
    demo.moveTo(demo.start + 5 * demo.length)
    expect(await read()).toMatchObject({ state: 'unknown', attestedEpoch: null })
  })

  it('answers every bad request with one clear error', async () => {
    const demo = new Demo().register()
    const { app, errors } = await serve(demo)
    const unknown = 'f'.repeat(64)
    const table: [string, number, string][] = [
      ['/api/apps/xyz', 400, 'bad-parameter'],
      [`/api/apps/${demo.app.toUpperCase()}`, 400, 'bad-parameter'],
      [`/api/apps/${unknown}`, 404, 'not-found'],
      [`/api/apps/${unknown}/mirrors`, 404, 'not-found'],
      [`/api/apps/${unknown}/epochs`, 404, 'not-found'],
      [`/api/apps/${demo.app}/accounts/nobody`, 400, 'bad-parameter'],
      [`/api/apps/${unknown}/accounts/ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM`, 404, 'not-found'],
      [`/api/apps/${demo.app}/mirrors/0`, 404, 'not-found'],
      [`/api/apps/${demo.app}/mirrors/-1`, 400, 'bad-parameter'],
      [`/api/apps/${demo.app}/mirrors/1e3`, 400, 'bad-parameter'],
      [`/api/apps/${demo.app}/epochs/99999999999`, 400, 'bad-parameter'],
      [`/api/apps/${demo.app}/epochs/7`, 404, 'not-found'],
      [`/api/apps/${demo.app}/epochs?limit=1000`, 400, 'bad-parameter'],
      [`/api/apps/${demo.app}/epochs?before=%00`, 400, 'bad-parameter'],
      [`/api/apps/${demo.app}/epochs/0/leaves/x/proof`, 400, 'bad-parameter'],
      [`/api/apps/${demo.app}/epochs/0/leaves/0/proof`, 404, 'not-found'],
      ['/api', 404, 'not-found'],
      ['/../../etc/passwd', 404, 'not-found'],
      ['/assets/..%2f..%2fetc/passwd', 404, 'not-found'],
      [`/badge/${demo.app}/nothing.svg`, 404, 'not-found'],
    ]
    for (const [path, status, code] of table)
      expect(await refusal(app, path), path).toEqual([status, code, expect.stringMatching(/\w/)])
    expect((await refusal(app, '/api/apps', { method: 'POST', body: '{}' })).slice(0, 2)).toEqual([
      405,
      'method',
    ])
    expect(errors).toEqual([])
  })

  it('keeps the badges that it gave while its database is gone', async () => {
    const demo = new Demo().register()
    const { app, pool, errors } = await serve(demo)
    const badge = `/badge/${demo.app}/reward-pool.svg`
    const before = await (await app.request(badge)).text()
    await pool.end()
    const response = await app.request(`/api/apps/${demo.app}/epochs/0`)
    demo.moveTo(demo.start)
    const away = await app.request(`/api/apps/${demo.app}/epochs`)
    expect(response.status).toBe(404)
    expect(away.status).toBeGreaterThanOrEqual(500)
    expect(errors).toHaveLength(1)
    const after = await app.request(badge)
    expect([after.status, await after.text()]).toEqual([200, before])
    const unseen = await app.request(`/badge/${demo.app}/uptime.json`)
    expect(z.parse(badgeSchema, await unseen.json())).toMatchObject({ message: 'unknown', isError: true })
  })

  it('lets caches keep a view and ask whether it changed', async () => {
    const demo = new Demo().register()
    const { app, hear } = await serve(demo)
    const first = await app.request('/api/apps')
    const etag = first.headers.get('etag')!
    expect(first.headers.get('cache-control')).toBe('public, no-cache')
    const same = await app.request('/api/apps', { headers: { 'if-none-match': etag } })
    expect([same.status, await same.text()]).toEqual([304, ''])
    await hear([await demo.repository()])
    expect((await app.request('/api/apps', { headers: { 'if-none-match': etag } })).status).toBe(200)
  })

  it('serves the page that was built, the hashed parts of it for ever', async () => {
    const { app } = await serve(new Demo().register())
    const index = await app.request('/')
    expect(index.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(index.headers.get('cache-control')).toBe('no-cache')
    const script = await app.request('/assets/index-BX3a9_kQ.js')
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    expect(script.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    const etag = script.headers.get('etag')!
    expect(
      (await app.request('/assets/index-BX3a9_kQ.js', { headers: { 'if-none-match': etag } })).status,
    ).toBe(304)
  })

  it('describes every view in OpenAPI by the schema that it is made of', async () => {
    const { app } = await serve(new Demo().register())
    const document = (await (await app.request('/openapi.json')).json()) as {
      readonly paths: Record<string, { readonly get: ReturnType<typeof JSON.parse> }>
    }
    expect(document).toMatchObject({ openapi: '3.1.0', servers: [{ url: 'https://registry.example' }] })
    expect(Object.keys(document.paths)).toEqual([
      '/api/network',
      '/api/apps',
      '/api/apps/{app}',
      '/api/apps/{app}/mirrors',
      '/api/apps/{app}/mirrors/{mirror}',
      '/api/apps/{app}/accounts/{address}',
      '/api/apps/{app}/epochs',
      '/api/apps/{app}/epochs/{epoch}',
      '/api/apps/{app}/epochs/{epoch}/leaves/{index}/proof',
      '/badge/{app}/{file}',
      '/badge/{app}/mirror/{file}',
      '/readyz',
    ])
    const epochs = document.paths['/api/apps/{app}/epochs']!.get
    expect(epochs.parameters).toEqual([
      { name: 'app', in: 'path', required: true, schema: { type: 'string', pattern: '^[0-9a-f]{64}$' } },
      expect.objectContaining({ name: 'limit', in: 'query', required: false }),
      expect.objectContaining({ name: 'before', in: 'query', required: false }),
    ])
    const schema = epochs.responses[200].content['application/json'].schema
    expect(schema.properties.epochs.items.properties.state.enum).toContain('payable')
  })

  it('tells its health, and the network', async () => {
    const { app } = await serve(new Demo().register())
    expect(await view(app, '/api/network', networkSchema)).toMatchObject({ chainId })
    expect(await view(app, '/readyz', readySchema)).toMatchObject({ ok: true })
    expect((await app.request('/healthz')).status).toBe(200)
    expect(await (await app.request('/metrics')).text()).toContain('understudy_')
  })
})
