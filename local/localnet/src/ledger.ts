import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

const stateSchema = z.object({
  version: z.literal(1),
  /** What `--repo` named, or null for the demo app. */
  repo: z.string().nullable(),
  /** Releases published so far: 0, 1 or 2. */
  released: z.number().int().min(0).max(2),
  /** File that a visitor opens first; null before the repository exists. */
  entry: z.string().nullable(),
})

/** What a second start must know of the first. Everything else is on the chain, in the relay, in git. */
export type State = z.infer<typeof stateSchema>

const fileOf = (dataDir: string) => join(dataDir, 'network.json')

/**
 * Opens the data folder, emptied first when `fresh`. Throws when it is not ours, when another localnet runs in it, or when it holds the
 * network of another repository.
 */
export function openLedger(dataDir: string, repo: string | null, fresh: boolean): State {
  const file = fileOf(dataDir)
  const names = existsSync(dataDir) ? readdirSync(dataDir) : []
  if (names.length > 0 && !existsSync(file)) {
    throw new Error(`${dataDir} holds something else than a local network: name another folder with --data`)
  }
  const other = runningIn(dataDir)
  if (other)
    throw new Error(
      `a local network runs in ${dataDir} already (process ${other}): stop it, or name another --data`,
    )
  if (fresh) for (const name of names) rmSync(join(dataDir, name), { recursive: true, force: true })
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const before = existsSync(file) ? stateSchema.safeParse(JSON.parse(readFileSync(file, 'utf8'))) : undefined
  if (before && !before.success) throw new Error(`${file} is of another version: start anew with --fresh`)
  if (before && before.data.repo !== repo) {
    throw new Error(
      `${dataDir} holds a network of ${before.data.repo ?? 'the demo app'}: start anew with --fresh`,
    )
  }
  const state = before?.data ?? { version: 1, repo, released: 0, entry: null }
  saveState(dataDir, state)
  writeFileSync(join(dataDir, 'localnet.pid'), `${process.pid}\n`)
  return state
}

export function saveState(dataDir: string, state: State): void {
  const file = fileOf(dataDir)
  writeFileSync(`${file}.new`, `${JSON.stringify(state, undefined, 2)}\n`)
  renameSync(`${file}.new`, file)
}

export function closeLedger(dataDir: string): void {
  rmSync(join(dataDir, 'localnet.pid'), { force: true })
}

/** The process that runs a network in this folder, if one does. */
function runningIn(dataDir: string): number | undefined {
  let pid: number
  try {
    pid = Number(readFileSync(join(dataDir, 'localnet.pid'), 'utf8'))
  } catch {
    return undefined
  }
  if (!(pid > 1) || pid === process.pid) return undefined
  try {
    process.kill(pid, 0)
  } catch {
    return undefined
  }
  // The number may belong to a stranger by now.
  if (process.platform !== 'linux') return pid
  const command = existsSync(`/proc/${pid}/cmdline`) ? readFileSync(`/proc/${pid}/cmdline`, 'latin1') : ''
  return /localnet|vitest/.test(command) ? pid : undefined
}
