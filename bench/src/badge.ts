import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { appBadge } from '@understudy/api/badge/badge'
import { createBoard } from '@understudy/api/badge/board'
import { renderBadge } from '@understudy/api/badge/render'
import { buildApp } from '@understudy/api/http/app'
import { createHttpServer, listenOn } from '@understudy/api/http/server'
import type { Picture, Registry } from '@understudy/api/view/registry'
import type { BenchResult } from './result.ts'

const goal = 0.85
const connections = 32
const rounds = 6
const sliceMs = 1_000
const app = 'a'.repeat(64)
const path = `/badge/${app}/reward-pool.svg`

/** An app as the registry would see it; this badge reads its pool only. */
const picture = {
  view: { pool: { free: '1000000000', epochsLeft: 30 }, rules: { places: 3 } },
  mirrors: [],
} as unknown as Picture

/** The registry's own server and board: badge cache, background looks, ETags, router behind. The database is left out. */
function registryServer(): Server {
  const look = async (id: string) => (id === app ? picture : undefined)
  const board = createBoard({
    picture: look,
    now: Date.now,
    freshMs: 500,
    patienceMs: 1_000,
    maxBadges: 10_000,
  })
  const routes = buildApp({
    registry: { picture: look } as Registry,
    board,
    network: () => undefined,
    ready: async () => ({ ok: true, burnHeight: 0, stacksHeight: 0, relaysConnected: 0 }),
    metrics: { contentType: 'text/plain', text: async () => '' },
    publicUrl: '/',
    onError: (error) => console.error(error),
  })
  return createHttpServer(routes, board)
}

/** The floor: the same bytes and headers, and nothing else. */
function bareServer(): Server {
  const { headers, body } = renderBadge(appBadge('reward-pool', picture.view, picture.mirrors), 'svg')
  return createServer((_, response) => {
    response.writeHead(200, headers)
    response.end(body)
  })
}

// Forked, this file is one of the two servers.
const role = process.send ? process.argv[2] : undefined
if (role === 'registry' || role === 'bare') {
  const url = await listenOn(role === 'registry' ? registryServer() : bareServer(), 0, '127.0.0.1')
  process.on('disconnect', () => process.exit(0))
  process.on('message', () => process.send!(process.cpuUsage()))
  process.send!(url)
}

/** Requests per second of the badge over HTTP with keep-alive. Floor: bare `node:http` sending the same bytes and headers. */
export async function bench(): Promise<BenchResult> {
  const registry = await start('registry')
  const bare = await start('bare')
  try {
    // The first answer goes through the router and puts the badge on the board.
    await responseOf(registry.url)
    const bytes = await responseOf(registry.url)
    const same = await responseOf(bare.url)
    if (bytes.body !== same.body || bytes.length !== same.length)
      throw new Error('the servers send different bytes')
    const counts = { registry: 0, bare: 0 }
    const cpu = { registry: 0, bare: 0 }
    // Both are warm before anything counts; then they take turns, so that a busy machine is busy for both.
    for (let round = -1; round < rounds; round++) {
      const order = round % 2 === 0 ? (['registry', 'bare'] as const) : (['bare', 'registry'] as const)
      for (const name of order) {
        const { url, child } = name === 'registry' ? registry : bare
        const before = await cpuSecondsOf(child)
        const rate = await load(url, bytes.length)
        if (round >= 0) counts[name] += rate
        if (round >= 0) cpu[name] += (await cpuSecondsOf(child)) - before
        console.error(`badge: ${name} ${Math.round(rate)} requests/s${round < 0 ? ' (warming up)' : ''}`)
      }
    }
    const value = counts.registry / rounds
    const floor = counts.bare / rounds
    const ratio = value / floor
    const seconds = (rounds * sliceMs) / 1_000
    return {
      bench: 'badge',
      value: Math.round(value),
      unit: 'requests/s',
      floor: Math.round(floor),
      ratio: Math.round(ratio * 1_000) / 1_000,
      goal,
      met: ratio >= goal,
      connections,
      responseBytes: bytes.length,
      // Near 1 where the server, not the load, sets the pace.
      serverBusy: hundredths(cpu.registry / seconds),
      floorBusy: hundredths(cpu.bare / seconds),
      // The same ratio by the CPU time of the servers alone.
      cpuRatio: hundredths(value / cpu.registry / (floor / cpu.bare)),
    }
  } finally {
    for (const { child } of [registry, bare]) child.disconnect()
  }
}

const hundredths = (value: number) => Math.round(value * 100) / 100

async function cpuSecondsOf(child: ChildProcess): Promise<number> {
  child.send('cpu')
  const [usage] = (await once(child, 'message')) as [NodeJS.CpuUsage]
  return (usage.user + usage.system) / 1e6
}

async function start(name: 'registry' | 'bare'): Promise<{ url: URL; child: ChildProcess }> {
  const child = fork(fileURLToPath(import.meta.url), [name], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit').then(() => {
    throw new Error(`the ${name} server ended`)
  })
  const [url] = (await Promise.race([once(child, 'message'), exited])) as [string]
  exited.catch(() => {})
  return { url: new URL(url), child }
}

const get = (url: URL) => `GET ${path} HTTP/1.1\r\nHost: ${url.host}\r\nAccept: image/svg+xml\r\n\r\n`

/** One answer as it comes over the wire. Every further one is as long. */
async function responseOf(url: URL): Promise<{ length: number; body: string }> {
  const socket = connect(Number(url.port), url.hostname)
  socket.write(get(url))
  let text = ''
  for await (const chunk of socket) {
    text += (chunk as Buffer).toString('latin1')
    const [head, body] = text.split('\r\n\r\n')
    const length = Number(/content-length: (\d+)/i.exec(head!)?.[1])
    if (body === undefined || body.length < length) continue
    socket.destroy()
    if (!head!.startsWith('HTTP/1.1 200')) throw new Error(`the badge was refused: ${head}`)
    return { length: text.length, body }
  }
  throw new Error('no badge came')
}

/** Requests per second: each connection asks again once it has its answer. Bytes are counted, not parsed, to load the server alone. */
async function load(url: URL, bytesEach: number): Promise<number> {
  const request = Buffer.from(get(url))
  let answered = 0
  const since = performance.now()
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect(Number(url.port), url.hostname).setNoDelay(true)
      let missing = 0
      const ask = () => {
        missing = bytesEach
        socket.write(request)
      }
      socket.on('data', (chunk) => {
        missing -= chunk.length
        if (missing > 0) return
        if (missing < 0) socket.destroy(new Error('an answer of another length'))
        answered++
        if (performance.now() - since < sliceMs) ask()
        else socket.end()
      })
      ask()
      await once(socket, 'close')
    }),
  )
  return (answered * 1_000) / (performance.now() - since)
}
