import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import type { AppConfig } from '@understudy/client/config'
import { checkCloneUrl } from '@understudy/git/clone-url'
import { openRepository } from '@understudy/git/repository'
import { publicVantage } from '@understudy/host/vantage'
import { program, projectRoot } from './folders.ts'
import { git } from './git.ts'

export interface Repositories {
  /** The maintainer's working tree, which the master's server serves. */
  readonly checkout: string
  /** Bare repositories: `master.git` and one fork per mirror. */
  readonly forge: string
  /** File that a visitor opens first, `/index.html` for instance. */
  readonly entry: string
}

/** The script of the app's page that registers its service worker. */
const loaderTag = '<script type="module" src="./understudy.js"></script>'

export const repositoriesIn = (dataDir: string) => ({
  checkout: join(dataDir, 'checkout'),
  forge: join(dataDir, 'forge'),
})

/**
 * Makes the master repository, out of the demo app or of a clone of `repo`. One commit, or as many as `repo` has. `prepare` may add to the
 * demo app before it is committed.
 */
export async function createMaster(
  dataDir: string,
  config: AppConfig,
  repo: string | undefined,
  prepare: (checkout: string) => Promise<void> = async () => {},
): Promise<Repositories> {
  const { checkout, forge } = repositoriesIn(dataDir)
  const master = join(forge, 'master.git')
  mkdirSync(forge, { recursive: true })
  if (repo) {
    if (isUrl(repo)) await cloneUrl(repo, master)
    else await git(forge, 'clone', '--quiet', '--bare', '--single-branch', repo, master)
    const branch = await git(master, 'symbolic-ref', '--short', 'HEAD')
    if (branch !== 'main') {
      await git(master, 'branch', '-M', branch, 'main')
    }
    // As a git host keeps it: from loose objects every clone would have to compress a pack of its own.
    await git(master, 'repack', '-a', '-d', '-q')
    await git(forge, 'clone', '--quiet', '--branch', 'main', master, checkout)
  } else {
    await git(forge, 'init', '--quiet', '--bare', '--initial-branch', 'main', master)
    await git(forge, 'clone', '--quiet', master, checkout)
    await git(checkout, 'symbolic-ref', 'HEAD', 'refs/heads/main')
    await cp(join(projectRoot, 'local/localnet/demo'), checkout, { recursive: true })
    await prepare(checkout)
    await carry(checkout, config)
    await commit(checkout, 'Open the house')
  }
  return { checkout, forge, entry: await entryOf(checkout) }
}

/**
 * The commit of the second release: the demo's programme changes; somebody else's app begins to carry Understudy. The entry page changes
 * where it is a page of HTML.
 */
export async function commitSecond(
  checkout: string,
  entry: string,
  config: AppConfig,
  repo: string | undefined,
): Promise<void> {
  const page = join(checkout, entry)
  if (repo) {
    await carry(checkout, config)
    if (entry.endsWith('.html')) {
      const html = readFileSync(page, 'utf8')
      const at = html.search(/<\/head>/i)
      if (at >= 0) writeFileSync(page, `${html.slice(0, at)}${loaderTag}\n${html.slice(at)}`)
    }
    await commit(checkout, 'Carry Understudy')
    return
  }
  const plays = join(checkout, 'plays/tonight.json')
  const programme = JSON.parse(readFileSync(plays, 'utf8')) as { plays: unknown[] }
  programme.plays.push({ title: 'The Understudy', by: 'A. Standby', at: '11 pm' })
  writeFileSync(plays, `${JSON.stringify(programme, undefined, 2)}\n`)
  writeFileSync(
    page,
    readFileSync(page, 'utf8').replaceAll('Tonight on our small stage', 'Three plays tonight'),
  )
  await commit(checkout, 'Add a late show')
}

/** Copies the service worker, its loader and the app's coordinates into the app. */
async function carry(checkout: string, config: AppConfig): Promise<void> {
  for (const file of ['understudy-sw.js', 'understudy.js']) {
    await cp(program(`packages/client/dist/${file}`), join(checkout, file))
  }
  writeFileSync(join(checkout, 'understudy.json'), `${JSON.stringify(config, undefined, 2)}\n`)
}

async function commit(checkout: string, message: string): Promise<void> {
  await git(checkout, 'add', '--all')
  const carried = ['understudy.json', 'understudy-sw.js', 'understudy.js'].filter((file) =>
    existsSync(join(checkout, file)),
  )
  if (carried.length > 0) await git(checkout, 'add', '--force', ...carried)
  if ((await git(checkout, 'status', '--porcelain')) !== '')
    await git(checkout, 'commit', '--quiet', '-m', message)
  await git(checkout, 'push', '--quiet', 'origin', 'HEAD:refs/heads/main')
}

export const isUrl = (repo: string): boolean => /^[a-z][a-z0-9+.-]*:/i.test(repo)

/** Throws with the reason when a URL is not one that may be cloned from the public Internet. */
export async function requirePublic(url: string): Promise<void> {
  const checked = await checkCloneUrl(url, await publicVantage())
  if (!checked.ok) throw new Error(`--repo: ${checked.reason}`)
}

async function cloneUrl(url: string, dir: string): Promise<void> {
  const cloned = await openRepository({ dir, url, vantage: await publicVantage() })
  if (!cloned.ok) throw new Error(`--repo: ${cloned.reason}`)
}

/** Number of files that are under version control. */
export async function countFiles(checkout: string): Promise<number> {
  return (await git(checkout, 'ls-files', '-z')).split('\0').length - 1
}

async function entryOf(checkout: string): Promise<string> {
  const files = (await git(checkout, 'ls-files', '-z')).split('\0').filter((file) => file !== '')
  const entry = ['index.html', 'README.md'].find((file) => files.includes(file)) ?? files.sort()[0]
  if (entry === undefined) throw new Error('the repository has no files')
  return `/${entry}`
}

/** A fork as a git host makes it: a bare copy of the master as it is now. */
export async function fork(forge: string, name: string): Promise<void> {
  if (existsSync(join(forge, `${name}.git`))) return
  await git(forge, 'clone', '--quiet', '--bare', join(forge, 'master.git'), join(forge, `${name}.git`))
}

/** What a git host's *Sync fork* does. */
export async function syncFork(forge: string, name: string): Promise<void> {
  await git(
    join(forge, `${name}.git`),
    'fetch',
    '--quiet',
    join(forge, 'master.git'),
    '+refs/heads/*:refs/heads/*',
  )
}
