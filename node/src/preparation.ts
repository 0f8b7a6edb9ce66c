import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type HashedFile, hashFiles } from '@understudy/git/manifest'
import type { Objects } from '@understudy/git/objects'
import type { Repository } from '@understudy/git/repository'
import type { TreeBlob } from '@understudy/protocol/challenge'
import { isHex32, isObjectId, type Parsed, parsed, refused } from '@understudy/protocol/event'
import { encodeManifest, isReleasePath, type Release } from '@understudy/protocol/release'
import { z } from 'zod'
import type { Files } from './files.ts'
import type { SignedRelease } from './releases.ts'

/** A release that is complete and checked: everything that it takes to serve it. */
export interface PreparedRelease extends SignedRelease {
  /** By absolute path. */
  readonly files: ReadonlyMap<string, HashedFile>
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
  /** Folder of the lists of hashed files, one per commit. */
  readonly cacheDir: string
  /** Gives up a fetch that is under way. */
  readonly signal?: AbortSignal
}

const passing = (reason: string): Preparation => ({ ok: false, reason, passing: true })
const final = (reason: string): Preparation => ({ ok: false, reason, passing: false })

/**
 * Makes a release ready beside the one that is served: fork has commit → tree id equal → every file hashed → manifest equal →
 * large files laid out. design: The flow, one way.
 */
export async function prepareRelease(signed: SignedRelease, parts: PreparationParts): Promise<Preparation> {
  const { release } = signed
  const { repository, objects, files, cacheDir } = parts
  if (!(await repository.holds(release.commit))) {
    const fetched = await repository.fetch(parts.signal)
    if (!fetched.ok) return passing(`the fork cannot be fetched: ${fetched.reason}`)
    if (!(await repository.has(release.commit))) return passing('the fork lacks the commit')
  }
  if ((await repository.treeOf(release.commit)) !== release.tree)
    return final('the commit has another tree than the release says')

  const cached = await readCache(cacheDir, release)
  const hashed = cached ? parsed(cached) : await hashCommit(release, repository, objects)
  if (!hashed.ok) return final(hashed.reason)
  const manifest = new Uint8Array(encodeManifest(hashed.value))
  if (createHash('sha256').update(manifest).digest('hex') !== release.manifest)
    return final("the fork's files are not those of the signed manifest")
  const byPath = new Map(hashed.value.map((file) => [file.path, file]))
  if (!byPath.has(release.entry)) return final('the release has no entry page')
  await files.layOut(byPath.values())
  if (!cached) await writeCache(cacheDir, release, hashed.value)
  const blobs = hashed.value.map(({ path, oid }) => ({ path: path.slice(1), oid }))
  return { ok: true, prepared: { ...signed, files: byPath, blobs, manifest } }
}

async function hashCommit(release: Release, repository: Repository, objects: Objects) {
  const blobs = await repository.blobsOf(release.commit)
  return blobs.ok ? hashFiles(blobs.value, objects) : blobs
}

const cacheSchema = z.array(
  z.object({
    path: z.string().refine(isReleasePath),
    oid: z.string().refine(isObjectId),
    sha256: z.string().refine(isHex32),
    size: z.int().min(0),
  }),
)

const cachePath = (dir: string, release: Release) => join(dir, `${release.commit}.json`)

/** The list that an earlier run made; one that is damaged, or not of this manifest, is as good as none. */
async function readCache(dir: string, release: Release): Promise<HashedFile[] | undefined> {
  const read = await readJson(cachePath(dir, release))
  const files = read.ok ? cacheSchema.safeParse(read.value) : undefined
  if (!files?.success) return undefined
  const hash = createHash('sha256').update(encodeManifest(files.data)).digest('hex')
  return hash === release.manifest ? files.data : undefined
}

async function writeCache(dir: string, release: Release, files: readonly HashedFile[]): Promise<void> {
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
