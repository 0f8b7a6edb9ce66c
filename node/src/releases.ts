import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { parseRelease, type Release } from '@understudy/protocol/release'

/** A release and the signed event that says so. */
export interface SignedRelease {
  readonly release: Release
  readonly event: NostrEvent
}

/** The releases of one app that one release key signed, by number. */
export interface ReleaseBook {
  readonly releaseKey: string
  /** Takes an event whose signature holds. The reason why not, or `undefined`. */
  add(event: NostrEvent): string | undefined
  /**
   * What may follow `current`, best first. A number is reached only through all those before it; a node that serves nothing yet,
   * or something that another key signed, begins with the newest.
   */
  after(current: Release | undefined, minSeq: number): SignedRelease[]
  /** Numbers known that cannot be reached from `current`: one between is missing. */
  skipped(current: Release | undefined): number[]
}

const maxReleases = 1_000

export function createReleaseBook(app: string, releaseKey: string): ReleaseBook {
  const releases = new Map<number, SignedRelease>()
  const begins = (current: Release | undefined) => current?.pubkey !== releaseKey
  const above = (seq: number) =>
    [...releases.keys()].filter((candidate) => candidate > seq).sort((a, b) => b - a)

  function reachedFrom(current: Release): number {
    let seq = current.seq
    while (releases.has(seq + 1)) seq++
    return seq
  }

  return {
    releaseKey,
    add(event) {
      if (event.pubkey !== releaseKey) return 'not signed by the release key'
      const read = parseRelease(event)
      if (!read.ok) return read.reason
      const release = read.value
      if (release.app !== app) return 'a release of another app'
      const held = releases.get(release.seq)
      if (held && !isSame(held.release, release))
        return `release ${release.seq} was already made, and is another`
      // A snapshot is the release for ever; the other kind only points at it.
      if (held?.release.kind === kinds.releaseSnapshot) return undefined
      releases.set(release.seq, { release, event })
      if (releases.size > maxReleases) releases.delete(Math.min(...releases.keys()))
      return undefined
    },
    after(current, minSeq) {
      const last = !current || begins(current) ? Number.POSITIVE_INFINITY : reachedFrom(current)
      const found = above(current?.seq ?? 0).filter((seq) => seq <= last && seq >= minSeq)
      return found.map((seq) => releases.get(seq)!)
    },
    skipped: (current) => (!current || begins(current) ? [] : above(reachedFrom(current)).reverse()),
  }
}

function isSame(a: Release, b: Release): boolean {
  return a.commit === b.commit && a.tree === b.tree && a.manifest === b.manifest && a.entry === b.entry
}
