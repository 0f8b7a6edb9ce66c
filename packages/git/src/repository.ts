import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { TreeBlob } from '@understudy/protocol/challenge'
import { type Parsed, parsed, refused } from '@understudy/protocol/event'
import { simpleGit } from 'simple-git'
import { type CloneVantage, checkCloneUrl } from './clone-url.ts'
import { gitEnv, requireGit, runGit } from './command.ts'
import { maintain } from './maintenance.ts'
import { blobsOf, commitOf, hasCommit, treeOf } from './tree.ts'

export interface RepositoryOptions {
  /** Folder of the bare repository; made by the first clone. One program at a time. */
  readonly dir: string
  readonly url: string
  readonly vantage: CloneVantage
  /** Most bytes that the folder may grow to. Default 4 GiB. */
  readonly maxBytes?: number
  /** For one clone or fetch, ms. Default 15 minutes. */
  readonly timeoutMs?: number
  /** Silence after which a clone or fetch is given up, ms. Default 60,000. */
  readonly stallMs?: number
}

/** A bare clone of somebody's repository. */
export interface Repository {
  readonly dir: string
  /** Brings branches and tags to what they are there, clones when there is nothing yet. What it held before stays readable. */
  fetch(signal?: AbortSignal): Promise<Parsed<void>>
  /** Gathers the packs that fetches leave behind; a fetch that comes meanwhile ends it. Loses no object. */
  maintain(signal?: AbortSignal): Promise<Parsed<void>>
  /** Whether a branch or tag leads to the commit. */
  has(commit: string): Promise<boolean>
  /** Whether the commit is there at all, also where a branch was since moved away from it. */
  holds(commit: string): Promise<boolean>
  treeOf(commit: string): Promise<string>
  blobsOf(commit: string): Promise<Parsed<TreeBlob[]>>
}

/** How often the folder is measured while git works, ms. */
const measureMs = 250

/** Clones, or opens what an earlier run cloned. `ok: false` says why there is nothing to read. */
export async function openRepository(options: RepositoryOptions): Promise<Parsed<Repository>> {
  const repository = await prepareRepository(options)
  if (await isRepository(options.dir)) return parsed(repository)
  const cloned = await repository.fetch()
  return cloned.ok ? parsed(repository) : cloned
}

/** The same without touching the network: `fetch` clones when nothing is there. Clears away what a killed run left half done. */
export async function prepareRepository(options: RepositoryOptions): Promise<Repository> {
  const dir = resolve(options.dir)
  await requireGit()
  await mkdir(dirname(dir), { recursive: true })
  await sweep(dir)
  let running: Promise<Parsed<void>> | undefined
  let tidying: { readonly stop: AbortController; readonly done: Promise<Parsed<void>> } | undefined
  async function tidy(signal: AbortSignal): Promise<Parsed<void>> {
    if (running || !(await isRepository(dir))) return refused('a fetch runs, or nothing is cloned yet')
    // What it writes is at most what it gathers.
    return maintain(dir, { freeBytes: 2 * (await sizeOf(dir)) }, signal)
  }
  return {
    dir,
    fetch(signal) {
      running ??= (async () => {
        tidying?.stop.abort()
        await tidying?.done.catch(() => {})
        return update({ ...options, dir }, signal)
      })().finally(() => {
        running = undefined
      })
      return running
    },
    maintain(signal) {
      if (!tidying) {
        const stop = new AbortController()
        const done = tidy(stop.signal).finally(() => {
          tidying = undefined
        })
        tidying = { stop, done }
      }
      const { stop, done } = tidying
      const onAbort = () => stop.abort()
      if (signal?.aborted) onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
      return done.finally(() => signal?.removeEventListener('abort', onAbort))
    },
    has: async (commit) => (await isRepository(dir)) && hasCommit(dir, commit),
    holds: async (commit) => (await isRepository(dir)) && (await commitOf(dir, commit)) === commit,
    treeOf: (commit) => treeOf(dir, commit),
    blobsOf: (commit) => blobsOf(dir, commit),
  }
}

async function isRepository(dir: string): Promise<boolean> {
  const head = await stat(join(dir, 'HEAD')).catch(() => undefined)
  if (!head) return false
  return (await runGit(dir, ['rev-parse', '--is-bare-repository'])).code === 0
}

/** Removes half clones, half packs and locks of a run that was killed. */
async function sweep(dir: string): Promise<void> {
  const siblings = await readdir(dirname(dir))
  const halves = siblings.filter((name) => name.startsWith(`${basename(dir)}.partial-`))
  for (const name of halves) await rm(join(dirname(dir), name), { recursive: true, force: true })
  const inside = await readdir(dir, { recursive: true }).catch(() => [])
  const left = inside.filter((path) => path.endsWith('.lock') || /^(tmp_|\.tmp-)/.test(basename(path)))
  for (const path of left) await rm(join(dir, path), { recursive: true, force: true })
}

type Update = RepositoryOptions & { readonly dir: string }

async function update(options: Update, signal?: AbortSignal): Promise<Parsed<void>> {
  const checked = await checkCloneUrl(options.url, options.vantage)
  if (!checked.ok) return checked
  const { url, pin } = checked.value
  if (await isRepository(options.dir)) {
    const refspecs = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*']
    const flags = [
      '--prune',
      '--force',
      '--no-tags',
      '--no-write-fetch-head',
      '--no-auto-maintenance',
      '--quiet',
    ]
    return transfer(options, options.dir, pin, ['fetch', ...flags, '--', url, ...refspecs], signal)
  }
  // Under another name until it is complete: a clone is there, or it is not.
  const half = `${options.dir}.partial-${randomBytes(4).toString('hex')}`
  await mkdir(half)
  try {
    const args = ['clone', '--bare', '--quiet', '--no-local', '--template=', '--', url, '.']
    const cloned = await transfer(options, half, pin, args, signal)
    if (!cloned.ok) return cloned
    await rm(options.dir, { recursive: true, force: true })
    await rename(half, options.dir)
    return cloned
  } finally {
    await rm(half, { recursive: true, force: true })
  }
}

/** Runs one git that talks to the network, held to the pinned addresses, a size and two deadlines. */
async function transfer(
  options: Update,
  dir: string,
  pin: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<Parsed<void>> {
  const { vantage, maxBytes = 4 * 1024 ** 3, timeoutMs = 15 * 60_000, stallMs = 60_000 } = options
  const controller = new AbortController()
  let why: string | undefined
  const stop = (reason: string) => {
    why ??= reason
    controller.abort()
  }
  const onAbort = () => stop('stopped')
  if (signal?.aborted) return refused('stopped')
  signal?.addEventListener('abort', onAbort)
  const deadline = setTimeout(() => stop(`took longer than ${timeoutMs / 1000} s`), timeoutMs)

  // Silence is judged by what reaches the disk: git is quiet, and a large pack takes long.
  let measured = -1
  let grownAt = Date.now()
  let measuring = false
  const measure = async () => {
    if (measuring) return
    measuring = true
    const size = await sizeOf(dir)
    if (size > maxBytes) stop(`the repository is larger than ${maxBytes} bytes`)
    if (size !== measured) grownAt = Date.now()
    else if (Date.now() - grownAt > stallMs) stop(`nothing received for ${stallMs / 1000} s`)
    measured = size
    measuring = false
  }
  const watch = setInterval(() => void measure(), measureMs)

  const config = [
    `http.curloptResolve=${pin}`,
    'http.followRedirects=false',
    'http.proxy=',
    'http.emptyAuth=false',
    'http.lowSpeedLimit=1',
    `http.lowSpeedTime=${Math.ceil(stallMs / 1000)}`,
    'credential.helper=',
    'core.askPass=',
    'protocol.allow=never',
    'protocol.https.allow=always',
    ...(vantage.schemes.includes('http:') ? ['protocol.http.allow=always'] : []),
    'transfer.bundleURI=false',
    'fetch.unpackLimit=1',
    'gc.auto=0',
    'maintenance.auto=false',
  ]
  try {
    const env = gitEnv(dirname(dir))
    const git = simpleGit({
      baseDir: dir,
      config,
      abort: controller.signal,
      allowEnvironment: Object.keys(env),
      // Each is set to stricter than git's default above, which is what the guard cannot tell.
      unsafe: {
        allowUnsafeProtocolOverride: true,
        allowUnsafeCredentialHelper: true,
        allowUnsafeAskPass: true,
        allowUnsafeTemplateDir: true,
        allowUnsafeConfigPaths: true,
      },
    }).env(env)
    await git.raw([...args])
    const size = await sizeOf(dir)
    return size > maxBytes ? refused(`the repository is larger than ${maxBytes} bytes`) : parsed(undefined)
  } catch (error) {
    return refused(why ?? reasonOf(error))
  } finally {
    clearTimeout(deadline)
    clearInterval(watch)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** git's own sentence, in one short line. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const lines = text.split('\n').map((line) => line.trim())
  const line = lines.find((l) => l.startsWith('fatal:')) ?? lines.find((l) => l !== '') ?? 'git failed'
  return line
    .replace(/^fatal: /, '')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 300)
}

/** Bytes of all files below the folder; what vanishes meanwhile counts as nothing. */
async function sizeOf(dir: string): Promise<number> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  const sizes = await Promise.all(
    entries.map(async (entry) => {
      const path = join(dir, entry.name)
      if (entry.isDirectory()) return sizeOf(path)
      return (await stat(path).catch(() => undefined))?.size ?? 0
    }),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
