import type { Log } from '@understudy/host/log'
import type { EventSigner, EventTemplate, NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import {
  heartbeatSeconds,
  heartbeatTemplate,
  type MirrorDraft,
  mirrorTemplate,
} from '@understudy/protocol/mirror'
import type { Site } from './site.ts'

/** Tells the network about this node: its announcement, its heartbeats, its relays. */
export interface Announcer {
  /** Says now what is served; call it after every switch. */
  announce(): void
  /** Once: from now on every minute. */
  start(): void
  stop(): void
}

export interface AnnouncerParts {
  readonly app: string
  /** All but the commit. */
  readonly mirror: Omit<MirrorDraft, 'commit'>
  readonly relayUrls: readonly string[]
  readonly signer: EventSigner
  readonly site: Pick<Site, 'current'>
  /** To every relay, ours included; false when none of the others took it. */
  publish(event: NostrEvent): Promise<boolean>
  /** Milliseconds since 1970. */
  now(): number
  /** In [0, 1). */
  random(): number
  readonly log: Pick<Log, 'info' | 'warn'>
}

/** Seconds for which an announcement is good, and between two of them. */
const announcementExpiry = 3_600
const announcementPeriod = 300
/** Seconds between two relay lists. */
const relayListPeriod = 6 * 3_600

/** Pause after which what no relay took is said again, seconds. */
const repeatSeconds = 5

export function createAnnouncer(parts: AnnouncerParts): Announcer {
  const { app, mirror, signer, site, now, random, log } = parts
  const seconds = () => Math.floor(now() / 1_000)
  /** By kind: the second that was signed last, and whether any relay took it. */
  const said = new Map<number, { readonly at: number; readonly taken: boolean }>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let stopped = false

  /** Signs with a second of its own: of replaceable events only a later one replaces the one before. */
  async function say(kind: number, template: (second: number) => EventTemplate): Promise<void> {
    const at = Math.max(seconds(), (said.get(kind)?.at ?? 0) + 1)
    said.set(kind, { at, taken: false })
    const taken = await parts.publish(await signer.signEvent(template(at)))
    if (said.get(kind)?.at === at) said.set(kind, { at, taken })
    if (!taken) log.warn({ kind }, 'no relay took an event of ours; it will be said again')
  }

  function isDue(kind: number, period: number): boolean {
    const last = said.get(kind)
    return !last?.taken || seconds() - last.at >= period
  }

  async function announce(): Promise<void> {
    const release = site.current()?.release
    if (!release || stopped) return
    const draft = { ...mirror, commit: release.commit }
    await say(kinds.mirror, (second) => mirrorTemplate(draft, second, second + announcementExpiry))
  }

  async function beat(): Promise<void> {
    const release = site.current()?.release
    if (!release) return
    const tags = parts.relayUrls.map((url) => ['r', url])
    if (isDue(kinds.relayList, relayListPeriod))
      await say(kinds.relayList, (at) => ({ kind: kinds.relayList, created_at: at, tags, content: '' }))
    if (isDue(kinds.mirror, announcementPeriod)) await announce()
    await say(kinds.heartbeat, (at) => heartbeatTemplate(app, release.commit, at))
  }

  async function run(): Promise<void> {
    await beat().catch((error: unknown) => log.warn({ err: error }, 'heartbeat failed'))
    if (stopped) return
    const missed = [...said.values()].some(({ taken }) => !taken)
    const pause = missed || !site.current() ? repeatSeconds : heartbeatSeconds
    // All nodes of an app must not beat at once.
    timer = setTimeout(() => void run(), pause * 1_000 * (0.95 + random() / 10))
  }

  return {
    announce: () => {
      announce().catch((error: unknown) => log.warn({ err: error }, 'announcement failed'))
    },
    start: () => void run(),
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
