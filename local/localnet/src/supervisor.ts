import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, renameSync, statSync, type WriteStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

/** A program: one Node script, its arguments and all of its environment beyond PATH and the like. */
export interface Program {
  readonly name: string
  readonly script: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Others lean on it: it is stopped after those that are not. */
  readonly base?: boolean
}

export interface Process {
  readonly name: string
  readonly logFile: string
  /** Process id (and process group) of the running incarnation. */
  pid(): number | undefined
  /** How often it was started again after it had died. */
  restarts(): number
  /** The URL that the running or next incarnation names in its line `{"msg":"ready","url":…}`. Rejects when it cannot start. */
  ready(timeoutMs?: number): Promise<string>
  /** Ends it for good: SIGTERM to its process group, SIGKILL after the grace. */
  stop(): Promise<void>
  /** For experiments: a signal to the running incarnation, which is then started again. */
  kill(signal: NodeJS.Signals): void
}

export interface SupervisorOptions {
  readonly logDir: string
  /** Every line that a program prints. */
  readonly onLine?: (name: string, line: string) => void
  /** A program died and is started again in `waitMs`, or (null) is given up. */
  readonly onDeath?: (name: string, how: string, waitMs: number | null) => void
  /** Between SIGTERM and SIGKILL, ms. Default 10,000. */
  readonly graceMs?: number
  /** Wait before the first new start, ms; doubles with every death up to 10 s. Default 250. */
  readonly backoffMs?: number
  readonly random?: () => number
  readonly now?: () => number
}

export interface Supervisor {
  start(program: Program): Process
  get(name: string): Process
  list(): readonly Process[]
  /** Ends every program; what others lean on last. */
  stop(): Promise<void>
}

const longestWaitMs = 10_000
/** A program that ran for this long starts its backoff afresh, ms. */
const soundMs = 30_000
/** Deaths in a row, never ready in between, after which a program is given up. */
const patience = 6
/** Exit code of a configuration that cannot work: trying again would not help. */
const badConfiguration = 2
const largestLog = 20 * 1024 * 1024

/** The wait before start number `deaths` + 1: doubling, jittered by a quarter, at most 10 s. */
export function backoff(deaths: number, firstMs: number, random: () => number): number {
  const full = Math.min(longestWaitMs, firstMs * 2 ** Math.max(0, deaths - 1))
  return Math.round(full * (0.75 + random() * 0.25))
}

/** Nothing of the caller's environment reaches a program but this. */
function inherited(): Record<string, string> {
  const names = ['PATH', 'HOME', 'USER', 'LANG', 'LC_ALL', 'TMPDIR', 'TZ']
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  mkdirSync(options.logDir, { recursive: true })
  const running: { readonly program: Program; readonly process: Process }[] = []
  let stopped = false
  const find = (name: string) => running.find((entry) => entry.program.name === name)

  return {
    start(program) {
      if (stopped) throw new Error(`${program.name} is not started: everything is being stopped`)
      if (find(program.name)) throw new Error(`${program.name} is already running`)
      const process = supervise(program, options)
      running.push({ program, process })
      return process
    },
    get(name) {
      const entry = find(name)
      if (!entry)
        throw new Error(`no program is called ${name}: ${running.map((r) => r.program.name).join(', ')}`)
      return entry.process
    },
    list: () => running.map((entry) => entry.process),
    async stop() {
      stopped = true
      const wave = (base: boolean) => running.filter((entry) => (entry.program.base ?? false) === base)
      await Promise.all(wave(false).map((entry) => entry.process.stop()))
      await Promise.all(wave(true).map((entry) => entry.process.stop()))
    },
  }
}

function supervise(program: Program, options: SupervisorOptions): Process {
  const { graceMs = 10_000, backoffMs = 250, random = Math.random, now = Date.now } = options
  const logFile = join(options.logDir, `${program.name}.log`)
  const log = openLog(logFile)
  const leashScript = new URL('./leash.js', import.meta.url.replace('/src/', '/dist/')).href
  const stopping = new AbortController()
  let child: ChildProcess | undefined
  let gone: Promise<void> = Promise.resolve()
  let starts = 0
  let deaths = 0
  let ready = deferred<string>()

  function run(): Promise<{ how: string; code: number | null }> {
    const args = ['--import', leashScript, program.script, ...(program.args ?? [])]
    const started = spawn(process.execPath, args, {
      env: { ...inherited(), ...program.env },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      // Its own process group: a terminal's Ctrl-C reaches us alone, and we end the group as a whole.
      detached: true,
    })
    child = started
    starts++
    for (const stream of [started.stdout!, started.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        log.write(`${line}\n`)
        options.onLine?.(program.name, line)
        const url = readyUrl(line)
        if (url !== undefined) ready.resolve(url)
      })
    }
    return new Promise((settle) => {
      started.once('error', (error) => settle({ how: error.message, code: null }))
      // What the program started must not outlive it.
      started.once('exit', () => signalGroup(started, 'SIGKILL'))
      started.once('close', (code, signal) =>
        settle({ how: signal ? `by ${signal}` : `with code ${code}`, code }),
      )
    })
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      const startedAt = now()
      const { how, code } = await run()
      child = undefined
      if (stopping.signal.aborted) break
      const wasReady = ready.settled
      if (wasReady) ready = deferred()
      deaths = wasReady && now() - startedAt >= soundMs ? 1 : deaths + 1
      if (code === badConfiguration || (!wasReady && deaths >= patience)) {
        options.onDeath?.(program.name, how, null)
        ready.reject(new Error(`${program.name} does not start (it ended ${how}); read ${logFile}`))
        break
      }
      const waitMs = backoff(deaths, backoffMs, random)
      options.onDeath?.(program.name, how, waitMs)
      await delay(waitMs, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
    ready.reject(new Error(`${program.name} was stopped`))
    await new Promise((done) => log.end(done))
  }
  gone = loop()

  return {
    name: program.name,
    logFile,
    pid: () => child?.pid,
    restarts: () => Math.max(0, starts - 1),
    async ready(timeoutMs = 60_000) {
      const timer = new AbortController()
      const late = delay(timeoutMs, undefined, { signal: timer.signal }).then(() => {
        throw new Error(`${program.name} was not ready after ${timeoutMs / 1_000} s; read ${logFile}`)
      })
      late.catch(() => undefined)
      try {
        return await Promise.race([ready.promise, late])
      } finally {
        timer.abort()
      }
    },
    async stop() {
      stopping.abort()
      signalGroup(child, 'SIGTERM')
      const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), graceMs)
      await gone
      clearTimeout(timer)
    },
    kill(signal) {
      if (child?.pid) process.kill(child.pid, signal)
    },
  }
}

/** The url of a line `{"msg":"ready","url":…}`, which every program prints once it serves. */
export function readyUrl(line: string): string | undefined {
  if (!line.startsWith('{') || !line.includes('"ready"')) return undefined
  try {
    const read = JSON.parse(line) as { msg?: unknown; url?: unknown }
    return read.msg === 'ready' ? String(read.url ?? '') : undefined
  } catch {
    return undefined
  }
}

function signalGroup(child: ChildProcess | undefined, signal: NodeJS.Signals): void {
  if (!child?.pid) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The group is gone already.
  }
}

function openLog(file: string): WriteStream {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (size > largestLog) renameSync(file, `${file}.1`)
  return createWriteStream(file, { flags: 'a' })
}

interface Deferred<T> {
  readonly promise: Promise<T>
  readonly settled: boolean
  resolve(value: T): void
  reject(error: Error): void
}

function deferred<T>(): Deferred<T> {
  let settle!: { resolve: (value: T) => void; reject: (error: Error) => void }
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  // A rejection counts only for those who asked.
  promise.catch(() => undefined)
  const state = { promise, settled: false }
  return Object.assign(state, {
    resolve(value: T) {
      state.settled = true
      settle.resolve(value)
    },
    reject: (error: Error) => settle.reject(error),
  })
}
