import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { HashedFile } from '@understudy/git/manifest'
import type { Objects } from '@understudy/git/objects'

/** Where the bytes of a file are: at hand, or in a file on disk. Both were hashed before anybody gets them. */
export type Content = { readonly bytes: Uint8Array<ArrayBuffer> } | { readonly path: string }

/** The bytes of releases' files: small ones out of git into memory as they are asked for, large ones laid out on disk beforehand. */
export interface Files {
  content(file: HashedFile): Promise<Content>
  /** Lays out the large ones of these files. Throws when bytes do not hash to what they must. */
  layOut(files: Iterable<HashedFile>): Promise<void>
  /** Deletes what is on disk and none of these files; who is reading it may go on. */
  prune(keep: Iterable<HashedFile>): Promise<void>
}

export interface FilesOptions {
  readonly objects: Objects
  readonly dir: string
  /** Above this a file is large, bytes. Default 1 MiB. */
  readonly smallBytes?: number
  /** Most bytes of small files in memory. Default 64 MiB. */
  readonly memoryBytes?: number
}

export function createFiles(options: FilesOptions): Files {
  const { objects, dir, smallBytes = 1024 * 1024, memoryBytes = 64 * 1024 * 1024 } = options
  /** By sha256, the longest unused first. */
  const held = new Map<string, Uint8Array<ArrayBuffer>>()
  const reading = new Map<string, Promise<Uint8Array<ArrayBuffer>>>()
  let size = 0
  const pathOf = (file: HashedFile) => join(dir, file.sha256)

  function hold(sha256: string, bytes: Uint8Array<ArrayBuffer>): void {
    held.set(sha256, bytes)
    size += bytes.length
    for (const [oldest, { length }] of held) {
      if (size <= memoryBytes) return
      held.delete(oldest)
      size -= length
    }
  }

  async function read(file: HashedFile): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(await objects.read(file.oid))
    // git checks less than this when it reads; wrong bytes would be held against us.
    if (createHash('sha256').update(bytes).digest('hex') !== file.sha256)
      throw new Error(`object ${file.oid} no longer hashes to ${file.sha256}`)
    hold(file.sha256, bytes)
    return bytes
  }

  return {
    async content(file) {
      if (file.size > smallBytes) return { path: pathOf(file) }
      const bytes = held.get(file.sha256)
      if (bytes) {
        held.delete(file.sha256)
        held.set(file.sha256, bytes)
        return { bytes }
      }
      let pending = reading.get(file.sha256)
      if (!pending) {
        pending = read(file).finally(() => reading.delete(file.sha256))
        reading.set(file.sha256, pending)
      }
      return { bytes: await pending }
    },
    async layOut(files) {
      await mkdir(dir, { recursive: true })
      const large = new Map([...files].filter((f) => f.size > smallBytes).map((f) => [f.sha256, f]))
      for (const file of large.values()) {
        if (!(await isLaidOut(pathOf(file), file))) await layOutOne(objects, pathOf(file), file)
      }
    },
    async prune(keep) {
      const names = new Set([...keep].map((file) => file.sha256))
      for (const name of await readdir(dir).catch(() => []))
        if (!names.has(name)) await rm(join(dir, name), { force: true })
    },
  }
}

async function isLaidOut(path: string, file: HashedFile): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  if (found?.size !== file.size) return false
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex') === file.sha256
}

async function layOutOne(objects: Objects, path: string, file: HashedFile): Promise<void> {
  const draft = await open(`${path}.new`, 'w')
  try {
    let hash = createHash('sha256')
    let at = 0
    await objects.pour(file.oid, {
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
      throw new Error(`object ${file.oid} does not hash to ${file.sha256}`)
  } finally {
    await draft.close()
  }
  await rename(`${path}.new`, path)
}
