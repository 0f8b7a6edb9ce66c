import type { Release } from '@understudy/protocol/release'
import { releasedAt, type Seen } from '@understudy/protocol/seen'
import { failed, passed, type Verdict, wrongBytes } from './verdict.ts'

/** A release with the sha256 of each of its files, by path. */
export interface ReleaseFiles {
  readonly release: Release
  readonly files: ReadonlyMap<string, string>
}

export interface FreshnessTerms {
  /** Attesters' Nostr keys. */
  readonly attesters: ReadonlySet<string>
  /** M. */
  readonly m: number
  /** Burn blocks. */
  readonly grace: number
  readonly burnHeight: number
}

/**
 * The releases that a mirror may serve: the newest one older than the grace window, and every later one; all of them while none is
 * that old. A release's age runs from the M-th smallest `seen`. Newest first.
 */
export function acceptableReleases(
  releases: readonly Release[],
  seen: readonly Seen[],
  { attesters, m, grace, burnHeight }: FreshnessTerms,
): Release[] {
  const newest = [...releases].sort((a, b) => b.seq - a.seq || (a.eventId < b.eventId ? -1 : 1))
  const required = newest.findIndex((release) => {
    const at = releasedAt(seen, release.eventId, attesters, m)
    return at !== undefined && at + grace <= burnHeight
  })
  return required < 0 ? newest : newest.slice(0, required + 1)
}

/** One file as the mirror answered. */
export interface Fetched {
  readonly path: string
  readonly status: number
  /** sha256 of the body, hex. */
  readonly sha256: string
  readonly cors: boolean
}

/** Judges a file against the releases that may be served (newest first) and those that once were. */
export function judgeFile(
  fetched: Fetched,
  acceptable: readonly ReleaseFiles[],
  older: readonly ReleaseFiles[],
): Verdict {
  const { path, status, sha256, cors } = fetched
  const within = (releases: readonly ReleaseFiles[]) => releases.some((r) => r.files.get(path) === sha256)
  if (status === 404 || status === 410)
    return acceptable.every((r) => r.files.has(path)) ? failed('missing') : passed
  if (status !== 200) return failed(`status-${status}`)
  if (within(acceptable)) return cors ? passed : failed('no-cors')
  return within(older) ? failed('stale') : wrongBytes('wrong-bytes')
}

/**
 * Paths for one probe: always the entry page; one file that tells the oldest acceptable release from the one before it, where there
 * is such a file; one at random. `random` gives numbers in [0, 1).
 */
export function choosePaths(
  acceptable: readonly ReleaseFiles[],
  older: readonly ReleaseFiles[],
  random: () => number,
): string[] {
  const required = acceptable.at(-1)
  if (!required) return []
  const pick = (paths: readonly string[]) => paths[Math.floor(random() * paths.length)]
  const all = [...required.files.keys()]
  const before = older[0]
  const telling = before ? all.filter((path) => before.files.get(path) !== required.files.get(path)) : []
  const chosen = [required.release.entry, pick(telling), pick(all)]
  return [...new Set(chosen.filter((path): path is string => path !== undefined))]
}
