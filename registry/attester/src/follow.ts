import type { Metrics } from '@understudy/host/metrics'
import { epochTag, parseAttestation } from '@understudy/protocol/attestation'
import { isCommitted } from '@understudy/protocol/bundle'
import { type Commitment, parseCommitment } from '@understudy/protocol/commitment'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { parseSeen, seenTemplate } from '@understudy/protocol/seen'
import { reconcileWith } from '@understudy/relays/reconcile'
import type { Relays } from '@understudy/relays/relays'
import { type AppEpoch, attestedApps } from './chain-view.ts'
import {
  dropSuperseded,
  eventsById,
  eventsOfApp,
  eventsOfEpoch,
  eventsToPublish,
  heldOf,
  keepEvent,
  markPublished,
  type Sayings,
} from './db/events.ts'
import { type Desk, seconds, sign } from './desk.ts'
import { belongingOf, filtersOf, keepLimit } from './scope.ts'
import { accuse } from './settle/accuse.ts'

/** What relays tell us, kept as far as it concerns us; and what we tell them. */
export interface Follower {
  /** Asks relays for what concerns these apps; the same question is not put twice. */
  follow(apps: readonly AppEpoch[]): void
  /** Asks once more for releases, and waits for the answer: we may be the one who is behind. */
  refreshReleases(app: AppEpoch): Promise<void>
  /** Publishes what is due. */
  publishDue(): Promise<void>
  /** Compares what we and each relay hold of these, and fills what either lacks (NIP-77). One at a time; others are left out. */
  reconcile(sayings: readonly Sayings[]): Promise<void>
  close(): Promise<void>
}

/** What an attester can contradict itself in. */
const signedKinds: ReadonlySet<number> = new Set([kinds.commitment, kinds.proposal, kinds.coSignature])

export function createFollower(
  desk: Desk,
  relays: Relays,
  options: { readonly metrics: Metrics; onKept(): void },
): Follower {
  const received = options.metrics.counter('events_received_total', 'Events from relays', ['result'])
  const reconciled = options.metrics.counter('reconciliations_total', 'Sets compared with a relay', [
    'result',
  ])
  let reconciling = false
  /** Ids that a relay was asked for because we lacked them: what we did not keep is not asked for again. */
  const offered = new Set<string>()
  let asked = ''
  let subscription: { close(): void } | undefined
  let apps: readonly AppEpoch[] = []
  const kept = new Map<string, number>()
  /** Commitments by author, app and epoch. */
  const said = new Map<string, readonly Commitment[]>()
  /** Places in commitments whose attestation is kept. */
  const held = new Set<string>()
  /** One event after the other: what belongs together arrives together. */
  let queue: Promise<unknown> = Promise.resolve()

  async function keep(event: NostrEvent): Promise<void> {
    const { contracts, identity, db } = desk
    const context = { contracts, chainId: identity.chainId, nowSeconds: seconds(desk) }
    const read = belongingOf(event, apps, context)
    if (!read.ok) {
      received.inc({ result: 'refused' })
      desk.log.debug({ id: event.id, kind: event.kind, reason: read.reason }, 'event refused')
      return
    }
    const { app, epoch, replaceable } = read.value
    const mirrors = apps.find((a) => a.app.id === app)?.app.mirrors.size ?? 0
    const counted = `${event.kind}:${event.pubkey}:${app}:${epoch}`
    const before = kept.get(counted) ?? 0
    const place = event.pubkey === identity.pubkey ? undefined : await placeOf(event, app, epoch)
    if (event.pubkey !== identity.pubkey) {
      if (place === 'none') {
        received.inc({ result: 'uncommitted' })
        return
      }
      // What a commitment names is kept whatever else its author floods us with, but once.
      const many = place ? held.has(place) : !replaceable && before >= keepLimit(event.kind, mirrors)
      if (many) {
        received.inc({ result: 'too-many' })
        return
      }
    }
    // First, so that a crash in between leaves it to be looked at again.
    if (signedKinds.has(event.kind)) await accuse(desk, event, app, epoch)
    const fresh = await keepEvent(db, event, { app, epoch, receivedAt: desk.now() })
    received.inc({ result: fresh ? 'kept' : 'known' })
    if (place) held.add(place)
    if (!fresh) return
    if (event.kind === kinds.commitment) said.delete(`${event.pubkey}:${app}:${epoch}`)
    if (kept.size > 100_000) kept.clear()
    if (held.size > 1_000_000) held.clear()
    kept.set(counted, before + 1)
    if (replaceable) await dropSuperseded(db, event, app)
    if (event.kind === kinds.releaseSnapshot) await saySeen(app, event.id)
    options.onKept()
  }

  /** Says at which burn height we first saw a release; once. */
  async function saySeen(app: string, release: string): Promise<void> {
    const burnHeight = desk.chain.sight()?.burnHeight
    if (burnHeight === undefined) return
    const said = (await eventsOfApp(desk.db, kinds.seen, app)).some((event) => {
      const seen = parseSeen(event)
      return seen.ok && seen.value.attester === desk.identity.pubkey && seen.value.release === release
    })
    if (said) return
    const event = await sign(desk, seenTemplate({ app, release, burnHeight }, seconds(desk)))
    await keepEvent(desk.db, event, { app, epoch: -1, receivedAt: desk.now(), outgoing: 'due' })
    desk.log.info({ app, release, burnHeight }, 'release seen')
  }

  /**
   * The place of an attestation in its author's commitment; `none` where it has none. Undefined while that cannot be told, and for
   * everything else.
   */
  async function placeOf(event: NostrEvent, app: string, epoch: number): Promise<string | undefined> {
    if (event.kind !== kinds.attestation) return undefined
    const commitments = await saidBy(event.pubkey, app, epoch)
    const attestation = parseAttestation(event)
    if (commitments.length === 0 || !attestation.ok) return undefined
    const committed = commitments.some((commitment) => isCommitted(commitment, attestation.value))
    return committed ? `${event.pubkey}:${app}:${epoch}:${attestation.value.leaf}` : 'none'
  }

  async function saidBy(pubkey: string, app: string, epoch: number): Promise<readonly Commitment[]> {
    const name = `${pubkey}:${app}:${epoch}`
    const known = said.get(name)
    if (known) return known
    const events = await eventsOfEpoch(desk.db, kinds.commitment, app, epoch, pubkey)
    const read = events.flatMap(({ event }) => {
      const commitment = parseCommitment(event, desk.identity.chainId)
      return commitment.ok ? [commitment.value] : []
    })
    if (said.size > 1_000) said.clear()
    said.set(name, read)
    return read
  }

  const enqueue = (event: NostrEvent): Promise<void> => {
    const done = queue.then(() => keep(event))
    queue = done.catch((error: unknown) => {
      desk.log.error({ err: error, id: event.id }, 'event could not be kept')
      // Asked for again, so that an event that a failing database refused is not lost.
      asked = ''
    })
    return done.catch(() => {})
  }

  async function reconcileAll(said: Sayings): Promise<void> {
    const { app, epochs, kinds, authors } = said
    const filter = {
      ...{ kinds: [...kinds], authors: [...authors] },
      '#d': epochs.map((epoch) => epochTag(app, epoch)),
    }
    let items = await heldOf(desk.db, said)
    for (const relay of relays.each()) {
      const held = { items, events: (ids: readonly string[]) => eventsById(desk.db, ids) }
      const take = (event: NostrEvent) => {
        offered.add(event.id)
        void enqueue(event)
      }
      const result = await reconcileWith(relay, filter, held, take, (id) => offered.has(id))
      await queue
      // The next relay may lack what this one had.
      if (result.ok && result.received > 0) items = await heldOf(desk.db, said)
      reconciled.inc({ result: result.ok ? 'ok' : 'failed' })
      if (result.ok && result.received + result.given > 0)
        desk.log.info({ app, epochs, relay: relay.url, ...result }, 'reconciled')
    }
  }

  return {
    follow(now) {
      apps = now
      const filters = filtersOf(now, seconds(desk))
      const question = JSON.stringify(filters)
      if (question === asked) return
      asked = question
      const before = subscription
      subscription = filters.length > 0 ? relays.subscribe(filters, { onEvent: enqueue }) : undefined
      before?.close()
    },
    async refreshReleases({ app, rules }) {
      const filter = { kinds: [kinds.releaseSnapshot], authors: [rules.releaseKey], '#a': [app.coordinate] }
      for (const event of await relays.query([filter])) await enqueue(event)
    },
    async publishDue() {
      const due = await eventsToPublish(desk.db, 100)
      const results = await Promise.all(
        due.map(async (event) => {
          const result = await relays.publish(event)
          if (!result.ok && desk.once(event.id))
            desk.log.warn({ kind: event.kind, refused: result.refused }, 'not published')
          return { id: event.id, ok: result.ok }
        }),
      )
      await markPublished(
        desk.db,
        results.flatMap(({ id, ok }) => (ok ? [id] : [])),
      )
    },
    async reconcile(sayings) {
      if (reconciling) return
      reconciling = true
      try {
        if (offered.size > 100_000) offered.clear()
        for (const of of sayings) await reconcileAll(of)
      } finally {
        reconciling = false
      }
    },
    async close() {
      subscription?.close()
      await queue
    },
  }
}

/** The apps that we attest now. */
export function ourApps(desk: Pick<Desk, 'chain' | 'identity'>, only: readonly string[]): AppEpoch[] {
  const sight = desk.chain.sight()
  return sight ? attestedApps(sight, desk.identity.key, only) : []
}
