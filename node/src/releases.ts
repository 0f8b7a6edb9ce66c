import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { parseRelease, type Release } from '@understudy/protocol/release'

/** A release and the signed event that says so. */
export interface SignedRelease {
  readonly release: Release
  readonly event: NostrEvent
}

/** The releases of one app that its release key signed, by number. */
export interface ReleaseBook {
  /** Takes an event whose signature holds. The reason why not, or `undefined`. */
  add(event: NostrEvent, releaseKey: string): string | undefined
  /**
   * What may follow `current`, best first. A number is reached only through all those before it; a node that serves nothing yet
   * begins with the newest.
   */
  after(current: Release | undefined, minSeq: number): SignedRelease[]
  /** Numbers known that cannot be reached from `current`: one between is missing. */
  skipped(current: Release): number[]
}

const maxReleases = 1_000

export function createReleaseBook(app: string): ReleaseBook {
  const releases = new Map<number, SignedRelease>()
  return {
    add(event, releaseKey) {
      if (event.pubkey !== releaseKey) return 'not signed by the release key'
      const read = parseRelease(event)
      if (!read.ok) return read.reason
      const release = read.value
      if (release.app !== app) return 'a release of another app'
      const held = releases.get(release.seq)
      if (held && held.release.pubkey === releaseKey) {
        if (!isSame(held.release, release)) return `release ${release.seq} was already made, and is another`
        // A snapshot is the release for ever; the other kind only points at it.
        if (held.release.kind === kinds.releaseSnapshot) return undefined
      }
      releases.set(release.seq, { release, event })
      if (releases.size > maxReleases) releases.delete(Math.min(...releases.keys()))
      return undefined
    },
    after(current, minSeq) {
      const found: SignedRelease[] = []
      if (!current) found.push(...[...releases.values()].sort((a, b) => a.release.seq - b.release.seq))
      else for (let seq = current.seq + 1; releases.has(seq); seq++) found.push(releases.get(seq)!)
      return found.filter(({ release }) => release.seq >= minSeq).reverse()
    },
    skipped(current) {
      let reached = current.seq
      while (releases.has(reached + 1)) reached++
      return [...releases.keys()].filter((seq) => seq > reached).sort((a, b) => a - b)
    },
  }
}

function isSame(a: Release, b: Release): boolean {
  return a.commit === b.commit && a.tree === b.tree && a.manifest === b.manifest && a.entry === b.entry
}
