import { createHash, type Hash } from 'node:crypto'
import type { TreeBlob } from '@understudy/protocol/challenge'
import { type Parsed, parsed, refused } from '@understudy/protocol/event'
import { isReleasePath, type ReleaseFile } from '@understudy/protocol/release'
import type { Objects } from './objects.ts'

/** A file of a release, and the git object that holds its bytes. */
export interface HashedFile extends ReleaseFile {
  readonly oid: string
  /** Bytes. */
  readonly size: number
}

/** Objects being hashed at once. */
const atOnce = 32

/**
 * The files of a release made from these blobs: the maintainer's tool and every mirror compute it alike. Bytes are read once per
 * object and never held as a whole. Refuses a path that no release can have, and more than `maxBytes` in all.
 */
export async function hashFiles(
  blobs: readonly TreeBlob[],
  objects: Pick<Objects, 'pour'>,
  { maxBytes = 16 * 1024 ** 3 } = {},
): Promise<Parsed<HashedFile[]>> {
  const bad = blobs.find((blob) => blob.path.includes('\ufffd') || !isReleasePath(`/${blob.path}`))
  if (bad) return refused(`a release cannot hold the path ${JSON.stringify(bad.path.slice(0, 200))}`)
  const reserved = blobs.find((blob) => /^\.well-known\/understudy(\.json$|\/)/.test(blob.path))
  if (reserved) return refused(`mirrors speak for themselves at ${reserved.path}`)
  const hashed = new Map<string, { sha256: string; size: number }>()
  const oids = [...new Set(blobs.map((blob) => blob.oid))]
  let total = 0
  for (let at = 0; at < oids.length && total <= maxBytes; at += atOnce) {
    const batch = oids.slice(at, at + atOnce)
    const digests = await Promise.all(batch.map((oid) => digestOf(oid, objects)))
    for (const [i, oid] of batch.entries()) {
      hashed.set(oid, digests[i]!)
      total += digests[i]!.size
    }
  }
  if (total > maxBytes) return refused(`the files have more than ${maxBytes} bytes`)
  return parsed(blobs.map(({ path, oid }) => ({ path: `/${path}`, oid, ...hashed.get(oid)! })))
}

async function digestOf(oid: string, objects: Pick<Objects, 'pour'>) {
  let hash: Hash
  let size = 0
  await objects.pour(oid, {
    begin(bytes) {
      hash = createHash('sha256')
      size = bytes
    },
    chunk: (bytes) => {
      hash.update(bytes)
    },
  })
  return { sha256: hash!.digest('hex'), size }
}
