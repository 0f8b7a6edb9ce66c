import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashFiles } from '@understudy/git/manifest'
import type { Objects } from '@understudy/git/objects'
import type { Repository } from '@understudy/git/repository'
import type { TreeBlob } from '@understudy/protocol/challenge'
import { isHex32, isObjectId, type Parsed, parsed, refused } from '@understudy/protocol/event'
import { type BuildRecipe, encodeManifest, isReleasePath, type Release } from '@understudy/protocol/release'
import { z } from 'zod'
import type { Files, StoredFile } from './files.ts'
import type { SignedRelease } from './releases.ts'

/** A release that is complete and checked: everything that it takes to serve it. */
export interface PreparedRelease extends SignedRelease {
  /** By absolute path. */
  readonly files: ReadonlyMap<string, StoredFile>
  /** The commit's tree, as possession challenges walk it. */
  readonly blobs: readonly TreeBlob[]
  readonly manifest: Uint8Array<ArrayBuffer>
}

export type Preparation =
  | { readonly ok: true; readonly prepared: PreparedRelease }
  /** `passing`: another attempt may succeed. */
  | { readonly ok: false; readonly reason: string; readonly passing: boolean }

export interface PreparationParts {
  readonly repository: Repository
  readonly objects: Objects
  readonly files: Files
  /** Folder of the lists of hashed files, one per manifest. */
  readonly cacheDir: string
  /** Makes the files of a release that is built; absent where nothing is. */
  build?(release: Release, recipe: BuildRecipe): Promise<Parsed<StoredFile[]>>
  /** Gives up a fetch that is under way. */
  readonly signal?: AbortSignal
}

const passing = (reason: string): Preparation => ({ ok: false, reason, passing: true })
const final = (reason: string): Preparation => ({ ok: false, reason, passing: false })

/**
 * Makes a release ready beside the one that is served: fork has commit → tree id equal → built, where it is built →
 * every file hashed → manifest equal → large files laid out. design: The flow, one way.
 */
export async function prepareRelease(signed: SignedRelease, parts: PreparationParts): Promise<Preparation> {
  const { release } = signed
  const { repository, objects, files, cacheDir } = parts
  let tree = await treeOf(release.commit, objects)
  if (tree === undefined) {
    const fetched = await repository.fetch(parts.signal)
    if (!fetched.ok) return passing(`the fork cannot be fetched: ${fetched.reason}`)
    if (!(await repository.has(release.commit))) return passing('the fork lacks the commit')
    tree = await treeOf(release.commit, objects)
  }
  if (tree !== release.tree) return final('the commit has another tree than the release says')

  const known = await readCache(cacheDir, release)
  const made = (known && (await laidOut(known))) ?? (await make())
  if (!made.ok) return final(made.reason)
  const manifest = new Uint8Array(encodeManifest(made.value))
  if (createHash('sha256').update(manifest).digest('hex') !== release.manifest)
    return final("the fork's files are not those of the signed manifest")
  const byPath = new Map(made.value.map((file) => [file.path, file]))
  if (!byPath.has(release.entry)) return final('the release has no entry page')
  const blobs = await blobsOf(made.value)
  if (!blobs.ok) return final(blobs.reason)
  if (made.value !== known) {
    await files.layOut(byPath.values())
    await writeCache(cacheDir, release, made.value)
  }
  return { ok: true, prepared: { ...signed, files: byPath, blobs: blobs.value, manifest } }

  /** Nothing when what was built earlier has left the disk. */
  async function laidOut(known: StoredFile[]): Promise<Parsed<StoredFile[]> | undefined> {
    try {
      await files.layOut(known)
      return parsed(known)
    } catch (error) {
      if (release.build) return undefined
      throw error
    }
  }

  async function make(): Promise<Parsed<StoredFile[]>> {
    if (!release.build) {
      const blobs = await repository.blobsOf(release.commit)
      return blobs.ok ? hashFiles(blobs.value, objects) : blobs
    }
    if (!parts.build)
      return refused(
        'its files are built from the commit, and this node builds nothing; set RELEASE_MODE=build',
      )
    return parts.build(release, release.build)
  }

  /** The commit's tree: challenges ask for it, whatever was built from it. */
  async function blobsOf(made: readonly StoredFile[]): Promise<Parsed<readonly TreeBlob[]>> {
    if (release.build) return repository.blobsOf(release.commit)
    return parsed(made.map(({ path, oid }) => ({ path: path.slice(1), oid: oid! })))
  }
}

/** The tree that a commit names; nothing when the fork is not here, or does not have it. Starts no program of its own: visitors wait meanwhile. */
async function treeOf(commit: string, objects: Pick<Objects, 'pour'>): Promise<string | undefined> {
  let isCommit = false
  let text = ''
  const begin = (_: number, type: string) => {
    isCommit = type === 'commit'
    text = ''
  }
  try {
    await objects.pour(commit, {
      begin,
      chunk: (bytes) => {
        if (isCommit && text.length < 100) text += bytes.toString('latin1', 0, 100)
      },
    })
  } catch {
    return undefined
  }
  return /^tree ([0-9a-f]+)\n/.exec(text)?.[1]
}

const cacheSchema = z.array(
  z.object({
    path: z.string().refine(isReleasePath),
    oid: z.string().refine(isObjectId).optional(),
    sha256: z.string().refine(isHex32),
    size: z.int().min(0),
  }),
)

const cachePath = (dir: string, release: Release) => join(dir, `${release.manifest}.json`)

/** The list that an earlier run made; one that is damaged, or not of this manifest, is as good as none. */
async function readCache(dir: string, release: Release): Promise<StoredFile[] | undefined> {
  const read = await readJson(cachePath(dir, release))
  const files = read.ok ? cacheSchema.safeParse(read.value) : undefined
  if (!files?.success) return undefined
  const hash = createHash('sha256').update(encodeManifest(files.data)).digest('hex')
  const whole = release.build ? files.data.every(({ oid }) => !oid) : files.data.every(({ oid }) => oid)
  return whole && hash === release.manifest ? (files.data as StoredFile[]) : undefined
}

async function writeCache(dir: string, release: Release, files: readonly StoredFile[]): Promise<void> {
  await mkdir(dir, { recursive: true })
  await writeWhole(cachePath(dir, release), JSON.stringify(files))
}

/** Deletes the lists of all other releases. */
export async function prunePrepared(dir: string, keep: readonly PreparedRelease[]): Promise<void> {
  const paths = new Set(keep.map(({ release }) => cachePath(dir, release)))
  for (const name of await readdir(dir).catch(() => []))
    if (!paths.has(join(dir, name))) await rm(join(dir, name), { force: true })
}

/** Reads a file that we once wrote. */
export async function readJson(path: string): Promise<Parsed<unknown>> {
  try {
    return parsed(JSON.parse(await readFile(path, 'utf8')) as unknown)
  } catch (error) {
    return refused(error instanceof Error ? error.message : 'unreadable')
  }
}

/** Writes a file that is there whole or not at all, whenever the program is killed. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.new`
  await rm(draft, { force: true })
  await writeFile(draft, text, { flush: true })
  await rename(draft, path)
}
