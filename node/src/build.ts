import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, lstat, mkdir, mkdtemp, open, readdir, rm, symlink, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { runGit } from '@understudy/git/command'
import type { Objects } from '@understudy/git/objects'
import { isObjectId, type Parsed, parsed, refused } from '@understudy/protocol/event'
import {
  type BuildRecipe,
  encodeManifest,
  isReleasePath,
  type Release,
  type ReleaseFile,
} from '@understudy/protocol/release'
import type { Files, StoredFile } from './files.ts'
import { runIsolated } from './sandbox.ts'

/** What a build made; it lies on disk until it is removed. */
export interface Built {
  readonly files: readonly StoredFile[]
  /** Where a file of it lies. */
  pathOf(file: ReleaseFile): string
  remove(): Promise<void>
}

export interface BuildParts {
  /** The repository that holds the commit. */
  readonly gitDir: string
  readonly objects: Pick<Objects, 'pour'>
  /** Folder that the build must not see. */
  readonly hidden?: string
  /** Default 10 minutes. */
  readonly timeoutMs?: number
  /** Most bytes and files of the output. Default 4 GiB and 100,000. */
  readonly maxBytes?: number
  readonly maxFiles?: number
}

/** Runs a recipe on a fresh checkout of a commit, cut off from the network as far as the platform allows. */
export async function buildCommit(
  commit: string,
  recipe: BuildRecipe,
  parts: BuildParts,
): Promise<Parsed<Built>> {
  const root = await mkdtemp(join(tmpdir(), 'understudy-build-'))
  const remove = () => rm(root, { recursive: true, force: true })
  try {
    const work = join(root, 'work')
    await mkdir(join(root, 'home'))
    const seconds = await checkOut(commit, work, parts)
    const ran = await runIsolated(recipe.command, {
      root,
      hidden: parts.hidden,
      env: { CI: '1', SOURCE_DATE_EPOCH: String(seconds) },
      timeoutMs: parts.timeoutMs ?? 600_000,
    })
    const output = join(work, recipe.output)
    const files = ran.ok ? await filesIn(output, parts) : refused(`the build failed: ${ran.reason}`)
    if (!files.ok) {
      await remove()
      return files
    }
    return parsed({ files: files.value, pathOf: (file) => join(output, file.path), remove })
  } catch (error) {
    await remove()
    throw error
  }
}

/** Writes the commit's files, as git holds them, with the commit's time; gives that time in seconds. */
async function checkOut(commit: string, work: string, { gitDir, objects }: BuildParts): Promise<number> {
  if (!isObjectId(commit)) throw new Error('not an object id')
  const when = await runGit(gitDir, ['show', '--no-patch', '--format=%ct', commit])
  const seconds = Number(when.stdout.toString('utf8').trim())
  const listing = await runGit(gitDir, ['ls-tree', '-r', '-z', '--full-tree', commit], {
    maxBytes: 64 * 1024 * 1024,
  })
  if (when.code !== 0 || listing.code !== 0) throw new Error(`no commit ${commit}`)
  await mkdir(work)
  for (const line of listing.stdout.toString('utf8').split('\0')) {
    const found = /^(100644|100755|120000) blob ([0-9a-f]+)\t(.+)$/s.exec(line)
    if (!found) continue
    const [, mode, oid, path] = found as unknown as [string, string, string, string]
    if (!isReleasePath(`/${path}`)) throw new Error(`a release cannot hold the path ${JSON.stringify(path)}`)
    const at = join(work, path)
    await mkdir(dirname(at), { recursive: true })
    if (mode === '120000') {
      let target = ''
      await objects.pour(oid, {
        begin: () => {
          target = ''
        },
        chunk: (bytes) => {
          target += bytes.toString('utf8')
        },
      })
      await symlink(target, at)
      continue
    }
    const file = await open(at, 'w')
    let offset = 0
    await objects.pour(oid, {
      begin: () => {
        offset = 0
      },
      async chunk(bytes) {
        await file.write(bytes, 0, bytes.length, offset)
        offset += bytes.length
      },
    })
    await file.close()
    await chmod(at, mode === '100755' ? 0o755 : 0o644)
    await utimes(at, seconds, seconds)
  }
  return seconds
}

/** Every file below the folder, hashed, sorted by path. */
async function filesIn(dir: string, { maxBytes = 4 * 1024 ** 3, maxFiles = 100_000 }: BuildParts) {
  const files: StoredFile[] = []
  let total = 0
  const open = [''] as string[]
  // The folder itself may be a link as little as what is in it.
  if (!(await lstat(dir).catch(() => undefined))?.isDirectory())
    return refused('the build left no output folder')
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const entry of await readdir(join(dir, at), { withFileTypes: true })) {
      const path = `${at}/${entry.name}`
      if (entry.isDirectory()) open.push(path)
      else if (!entry.isFile()) return refused(`the build made ${path}, which is neither file nor folder`)
      else if (!isReleasePath(path)) return refused(`a release cannot hold the path ${JSON.stringify(path)}`)
      else if (/^\/\.well-known\/understudy(\.json$|\/)/.test(path))
        return refused(`mirrors speak for themselves at ${path}`)
      else {
        const hash = createHash('sha256')
        let size = 0
        for await (const chunk of createReadStream(join(dir, path))) {
          hash.update(chunk as Buffer)
          size += (chunk as Buffer).length
        }
        total += size
        files.push({ path, size, sha256: hash.digest('hex') })
        if (total > maxBytes) return refused(`the build made more than ${maxBytes} bytes`)
        if (files.length > maxFiles) return refused(`the build made more than ${maxFiles} files`)
      }
    }
  }
  return parsed(files.sort((a, b) => (a.path < b.path ? -1 : 1)))
}

/** Makes the files of releases by building them, and takes in what is exactly what was signed. */
export function createBuilder(parts: BuildParts & { readonly files: Pick<Files, 'store'> }) {
  return async (release: Release, recipe: BuildRecipe): Promise<Parsed<StoredFile[]>> => {
    const first = await buildCommit(release.commit, recipe, parts)
    if (!first.ok) return first
    try {
      if (manifestOf(first.value) === release.manifest) {
        for (const file of first.value.files) await parts.files.store(file, first.value.pathOf(file))
        return parsed([...first.value.files])
      }
      const second = await buildCommit(release.commit, recipe, parts)
      if (!second.ok) return second
      try {
        return refused(await whyNot(release, first.value, second.value))
      } finally {
        await second.value.remove()
      }
    } finally {
      await first.value.remove()
    }
  }
}

/** sha256 of the manifest that a build's files have. */
export const manifestOf = ({ files }: Pick<Built, 'files'>): string =>
  createHash('sha256').update(encodeManifest(files)).digest('hex')

/** Most files named. */
const maxNamed = 20

async function whyNot(release: Release, first: Built, second: Built): Promise<string> {
  const unstable = await differences(first, second)
  const stable = release.files ? unlike(first.files, release.files, unstable) : []
  const lines = [...unstable, ...stable]
  const known = release.files ? '' : '; the release has its list of files elsewhere'
  const named = lines.length > 0 ? lines : [`sha256 of its manifest ${manifestOf(first)}${known}`]
  const more = named.length > maxNamed ? [`and ${named.length - maxNamed} more`] : []
  return `the build is not what was signed: ${[...named.slice(0, maxNamed), ...more].join('; ')}`
}

/** How two builds of one commit differ, file by file; empty when they do not. */
export async function differences(first: Built, second: Built): Promise<string[]> {
  const others = new Map(second.files.map((file) => [file.path, file]))
  const lines: string[] = []
  for (const file of first.files) {
    const other = others.get(file.path)
    others.delete(file.path)
    if (!other) lines.push(`${file.path} is made by one build and not by the next`)
    else if (other.sha256 !== file.sha256) {
      const at = await firstDifference(first.pathOf(file), second.pathOf(other))
      lines.push(`${file.path} changes with every build, from byte ${at} on`)
    }
  }
  for (const path of others.keys()) lines.push(`${path} is made by one build and not by the next`)
  return lines
}

/** What is built alike each time, and is yet not what was signed. */
function unlike(made: readonly StoredFile[], signed: readonly ReleaseFile[], named: readonly string[]) {
  const wanted = new Map(signed.map((file) => [file.path, file.sha256]))
  const lines: string[] = []
  for (const { path, sha256, size } of made) {
    const hash = wanted.get(path)
    wanted.delete(path)
    if (hash === undefined) lines.push(`${path} is not in the signed list`)
    else if (hash !== sha256 && !named.some((line) => line.startsWith(`${path} changes`)))
      lines.push(
        `${path} (${size} bytes) hashes to ${sha256.slice(0, 12)}…, signed was ${hash.slice(0, 12)}…`,
      )
  }
  for (const path of wanted.keys()) lines.push(`${path} is signed and was not made`)
  return lines
}

async function firstDifference(a: string, b: string): Promise<number> {
  const [one, other] = [createReadStream(a), createReadStream(b)]
  const [ours, theirs] = [one[Symbol.asyncIterator](), other[Symbol.asyncIterator]()]
  let at = 0
  try {
    for (;;) {
      const [x, y] = await Promise.all([ours.next(), theirs.next()])
      if (x.done || y.done) return at
      const [p, q] = [x.value as Buffer, y.value as Buffer]
      const length = Math.min(p.length, q.length)
      for (let i = 0; i < length; i++) if (p[i] !== q[i]) return at + i
      if (p.length !== q.length) return at + length
      at += length
    }
  } finally {
    one.destroy()
    other.destroy()
  }
}
