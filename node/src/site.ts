import type { TreeBlob } from '@understudy/protocol/challenge'
import type { PreparedRelease } from './preparation.ts'

/** What the node serves. Visitors get the current release; who names another that is kept gets that. decisions/0015. */
export interface Site {
  /** Take it once for each answer: two calls may give two releases. */
  current(): PreparedRelease | undefined
  /** The release with this manifest, when it is served, lately was, or is about to be. */
  named(manifest: string): PreparedRelease | undefined
  /** From now on it can be named, and nobody is sent to it yet. `undefined` withdraws it. */
  stage(prepared: PreparedRelease | undefined): void
  switchTo(prepared: PreparedRelease): void
  /** Back to what was served before the last switch, as if it had never been. */
  rollBack(): void
  /** Newest first: the current one and those before it. */
  kept(): readonly PreparedRelease[]
  /** The tree of a commit that is or lately was served. */
  blobsOf(commit: string): readonly TreeBlob[] | undefined
}

/** The current release and the three before it, and, for as long as pages of theirs go on loading, older ones. */
export const keptReleases = 4
/** A release that was current or asked for by name within this time is in use, ms. */
const useMs = 30_000
/** However quickly releases follow each other, no more are kept. */
const maxKept = 128

/** `now`: milliseconds of any clock. */
export function createSite(now: () => number = Date.now): Site {
  let staged: PreparedRelease | undefined
  /** Newest first. */
  let recent: readonly PreparedRelease[] = []
  /** What was served before the last switch. */
  let former: readonly PreparedRelease[] = []
  const usedAt = new WeakMap<PreparedRelease, number>()
  return {
    current: () => recent[0],
    named(manifest) {
      const found = recent.find(({ release }) => release.manifest === manifest)
      if (found) usedAt.set(found, now())
      return found ?? (staged?.release.manifest === manifest ? staged : undefined)
    },
    stage(prepared) {
      staged = prepared
    },
    switchTo(prepared) {
      if (recent[0]) usedAt.set(recent[0], now())
      former = recent
      const inUse = (one: PreparedRelease) => (usedAt.get(one) ?? 0) > now() - useMs
      recent = [prepared, ...recent].filter((one, at) => at < keptReleases || (at < maxKept && inUse(one)))
      staged = undefined
    },
    rollBack() {
      recent = former
    },
    kept: () => recent,
    blobsOf: (commit) => recent.find(({ release }) => release.commit === commit)?.blobs,
  }
}
