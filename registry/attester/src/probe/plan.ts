import type { ChainMirror } from '@understudy/chain/state'
import { parseRepository } from '@understudy/protocol/app'
import type { NostrEvent, Parsed } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { type MirrorAnnouncement, parseMirror } from '@understudy/protocol/mirror'
import { parseRelease, type Release } from '@understudy/protocol/release'
import { pubkeyOf, threshold } from '@understudy/protocol/rules'
import { parseSeen } from '@understudy/protocol/seen'
import type { AppEpoch } from '../chain-view.ts'
import { eventsOfApp, newestOfApp } from '../db/events.ts'
import type { Target } from '../db/targets.ts'
import type { Desk } from '../desk.ts'
import { acceptableReleases, type ReleaseFiles } from './freshness.ts'
import type { Manifests } from './manifests.ts'
import type { ProbeTarget } from './probe.ts'

/** Older releases whose files tell a stale mirror from a tampering one. */
const maxOlder = 8

export type Plan =
  | {
      readonly ok: true
      readonly target: ProbeTarget
      readonly announcement: MirrorAnnouncement
      /** Every older release is known: bytes of none of them are wrong bytes. */
      readonly olderComplete: boolean
    }
  | { readonly ok: false; readonly reason: string; readonly announcement?: MirrorAnnouncement }

/** Puts together what a probe of this mirror has to know. What is missing is no fault of the mirror's. */
export async function planProbe(
  desk: Pick<Desk, 'db'>,
  manifests: Manifests,
  at: AppEpoch & { readonly burnHeight: number },
  mirror: ChainMirror,
  target: Target,
  checkFork: boolean,
): Promise<Plan> {
  const { app, rules, burnHeight } = at
  const announced = readAll(await newestOfApp(desk.db, kinds.mirror, app.id), parseMirror)
  const announcement = announced.find((a) => a.nodeKey === mirror.nodeKey)
  if (!announcement) return { ok: false, reason: 'no-announcement' }
  if (announcement.stx !== mirror.owner) return { ok: false, reason: 'not-bound', announcement }

  const repositories = readAll(await newestOfApp(desk.db, kinds.repository, app.id), parseRepository)
  const releases = (await eventsOfApp(desk.db, kinds.releaseSnapshot, app.id)).flatMap((event) => {
    const read = parseRelease(event)
    return read.ok && event.pubkey === rules.releaseKey ? [read.value] : []
  })
  if (releases.length === 0) return { ok: false, reason: 'no-release', announcement }
  const seen = (await eventsOfApp(desk.db, kinds.seen, app.id)).flatMap((event) => {
    const read = parseSeen(event)
    return read.ok ? [read.value] : []
  })
  const acceptable = acceptableReleases(releases, seen, {
    attesters: new Set(rules.keys.map(pubkeyOf)),
    m: threshold(rules.keys),
    grace: rules.grace,
    burnHeight,
  })
  const earlier = releases.filter((r) => !acceptable.includes(r)).sort((a, b) => b.seq - a.seq)

  const web = repositories.flatMap((repository) => repository.web)
  const sources = [announcement.web, ...announced.map((a) => a.web), ...web]
  const acceptableFiles = await filesOfAll(manifests, acceptable, sources)
  if (acceptableFiles.length < acceptable.length) return { ok: false, reason: 'no-manifest', announcement }
  const older = await filesOfAll(manifests, earlier.slice(0, maxOlder), sources)

  const serves = acceptable.find((r) => r.commit === announcement.commit) ?? acceptable.at(-1)!
  const clones = repositories.flatMap((repository) => repository.clone)
  return {
    ok: true,
    announcement,
    olderComplete: older.length === earlier.length,
    target: {
      content: { web: announcement.web, origin: originOf(web[0]), acceptable: acceptableFiles, older },
      possession: {
        app: app.id,
        nodeKey: mirror.nodeKey,
        commit: serves.commit,
        web: announcement.web,
      },
      relay: announcement.relay,
      clone: announcement.clone,
      sources: [...new Set([...clones, ...announced.map((a) => a.clone)])],
      baseline: { address: target.address, micros: target.lowestMicros },
      checkFork,
    },
  }
}

function readAll<T>(events: ReadonlyMap<string, NostrEvent>, parse: (event: NostrEvent) => Parsed<T>): T[] {
  return [...events.values()].flatMap((event) => {
    const read = parse(event)
    return read.ok ? [read.value] : []
  })
}

async function filesOfAll(
  manifests: Manifests,
  releases: readonly Release[],
  sources: readonly string[],
): Promise<ReleaseFiles[]> {
  const files: ReleaseFiles[] = []
  for (const release of releases) {
    const found = await manifests.filesOf(release, sources)
    if (found) files.push(found)
  }
  return files
}

const originOf = (url: string | undefined): string => (url && URL.parse(url)?.origin) || ''
