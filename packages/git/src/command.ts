import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { devNull } from 'node:os'
import type { Readable, Writable } from 'node:stream'

/**
 * The whole environment of every git that we start: nothing is inherited but the search path, and no configuration file outside the
 * repository is read. `home` has no `.netrc`.
 */
export function gitEnv(home: string): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    // Windows starts no program without it.
    ...(process.env.SystemRoot ? { SystemRoot: process.env.SystemRoot } : {}),
    HOME: home,
    LC_ALL: 'C',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: devNull,
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_NO_LAZY_FETCH: '1',
    GIT_OPTIONAL_LOCKS: '0',
  }
}

export type GitProcess = ChildProcessByStdio<Writable, Readable, Readable>

/** Starts git on one repository (bare, or a `.git` folder). For plumbing only: nothing here touches the network. */
export function spawnGit(dir: string, args: readonly string[]): GitProcess {
  return spawn('git', [`--git-dir=${dir}`, '-c', 'core.fsmonitor=false', ...args], {
    env: gitEnv(dir),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

export interface CommandResult {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null
  readonly stdout: Buffer
  /** The first kilobyte. */
  readonly stderr: string
}

/** Runs git to its end. Throws when it cannot be started, says more than `maxBytes`, or takes longer than `timeoutMs`. */
export async function runGit(
  dir: string,
  args: readonly string[],
  { maxBytes = 1024 * 1024, timeoutMs = 60_000 } = {},
): Promise<CommandResult> {
  const child = spawnGit(dir, args)
  child.stdin.on('error', () => {}).end()
  const chunks: Buffer[] = []
  let size = 0
  let stderr = ''
  let problem: string | undefined
  const stop = (why: string) => {
    problem ??= why
    child.kill('SIGKILL')
  }
  const timer = setTimeout(() => stop(`took longer than ${timeoutMs} ms`), timeoutMs)
  child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > maxBytes) stop(`answered more than ${maxBytes} bytes`)
    else chunks.push(chunk)
  })
  child.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < 1024) stderr += chunk.toString('utf8').slice(0, 1024)
  })
  try {
    const code = await ended(child)
    if (problem) throw new Error(`git ${args[0]}: ${problem}`)
    return { code, stdout: Buffer.concat(chunks), stderr }
  } finally {
    clearTimeout(timer)
  }
}

/** Exit code once the process has ended and its streams are read. Rejects when it never started. */
export function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new Error('git could not be started; is it installed?', { cause })))
    child.once('close', (code) => resolve(code))
  })
}

/** A process may end by itself just before it is spoken to. */
export function unlessEnded(speak: () => void): void {
  try {
    speak()
  } catch (error) {
    const { code, info } = error as NodeJS.ErrnoException & { info?: { code?: string } }
    if ((info?.code ?? code) !== 'ESRCH') throw error
  }
}

/** Oldest git that can be held to the addresses that we checked (`http.curloptResolve`). */
const oldest = [2, 37] as const
let checked: Promise<void> | undefined

/** Throws when git is missing or too old. Asked once in the life of the program. */
export function requireGit(): Promise<void> {
  checked ??= (async () => {
    const { stdout } = await runGit('.', ['version'])
    const found = /(\d+)\.(\d+)/.exec(stdout.toString('utf8'))
    const [major, minor] = [Number(found?.[1] ?? 0), Number(found?.[2] ?? 0)]
    if (major < oldest[0] || (major === oldest[0] && minor < oldest[1]))
      throw new Error(`git ${oldest.join('.')} or newer is needed; found ${found?.[0] ?? 'another program'}`)
  })()
  checked.catch(() => {
    checked = undefined
  })
  return checked
}
