import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { type Objects, openObjects } from '@understudy/git/objects'
import { prepareRepository, type Repository } from '@understudy/git/repository'
import type { Vantage } from '@understudy/host/vantage'
import { type Challenge, possessionDigest, type TreeBlob } from '@understudy/protocol/challenge'

/** Our own clones of the apps' repositories: the master's, and forks'. */
export interface Library {
  /** What the answer to a challenge must be; `sources` are clone URLs, tried in turn. Undefined when none has the commit. */
  digestOf(challenge: Challenge, sources: readonly string[]): Promise<string | undefined>
  /** Whether the repository at this URL leads to the commit; why not when it does not, or cannot be cloned. */
  forkHas(app: string, url: string, commit: string): Promise<{ ok: true } | { ok: false; reason: string }>
  close(): Promise<void>
}

interface Shelf {
  readonly repository: Repository
  readonly objects: Objects
}

interface Tree {
  readonly shelf: Shelf
  readonly blobs: readonly TreeBlob[]
}

const maxTrees = 16
/** After a fetch that brought nothing, ms until the same URL is asked for that commit again. */
const patienceMs = 20_000

export function createLibrary(options: {
  readonly dir: string
  readonly vantage: Vantage
  readonly now: () => number
}): Library {
  const shelves = new Map<string, Promise<Shelf>>()
  const trees = new Map<string, Tree>()
  const searches = new Map<string, Promise<Tree | undefined>>()
  const missed = new Map<string, number>()

  function shelfOf(app: string, url: string): Promise<Shelf> {
    const name = createHash('sha256').update(url).digest('hex').slice(0, 24)
    const dir = join(options.dir, app, name)
    let shelf = shelves.get(dir)
    if (!shelf) {
      shelf = prepareRepository({ dir, url, vantage: options.vantage }).then((repository) => ({
        repository,
        objects: openObjects(repository.dir),
      }))
      shelves.set(dir, shelf)
      shelf.catch(() => shelves.delete(dir))
    }
    return shelf
  }

  /** The commit's files. Whoever asks while it is being fetched waits for the same fetch. */
  function treeOf(app: string, commit: string, sources: readonly string[]): Promise<Tree | undefined> {
    const known = trees.get(commit)
    if (known) return Promise.resolve(known)
    const key = `${app} ${commit}`
    let search = searches.get(key)
    if (!search) {
      search = searchTree(app, commit, sources).finally(() => searches.delete(key))
      searches.set(key, search)
    }
    return search
  }

  /** Out of the first clone that holds the commit. */
  async function searchTree(
    app: string,
    commit: string,
    sources: readonly string[],
  ): Promise<Tree | undefined> {
    for (const url of sources) {
      const shelf = await shelfOf(app, url)
      const key = `${url} ${commit}`
      if (!(await shelf.repository.holds(commit))) {
        if (options.now() < (missed.get(key) ?? 0)) continue
        if (missed.size > 1_000) missed.clear()
        missed.set(key, options.now() + patienceMs)
        if (!(await shelf.repository.fetch()).ok || !(await shelf.repository.holds(commit))) continue
      }
      const blobs = await shelf.repository.blobsOf(commit)
      if (!blobs.ok || blobs.value.length === 0) return undefined
      const found = { shelf, blobs: blobs.value }
      if (trees.size >= maxTrees) trees.delete(trees.keys().next().value!)
      trees.set(commit, found)
      return found
    }
    return undefined
  }

  return {
    async digestOf(challenge, sources) {
      const found = await treeOf(challenge.app, challenge.commit, sources)
      return found && possessionDigest(challenge, found.blobs, (oid) => found.shelf.objects.read(oid))
    },
    async forkHas(app, url, commit) {
      const { repository } = await shelfOf(app, url)
      const fetched = await repository.fetch()
      if (!fetched.ok) return fetched
      return (await repository.has(commit)) ? { ok: true } : { ok: false, reason: 'commit not on any branch' }
    },
    async close() {
      const open = await Promise.allSettled([...shelves.values()])
      for (const shelf of open) if (shelf.status === 'fulfilled') await shelf.value.objects.close()
    },
  }
}
