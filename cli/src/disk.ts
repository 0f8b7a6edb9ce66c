import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Bytes that are free for a folder, or for the nearest one above it that exists. */
export async function freeBytes(folder: string): Promise<number> {
  for (let at = folder; ; at = dirname(at)) {
    const found = await statfs(at).catch(() => undefined)
    if (found) return found.bavail * found.bsize
    if (dirname(at) === at) return 0
  }
}
