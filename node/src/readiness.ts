import { createHash } from 'node:crypto'
import type { StoredFile } from './files.ts'
import { releaseHeader } from './pin.ts'
import type { PreparedRelease } from './preparation.ts'

export interface ReadinessParts {
  /** Our own server, without a trailing slash. */
  readonly url: string
  /** In [0, 1). */
  random(): number
  /** Files asked for besides the entry page. Default 8. */
  readonly sample?: number
  /** For one file, ms. Default 10,000. */
  readonly timeoutMs?: number
}

/** Larger files were hashed when they were laid out; here only their length is asked for, bytes. */
const maxReadBytes = 8 * 1024 * 1024

/**
 * Asks our own server for the entry page and some files of a release, by the release's name or as any visitor does. Why not, when
 * what comes is not what was signed.
 */
export async function checkServed(
  { release, files }: PreparedRelease,
  as: 'named' | 'visitor',
  { url, random, sample = 8, timeoutMs = 10_000 }: ReadinessParts,
): Promise<string | undefined> {
  const all = [...files.values()]
  const some = Array.from(
    { length: Math.min(sample, all.length) },
    () => all[Math.floor(random() * all.length)]!,
  )
  const headers: Record<string, string> = as === 'named' ? { [releaseHeader]: release.manifest } : {}

  async function ask(path: string, file: StoredFile): Promise<string | undefined> {
    const method = file.size > maxReadBytes ? 'HEAD' : 'GET'
    try {
      const signal = AbortSignal.timeout(timeoutMs)
      const response = await fetch(url + path.split('/').map(encodeURIComponent).join('/'), {
        method,
        headers,
        signal,
      })
      const bytes = new Uint8Array(await response.arrayBuffer())
      if (response.status !== 200) return `${path} is answered with ${response.status}`
      if (response.headers.get(releaseHeader) !== release.manifest)
        return `${path} is answered from another release`
      const right =
        method === 'HEAD'
          ? response.headers.get('content-length') === String(file.size)
          : createHash('sha256').update(bytes).digest('hex') === file.sha256
      return right ? undefined : `${path} is answered with other bytes than were signed`
    } catch (error) {
      return `${path} is not answered: ${error instanceof Error ? error.message : error}`
    }
  }

  const answers = await Promise.all([
    ask('/', files.get(release.entry)!),
    ...some.map((file) => ask(file.path, file)),
  ])
  return answers.find((fault) => fault !== undefined)
}
