import { type ChildProcess, fork, type StdioOptions } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { createMetrics } from '@understudy/host/metrics'
import { createFiles, type StoredFile } from '@understudy/node/files'
import { createListener } from '@understudy/node/listener'
import type { PreparedRelease } from '@understudy/node/preparation'
import { createServe } from '@understudy/node/serve'
import { createSite } from '@understudy/node/site'
import { Hono } from 'hono'
import { quantile } from './relay-program.ts'
import type { BenchResult } from './result.ts'

const connections = 16
const rounds = Number(process.env.ROUNDS ?? 31)
const sliceMs = 200
/** Path, bytes, least share of the floor. */
const sizes = [
  ['/small.js', 1_000, 0.8],
  ['/medium.js', 100_000, 0.8],
  ['/large.bin', 5_000_000, 0.9],
] as const

const contents: ReadonlyMap<string, Buffer> = new Map(
  sizes.map(([path, size]) => [path, Buffer.alloc(size, `${path} understudy `)] as const),
)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** The node's own server: pins, conditions, memory, counters. Git is left out: what is asked for often is in memory. */
function nodeListener(dir: string): RequestListener {
  const listed = [...contents].map(([path, bytes]): StoredFile => {
    const file = { path, sha256: sha256(bytes), size: bytes.length }
    writeFileSync(join(dir, file.sha256), bytes)
    return file
  })
  const release = { entry: '/small.js', manifest: '0'.repeat(64), seq: 1 }
  const site = createSite()
  const files = new Map(listed.map((file) => [file.path, file]))
  site.switchTo({ release, files, blobs: [], manifest: new Uint8Array() } as unknown as PreparedRelease)
  const git = async () => {
    throw new Error('every file is on disk')
  }
  const onError = (error: Error) => console.error(error)
  const serve = createServe(createFiles({ objects: { read: git, pour: git }, dir }), onError)
  return createListener({ site, serve, own: new Hono(), metrics: createMetrics('node'), onError })
}

/** The floor: the same bytes and headers from memory, and nothing else. */
function bareListener(headers: Record<string, Record<string, string>>): RequestListener {
  return (request, response) => {
    const path = request.url!
    response.writeHead(200, headers[path])
    response.end(contents.get(path))
  }
}

// Forked, this file is one of the two servers, or the load.
const role = process.send ? process.argv[2] : undefined
if (role === 'node' || role === 'bare') {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-serve-'))
  const listener = role === 'node' ? nodeListener(dir) : bareListener(JSON.parse(process.argv[3]!))
  const server = createServer(listener).listen(0, '127.0.0.1', () =>
    process.send!((server.address() as AddressInfo).port),
  )
  process.on('message', () => process.send!(process.cpuUsage()))
  process.on('disconnect', () => {
    rmSync(dir, { recursive: true, force: true })
    process.exit(0)
  })
}
if (role === 'load') {
  process.on('disconnect', () => process.exit(0))
  process.on('message', async ({ port, path, bytes }: { port: number; path: string; bytes: number }) =>
    process.send!(await load(port, path, bytes)),
  )
  process.send!('ready')
}

/**
 * Answers per second by the clock over keep-alive: server, floor and client in a process each, the two servers taking turns in every
 * round. Each file's floor is bare `node:http` sending the same bytes and headers from memory. A round compares the two within half a
 * second of each other, so that a busy machine is busy for both; the ratio is the median of the rounds'. `cpuRatio` is the same per
 * CPU-second of the server.
 */
export async function bench(): Promise<BenchResult> {
  const children: ChildProcess[] = []
  const start = async (name: string, ...args: string[]) => {
    const stdio: StdioOptions = ['ignore', 'ignore', 'inherit', 'ipc']
    const child = fork(fileURLToPath(import.meta.url), [name, ...args], { stdio })
    children.push(child)
    const [port] = (await once(child, 'message')) as [number]
    return { child, port }
  }
  try {
    const node = await start('node')
    const headers: Record<string, Record<string, string>> = {}
    for (const [path] of sizes) {
      const answer = await fetch(`http://127.0.0.1:${node.port}${path}`)
      if (sha256(new Uint8Array(await answer.arrayBuffer())) !== sha256(contents.get(path)!))
        throw new Error('the node sends other bytes')
      const own = ['connection', 'keep-alive', 'date', 'transfer-encoding']
      headers[path] = Object.fromEntries([...answer.headers].filter(([name]) => !own.includes(name)))
    }
    const bare = await start('bare', JSON.stringify(headers))
    const client = await start('load')
    const files = []
    for (const [path, , goal] of sizes) {
      const bytes = await lengthOf(node.port, path)
      if (bytes !== (await lengthOf(bare.port, path))) throw new Error('the servers send different bytes')
      const turns: { node: Turn; bare: Turn }[] = []
      // Both are warm and compiled before anything counts.
      for (let round = -6; round < rounds; round++) {
        const turn: Partial<Record<'node' | 'bare', Turn>> = {}
        for (const name of round % 2 === 0 ? (['node', 'bare'] as const) : (['bare', 'node'] as const)) {
          const server = name === 'node' ? node : bare
          const before = await cpuSecondsOf(server.child)
          client.child.send({ port: server.port, path, bytes })
          const [{ answered, seconds }] = (await once(client.child, 'message')) as [Loaded]
          const cpu = (await cpuSecondsOf(server.child)) - before
          turn[name] = { perSecond: answered / seconds, perCpu: answered / cpu }
        }
        if (round >= 0) turns.push(turn as { node: Turn; bare: Turn })
      }
      const median = (of: (turn: { node: Turn; bare: Turn }) => number) => quantile(turns.map(of), 0.5)
      const value = Math.round(median(({ node }) => node.perSecond))
      const floor = Math.round(median(({ bare }) => bare.perSecond))
      const ratio = Math.round(median(({ node, bare }) => (1_000 * node.perSecond) / bare.perSecond)) / 1_000
      const cpuRatio = Math.round(median(({ node, bare }) => (1_000 * node.perCpu) / bare.perCpu)) / 1_000
      console.error(`serve: ${path} ${value} per second, bare ${floor}: ${ratio}; per CPU-second ${cpuRatio}`)
      files.push({ path, value, floor, ratio, goal, met: ratio >= goal, cpuRatio })
    }
    // The file that comes closest to missing its goal speaks for all.
    const worst = files.reduce((a, b) => (a.ratio / a.goal <= b.ratio / b.goal ? a : b))
    return {
      bench: 'serve',
      value: worst.value,
      unit: `answers of ${worst.path} per second`,
      floor: worst.floor,
      ratio: worst.ratio,
      goal: worst.goal,
      met: files.every(({ met }) => met),
      connections,
      files,
    }
  } finally {
    for (const child of children) child.disconnect()
  }
}

/** What a server answered in its turn. */
interface Turn {
  readonly perSecond: number
  readonly perCpu: number
}

interface Loaded {
  readonly answered: number
  readonly seconds: number
}

async function cpuSecondsOf(child: ChildProcess): Promise<number> {
  child.send('cpu')
  const [usage] = (await once(child, 'message')) as [NodeJS.CpuUsage]
  return (usage.user + usage.system) / 1e6
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n`

/** Bytes of one answer as it comes over the wire. Every further one is as long. */
async function lengthOf(port: number, path: string): Promise<number> {
  const socket = connect(port, '127.0.0.1')
  socket.write(get(path))
  let head = ''
  let length = 0
  for await (const chunk of socket) {
    length += (chunk as Buffer).length
    if (!head.includes('\r\n\r\n')) head += (chunk as Buffer).toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    const body = Number(/content-length: (\d+)/i.exec(head)?.[1])
    if (end > 0 && length >= end + 4 + body) {
      socket.destroy()
      return length
    }
  }
  throw new Error(`no answer for ${path}`)
}

/** Each connection asks again once it has its answer. Bytes are counted, not parsed, to load the server alone. */
async function load(port: number, path: string, bytesEach: number): Promise<Loaded> {
  const request = Buffer.from(get(path))
  let answered = 0
  const since = performance.now()
  await Promise.all(
    Array.from({ length: connections }, async () => {
      // One buffer for all that comes: what is received is not looked at.
      const socket = connect({
        port,
        host: '127.0.0.1',
        noDelay: true,
        onread: {
          buffer: Buffer.allocUnsafe(256 * 1024),
          callback: (length) => {
            missing -= length
            if (missing <= 0) done()
            return true
          },
        },
      })
      let missing = bytesEach
      const done = () => {
        if (missing < 0) socket.destroy(new Error('an answer of another length'))
        answered++
        missing = bytesEach
        if (performance.now() - since < sliceMs) socket.write(request)
        else socket.destroy()
      }
      socket.write(request)
      await once(socket, 'close')
    }),
  )
  return { answered, seconds: (performance.now() - since) / 1_000 }
}
