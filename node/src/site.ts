import type { TreeBlob } from '@understudy/protocol/challenge'
import type { PreparedRelease } from './preparation.ts'

/** What the node serves at this moment. One release at a time; the switch is one assignment. */
export interface Site {
  /** Take it once for each answer: two calls may give two releases. */
  current(): PreparedRelease | undefined
  switchTo(prepared: PreparedRelease): void
  /** The tree of a commit that is or lately was served. */
  blobsOf(commit: string): readonly TreeBlob[] | undefined
  /** A manifest that is or lately was served, by its sha256. */
  manifest(sha256: string): Uint8Array<ArrayBuffer> | undefined
}

/** Releases that challenges may still ask about, the current one included. */
const remembered = 4

export function createSite(): Site {
  let current: PreparedRelease | undefined
  /** Newest first. */
  let recent: readonly PreparedRelease[] = []
  return {
    current: () => current,
    switchTo(prepared) {
      current = prepared
      recent = [prepared, ...recent].slice(0, remembered)
    },
    blobsOf: (commit) => recent.find(({ release }) => release.commit === commit)?.blobs,
    manifest: (sha256) => recent.find(({ release }) => release.manifest === sha256)?.manifest,
  }
}
