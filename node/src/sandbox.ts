import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** How a command runs that is not ours. */
export interface SandboxOptions {
  /** Folder with a `work` and a `home`; with name spaces the command sees it at `/mnt`. */
  readonly root: string
  /** Folder that the command must not see; only with name spaces. */
  readonly hidden?: string | undefined
  /** Besides `PATH`, `HOME`, `TMPDIR`, `LANG` and `TZ`, all that the command's environment has. */
  readonly env?: Readonly<Record<string, string>>
  /** By the clock, and of CPU, ms. */
  readonly timeoutMs: number
  /** Largest file that it may write, bytes. */
  readonly maxFileBytes?: number
  /** Most memory of one process, bytes. Default 4 GiB. */
  readonly memoryBytes?: number
}

export type Ran =
  | { readonly ok: true }
  /** `said` ends with what it wrote last. */
  | { readonly ok: false; readonly reason: string }

/** What of the sandbox this platform gives. */
export interface Isolation {
  /** No network, no sight of other processes or of `hidden`. */
  readonly nameSpaces: boolean
  readonly limits: boolean
}

const nameSpaceArgs = ['--map-root-user', '--net', '--pid', '--mount', '--fork', '--kill-child']
let found: Promise<Isolation> | undefined

/** Looks once what this platform gives. */
export function isolation(): Promise<Isolation> {
  found ??= (async () => {
    if (process.platform !== 'linux') return { nameSpaces: false, limits: false }
    const works = (program: string, args: readonly string[]) =>
      ended(spawn(program, [...args], { stdio: 'ignore', timeout: 10_000 })).then(
        (code) => code === 0,
        () => false,
      )
    const mount = 'mount -t tmpfs none /mnt'
    return {
      nameSpaces: existsSync('/mnt') && (await works('unshare', [...nameSpaceArgs, 'sh', '-c', mount])),
      limits: await works('prlimit', ['--core=0', 'true']),
    }
  })()
  return found
}

/** Says plainly what is missing; empty when nothing is. */
export function weaknesses({ nameSpaces, limits }: Isolation): string[] {
  return [
    ...(nameSpaces
      ? []
      : ['builds are not cut off from the network and see this user’s files: no name spaces here (unshare)']),
    ...(limits ? [] : ['builds have no limit but time: no prlimit here']),
  ]
}

/** Mounts stay in the command's own name space. `$0` is hidden when it is not empty. */
const enter = [
  'set -e',
  'root=$1; shift',
  'mount --bind "$root" /mnt',
  'if [ -n "$0" ]; then mount -t tmpfs -o size=4k,mode=700 none "$0"; fi',
  'cd /mnt/work',
  'exec "$@"',
].join('\n')

/** Most bytes kept of what the command says. */
const maxSaidBytes = 2_000

/** Runs a command to its end, cut off as far as the platform allows; nothing that it started outlives it there. */
export async function runIsolated(command: readonly string[], options: SandboxOptions): Promise<Ran> {
  const { root, hidden, timeoutMs, maxFileBytes = 1024 ** 3, memoryBytes = 4 * 1024 ** 3 } = options
  const { nameSpaces, limits } = await isolation()
  const at = nameSpaces ? '/mnt' : root
  const bounds = [
    ...['--core=0', '--nofile=4096', `--fsize=${maxFileBytes}`, `--data=${memoryBytes}`],
    `--cpu=${Math.ceil(timeoutMs / 1_000)}`,
  ]
  const limited = limits ? ['prlimit', ...bounds, ...command] : command
  const [program, ...args] = nameSpaces
    ? ['unshare', ...nameSpaceArgs, 'sh', '-c', enter, hidden ?? '', root, ...limited]
    : limited
  const child = spawn(program!, args, {
    cwd: join(root, 'work'),
    env: {
      PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
      HOME: join(at, 'home'),
      TMPDIR: join(at, 'home'),
      LANG: 'C.UTF-8',
      TZ: 'UTC',
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, to end all of it where there are no name spaces.
    detached: true,
  })
  let said = ''
  const hear = (chunk: Buffer) => {
    said = (said + chunk.toString('utf8')).slice(-maxSaidBytes)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  let late = false
  const timer = setTimeout(() => {
    late = true
    endGroup(child)
  }, timeoutMs)
  try {
    const code = await ended(child)
    if (code === 0 && !late) return { ok: true }
    const how = late ? `took longer than ${timeoutMs / 1_000} s` : `ended with ${code ?? child.signalCode}`
    return { ok: false, reason: `${command.join(' ')} ${how}${said.trim() ? `: ${said.trim()}` : ''}` }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { ok: false, reason: `${command.join(' ')} could not be started: ${why}` }
  } finally {
    clearTimeout(timer)
    endGroup(child)
  }
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

/** Exit code; not before its output is read. */
function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
}
