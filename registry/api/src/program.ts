import type { Server } from 'node:http'
import type { StacksClient } from '@understudy/chain/client'
import type { Contracts } from '@understudy/chain/contracts'
import type { Log } from '@understudy/host/log'
import type { Metrics } from '@understudy/host/metrics'
import type { Vantage } from '@understudy/host/vantage'
import type { NetworkView } from '@understudy/protocol/api'
import type { Verify } from '@understudy/protocol/event'
import { readWhole } from '@understudy/relays/comparison'
import { openRelays, type Relays } from '@understudy/relays/relays'
import type { Hono } from 'hono'
import type { Pool } from 'pg'
import type { Archive } from './archive/archive.ts'
import { createBoard } from './badge/board.ts'
import { databaseOf, migrate, ping } from './db/database.ts'
import { announcedRelays, chainPrints, deletePrints } from './db/queries.ts'
import { buildApp, type Readiness } from './http/app.ts'
import type { Pages } from './http/pages.ts'
import { createHttpServer } from './http/server.ts'
import { type ChainSnapshot, createFollower, type Follower } from './projector/follower.ts'
import { createProjector, type Projector } from './projector/projector.ts'
import { guardedSocket, type Listener, listen, maxAnnouncedRelays, mayDial } from './projector/sources.ts'
import { createRegistry } from './view/registry.ts'

export interface ProgramParts {
  readonly pool: Pool
  readonly archive: Archive
  readonly client: Pick<StacksClient, 'info' | 'contractEvents'>
  readonly contracts: Contracts
  readonly relays: readonly string[]
  readonly vantage: Vantage
  readonly verify: Verify
  readonly publicUrl: string
  readonly publicStacksUrl: string
  readonly pages?: Pages
  readonly log: Log
  readonly metrics: Metrics
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly random: () => number
  /** Pause between two looks at the chain, ms. */
  readonly pollMs: number
}

export interface Program {
  readonly app: Hono
  readonly server: Server
  /** Brings the rows up to date with archive and chain, `fresh` from nothing. Waits for what is away. */
  catchUp(options: { readonly fresh: boolean }): Promise<void>
  /** After `catchUp`: follows the relays and the chain. */
  follow(): void
  /** Resolves when what was heard so far is written. */
  idle(): Promise<void>
  close(): Promise<void>
}

const nothingYet: ChainSnapshot = { burnHeight: 0, height: 0, events: [], state: { apps: new Map() } }
/** A view of the chain older than this is not current, ms. */
const staleMs = 60_000
const explorers = new Map([
  [1, 'https://explorer.hiro.so/txid/{txid}?chain=mainnet'],
  [2_147_483_648, 'https://explorer.hiro.so/txid/{txid}?chain=testnet'],
])

/** The registry, put together. It answers from the first moment: badges as `unknown` and views with 503 until `catchUp` is through. */
export function openProgram(parts: ProgramParts): Program {
  const { pool, archive, client, contracts, vantage, verify, log, metrics, now, random } = parts
  const db = databaseOf(pool)
  const seconds = () => Math.floor(now() / 1_000)
  let projector: Projector | undefined
  let follower: Follower | undefined
  let relays: Relays | undefined
  let listener: Listener | undefined
  let identity: { readonly chainId: number; readonly local: boolean } | undefined
  let seenAt = 0
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const offered = metrics.counter('events_total', 'Events offered by relays, by what became of them', [
    'result',
  ])
  const burnHeight = metrics.gauge('burn_height', 'Burn height of the chain as last seen')
  const connected = metrics.gauge('relays_connected', 'Relays that are connected')

  const chain = () => follower?.snapshot() ?? nothingYet
  const registry = createRegistry(db, chain, () => projector?.revision() ?? 0, seconds)
  const relaysConnected = () => relays?.status().filter((relay) => relay.state === 'open').length ?? 0

  const board = createBoard({
    picture: (app) => registry.picture(app),
    now,
    freshMs: 3_000,
    patienceMs: 1_000,
    maxBadges: 10_000,
  })
  const network = (): NetworkView | undefined =>
    identity && {
      stacksUrl: parts.publicStacksUrl,
      chainId: identity.chainId,
      contracts: { ...contracts },
      relays: [...parts.relays],
      burnHeight: chain().burnHeight,
      stacksHeight: chain().height,
      explorer: identity.local ? '' : (explorers.get(identity.chainId) ?? ''),
    }
  const ready = async (): Promise<Readiness> => {
    const answers = await ping(db).then(
      () => true,
      () => false,
    )
    return {
      ok: answers && now() - seenAt < staleMs,
      burnHeight: chain().burnHeight,
      stacksHeight: chain().height,
      relaysConnected: relaysConnected(),
    }
  }
  const app = buildApp({
    registry,
    board,
    network,
    ready,
    metrics,
    publicUrl: parts.publicUrl,
    pages: parts.pages,
    onError: (error, path) => log.error({ err: error, path }, 'request failed'),
  })

  /** Tries until it works: at start nothing can be done without. */
  async function persist<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    for (let failures = 0; ; failures++) {
      try {
        return await attempt()
      } catch (error) {
        if (closed) throw error
        log.warn({ err: error }, `${what}: trying again`)
        await new Promise((done) =>
          setTimeout(done, Math.min(10_000, 250 * 2 ** Math.min(failures, 6)) * (0.5 + random() / 2)),
        )
      }
    }
  }

  async function look(): Promise<void> {
    const snapshot = await follower!.tick()
    seenAt = now()
    burnHeight.set(snapshot.burnHeight)
    listener?.follow(snapshot.state)
    connected.set(relaysConnected())
  }

  async function poll(rounds: number): Promise<void> {
    try {
      await look()
      if (rounds % 20 === 0) await addAnnouncedRelays()
    } catch (error) {
      log.warn({ err: error }, 'the chain or the database is away')
    }
    if (!closed) timer = setTimeout(() => void poll(rounds + 1), parts.pollMs)
  }

  async function addAnnouncedRelays(): Promise<void> {
    for (const url of await announcedRelays(db, maxAnnouncedRelays))
      if (mayDial(url, vantage)) relays?.add(url)
  }

  return {
    app,
    server: createHttpServer(app, board),
    async catchUp({ fresh }) {
      await persist('database', () => migrate(pool, { fresh }))
      const info = await persist('chain', () => client.info())
      identity = { chainId: info.chainId, local: info.serverVersion.startsWith('understudy-devnet') }
      projector = createProjector({
        archive,
        db,
        verify,
        home: { chainId: info.chainId, pool: contracts.pool },
        chain: () => chain().state,
        now: seconds,
        random,
        onTrouble: (what, error) => log.warn({ err: error }, `${what}: not written yet`),
        lingerMs: 50,
      })
      const { catchUp, record } = projector
      const replayed = await persist('archive', catchUp)
      log.info(replayed, 'archive replayed')
      const kept = await persist('database', () => chainPrints(db))
      follower = createFollower(client, contracts, { record, forget: (gone) => deletePrints(db, gone) }, kept)
      await persist('chain', look)
    },
    follow() {
      relays = openRelays(parts.relays, {
        verify,
        ...readWhole(log),
        now,
        random,
        WebSocket: guardedSocket(vantage, parts.relays),
      })
      listener = listen(relays, (event) => {
        const outcome = projector!.offer(event)
        offered.inc({ result: outcome.ok ? 'accepted' : outcome.code })
        if (!outcome.ok && outcome.code !== 'duplicate')
          log.debug({ code: outcome.code, reason: outcome.reason }, 'event refused')
      })
      listener.follow(chain().state)
      void poll(0)
    },
    idle: async () => projector?.idle(),
    async close() {
      closed = true
      clearTimeout(timer)
      listener?.close()
      relays?.close()
      await projector?.close()
    },
  }
}
