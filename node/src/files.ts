import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Objects } from '@understudy/git/objects'
import type { ReleaseFile } from '@understudy/protocol/release'

/** A file of a release. One that was built has no git object, and lies on disk whatever its size. */
export interface StoredFile extends ReleaseFile {
  readonly oid?: string
  /** Bytes. */
  readonly size: number
}

/** Where the bytes of a file are: at hand, or in a file on disk. Both were hashed before anybody gets them. */
export type Content = { readonly bytes: Uint8Array<ArrayBuffer> } | { readonly path: string }

/** The bytes of releases' files: in memory while they are asked for; below it git holds small ones, the disk large and built ones. */
export interface Files {
  /** The bytes, when they are in memory. */
  held(file: StoredFile): Uint8Array<ArrayBuffer> | undefined
  content(file: StoredFile): Promise<Content>
  /** Lays out those of these files that must be on disk. Throws when bytes do not hash to what they must. */
  layOut(files: Iterable<StoredFile>): Promise<void>
  /** Takes in a file that was built; throws when it does not hash to what it must. */
  store(file: StoredFile, from: string): Promise<void>
  /** Deletes what is on disk and none of these files; who is reading it may go on. */
  prune(keep: Iterable<StoredFile>): Promise<void>
}

export interface FilesOptions {
  readonly objects: Pick<Objects, 'read' | 'pour'>
  readonly dir: string
  /** Above this a file of a commit is laid out on disk, bytes. Default 1 MiB. */
  readonly smallBytes?: number
  /** Most bytes in memory; one file may have an eighth of it. Default 64 MiB. */
  readonly memoryBytes?: number
}

export function createFiles(options: FilesOptions): Files {
  const { objects, dir, smallBytes = 1024 * 1024, memoryBytes = 64 * 1024 * 1024 } = options
  /** By sha256, the longest unused first. */
  const memory = new Map<string, Uint8Array<ArrayBuffer>>()
  const reading = new Map<string, Promise<Uint8Array<ArrayBuffer>>>()
  let size = 0
  const pathOf = (file: StoredFile) => join(dir, file.sha256)
  const isOnDisk = (file: StoredFile) => !file.oid || file.size > smallBytes

  function hold(sha256: string, bytes: Uint8Array<ArrayBuffer>): void {
    memory.set(sha256, bytes)
    size += bytes.length
    for (const [oldest, { length }] of memory) {
      if (size <= memoryBytes) return
      memory.delete(oldest)
      size -= length
    }
  }

  function held({ sha256 }: StoredFile): Uint8Array<ArrayBuffer> | undefined {
    const bytes = memory.get(sha256)
    if (bytes) {
      memory.delete(sha256)
      memory.set(sha256, bytes)
    }
    return bytes
  }

  async function read(file: StoredFile): Promise<Uint8Array<ArrayBuffer>> {
    const found = isOnDisk(file) ? await readFile(pathOf(file)) : await objects.read(file.oid!)
    // A copy of its own length, as the kind that sockets take as it is.
    const bytes = Buffer.from(new Uint8Array(found).buffer)
    // git and the disk check less than this when they read; wrong bytes would be held against us.
    if (createHash('sha256').update(bytes).digest('hex') !== file.sha256)
      throw new Error(`${file.path} no longer hashes to ${file.sha256}`)
    hold(file.sha256, bytes)
    return bytes
  }

  return {
    held,
    async content(file) {
      if (file.size > memoryBytes / 8 && isOnDisk(file)) return { path: pathOf(file) }
      const bytes = held(file)
      if (bytes) return { bytes }
      let pending = reading.get(file.sha256)
      if (!pending) {
        pending = read(file).finally(() => reading.delete(file.sha256))
        reading.set(file.sha256, pending)
      }
      return { bytes: await pending }
    },
    async layOut(files) {
      await mkdir(dir, { recursive: true })
      const wanted = new Map([...files].filter(isOnDisk).map((file) => [file.sha256, file]))
      for (const file of wanted.values()) {
        if (await isLaidOut(pathOf(file), file)) continue
        if (!file.oid) throw new Error(`${file.path} was built, and is no longer on disk`)
        await layOutOne(objects, file.oid, pathOf(file), file)
      }
    },
    async store(file, from) {
      await mkdir(dir, { recursive: true })
      const draft = `${pathOf(file)}.new`
      await pipeline(createReadStream(from), createWriteStream(draft))
      if (!(await isLaidOut(draft, file))) throw new Error(`${file.path} changed while it was taken in`)
      await rename(draft, pathOf(file))
    },
    async prune(keep) {
      const names = new Set([...keep].map((file) => file.sha256))
      for (const name of await readdir(dir).catch(() => []))
        if (!names.has(name)) await rm(join(dir, name), { force: true })
    },
  }
}

async function isLaidOut(path: string, file: StoredFile): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  if (found?.size !== file.size) return false
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex') === file.sha256
}

async function layOutOne(objects: Pick<Objects, 'pour'>, oid: string, path: string, file: StoredFile) {
  const draft = await open(`${path}.new`, 'w')
  try {
    let hash = createHash('sha256')
    let at = 0
    await objects.pour(oid, {
      begin() {
        hash = createHash('sha256')
        at = 0
      },
      async chunk(bytes) {
        hash.update(bytes)
        await draft.write(bytes, 0, bytes.length, at)
        at += bytes.length
      },
    })
    if (at !== file.size || hash.digest('hex') !== file.sha256)
      throw new Error(`object ${oid} does not hash to ${file.sha256}`)
  } finally {
    await draft.close()
  }
  await rename(`${path}.new`, path)
}
