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

/** The current release and the three before it. */
export const keptReleases = 4

export function createSite(): Site {
  let staged: PreparedRelease | undefined
  /** Newest first. One more than is kept, for the way back. */
  let recent: readonly PreparedRelease[] = []
  const kept = () => recent.slice(0, keptReleases)
  return {
    current: () => recent[0],
    named(manifest) {
      const found = kept().find(({ release }) => release.manifest === manifest)
      return found ?? (staged?.release.manifest === manifest ? staged : undefined)
    },
    stage(prepared) {
      staged = prepared
    },
    switchTo(prepared) {
      recent = [prepared, ...recent].slice(0, keptReleases + 1)
      staged = undefined
    },
    rollBack() {
      recent = recent.slice(1)
    },
    kept,
    blobsOf: (commit) => recent.find(({ release }) => release.commit === commit)?.blobs,
  }
}
