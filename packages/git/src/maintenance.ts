import { spawn } from 'node:child_process'
import { statfs } from 'node:fs/promises'
import { constants, setPriority } from 'node:os'
import { type Parsed, parsed, refused } from '@understudy/protocol/event'
import { ended, gitEnv, unlessEnded } from './command.ts'

/**
 * None of these drops an object, reachable or not (`gc` would prune releases that a branch has moved away from), and readers may go on
 * meanwhile: small packs are gathered into one, and those that it replaces are deleted by the next run only, when nobody reads them any
 * more. The same precaution as git-maintenance's `incremental-repack`, which gathers two packs at a time.
 */
const steps = [
  ['pack-refs', '--all'],
  ['commit-graph', 'write', '--reachable', '--no-progress'],
  ['multi-pack-index', 'write', '--no-progress'],
  ['multi-pack-index', 'expire', '--no-progress'],
  ['repack', '--geometric=2', '--quiet', '--no-write-bitmap-index'],
  ['multi-pack-index', 'write', '--no-progress'],
]
const settings = ['pack.threads=1', 'pack.windowMemory=128m', 'core.multiPackIndex=true'].flatMap(
  (setting) => ['-c', setting],
)

export interface MaintenanceLimits {
  /** Bytes that must be free on the disk. */
  readonly freeBytes: number
  /** ms. Default 10 minutes. */
  readonly timeoutMs?: number
}

/** Tidies a bare repository: one thread, low priority, bounded memory. It may be stopped at any moment and is simply begun anew. */
export async function maintain(
  dir: string,
  { freeBytes, timeoutMs = 10 * 60_000 }: MaintenanceLimits,
  signal?: AbortSignal,
): Promise<Parsed<void>> {
  const { bavail, bsize } = await statfs(dir)
  if (bavail * bsize < freeBytes) return refused(`fewer than ${freeBytes} bytes are free on the disk`)
  const deadline = AbortSignal.timeout(timeoutMs)
  const stop = signal ? AbortSignal.any([signal, deadline]) : deadline
  for (const step of steps) {
    const code = stop.aborted ? null : await run(dir, step, stop)
    if (signal?.aborted) return refused('stopped')
    if (deadline.aborted) return refused(`took longer than ${timeoutMs} ms`)
    if (code !== 0) return refused(`git ${step[0]} ended with ${code}`)
  }
  return parsed(undefined)
}

async function run(dir: string, args: readonly string[], stop: AbortSignal): Promise<number | null> {
  const group = process.platform !== 'win32'
  const child = spawn('git', [`--git-dir=${dir}`, ...settings, ...args], {
    env: gitEnv(dir),
    stdio: 'ignore',
    // A group of its own, so that what git starts ends with it.
    detached: group,
  })
  const end = ended(child)
  const onStop = () =>
    unlessEnded(() => {
      if (group && child.pid) process.kill(-child.pid, 'SIGTERM')
      else child.kill('SIGTERM')
    })
  if (child.pid) unlessEnded(() => setPriority(child.pid!, constants.priority.PRIORITY_LOW))
  stop.addEventListener('abort', onStop)
  try {
    return await end
  } finally {
    stop.removeEventListener('abort', onStop)
  }
}
