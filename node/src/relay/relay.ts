import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Log } from '@understudy/host/log'
import type { Metrics } from '@understudy/host/metrics'
import type { NostrEvent } from '@understudy/protocol/event'
import type { Filter } from '@understudy/relays/filter'
import { WebSocketServer } from 'ws'
import { type Access, createAccess } from './access.ts'
import { answer } from './answer.ts'
import { type Connection, serve } from './connection.ts'
import { maxFrameBytes } from './frame.ts'
import { type About, informationOf } from './information.ts'
import { createIntake, type Intake, type Outcome, type VerifyEvent } from './intake.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { createRate } from './rate.ts'
import { createReconciliation } from './reconciliation.ts'
import type { Admit } from './scope.ts'
import type { Store } from './store.ts'
import { createSubscriptions } from './subscriptions.ts'
import { type SyncParts, type SyncResult, syncWith } from './sync.ts'

export interface RelayParts {
  readonly store: Store
  readonly verify: VerifyEvent
  readonly admit: Admit
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly log: Pick<Log, 'debug' | 'error'>
  readonly metrics?: Metrics
  readonly limits?: Partial<Limits>
  readonly about?: About
  /** Default: open, but for protected events. */
  readonly access?: Access
  /** Further NIPs that the program serves beside the relay. */
  readonly nips?: readonly number[]
  /** Where the relay is reached from outside, ws(s): what clients name when they authenticate, besides the host that they asked. */
  readonly url?: string
}

export interface Relay {
  /** Takes over an HTTP upgrade, whatever its path. */
  handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Takes over the server's upgrades on this path; refuses all others. */
  attach(server: Server, path?: string): void
  /** An event of the relay's own program, under the same rules as everybody's. */
  publish(event: NostrEvent): Promise<Outcome>
  /** Stored events, newest first (at most the relay's limit). */
  query(filters: readonly Filter[]): Promise<NostrEvent[]>
  /** Live events only, ephemeral ones included. */
  subscribe(filters: readonly Filter[], onEvent: (event: NostrEvent) => void): { close(): void }
  /** Makes our store and a sibling's equal for a filter (NIP-77). */
  syncWith(
    url: string,
    filter: Filter,
    options: Omit<SyncParts, 'store' | 'reconciliation' | 'accept'>,
  ): Promise<SyncResult>
  /** The NIP-11 document. */
  information(): ReturnType<typeof informationOf>
  /** Writes what waits and closes every connection; the store stays open. */
  close(): Promise<void>
}

/** Reasons that the metrics tell apart. */
const maxReasons = 200

/** A Nostr relay: NIP-01, 09, 11, 40, 42, 70, and 77 when its store is a file. */
export function createRelay(parts: RelayParts): Relay {
  const { store, verify, admit, now, log, metrics } = parts
  const limits = { ...defaultLimits, ...parts.limits }
  const access = parts.access ?? createAccess()
  const ownHosts = parts.url ? [new URL(parts.url).host] : []
  const subscriptions = createSubscriptions()
  // What is nowhere, another thread cannot read.
  const reconciliation = store.file === ':memory:' ? undefined : createReconciliation(store, { now })
  const connections = new Set<Connection>()
  const open = { subscriptions: 0 }
  const outcomes = metrics?.counter('relay_events_total', 'Events received, by what became of them', [
    'outcome',
  ])
  const connected = metrics?.gauge('relay_connections', 'Open connections')
  const refusals = metrics?.counter('relay_refusals_total', 'What was refused, by reason', ['reason'])
  const dropped = metrics?.counter('relay_dropped_total', 'Connections that the relay gave up', ['reason'])

  const intake = createIntake({
    store,
    verify,
    admit,
    access,
    now,
    limits,
    onEvent: (event, json) => subscriptions.publish(event, json),
    onFailure: (error) => log.error({ err: error }, 'events could not be stored'),
  })

  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // Above what we read, so that a frame that is a little too large is answered rather than cut off.
    maxPayload: 4 * maxFrameBytes,
    // Without context takeover an idle connection keeps no zlib state. Most events are about a kilobyte: to deflate one anew for
    // each of thousands of subscribers costs more time and memory than it saves.
    perMessageDeflate: {
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      threshold: 4096,
      concurrencyLimit: 4,
    },
  })

  const pings = setInterval(() => {
    for (const connection of connections) connection.ping()
  }, limits.pingMs)
  const sweeps = setInterval(sweep, limits.sweepMs)
  pings.unref()
  sweeps.unref()

  async function sweep(): Promise<void> {
    try {
      while ((await store.sweep(Math.floor(now() / 1000), 200)) === 200)
        await new Promise((resolve) => setImmediate(resolve))
    } catch (error) {
      log.error({ err: error }, 'expired events could not be deleted')
    }
  }

  function onOutcome({ ok, message }: Outcome): void {
    outcomes?.inc({ outcome: message.split(':', 1)[0] || (ok ? 'accepted' : 'refused') })
    if (!ok) onRefused(message)
  }

  const labels = new Set<string>()
  /** Reasons are our own words; numbers in them, and what a peer made us quote, would make too many. */
  function labelOf(reason: string): string {
    const label = reason.replace(/\d+/g, 'N').slice(0, 80)
    if (labels.size >= maxReasons && !labels.has(label)) return 'other'
    labels.add(label)
    return label
  }

  function onRefused(reason: string): void {
    refusals?.inc({ reason: labelOf(reason) })
    log.debug({ reason }, 'refused')
  }

  const acceptOfSibling: Intake['accept'] = async (event, sender) => {
    const outcome = await intake.accept(event, sender)
    onOutcome(outcome)
    return outcome
  }

  const allEvents = createRate(limits.allEventBurst, limits.allEventsPerSecond, now)
  const onDropped = (reason: string) => {
    dropped?.inc({ reason: labelOf(reason) })
    log.debug({ reason }, 'connection given up')
  }

  function handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer) {
    if (connections.size >= limits.connections) {
      onRefused('upgrade: too many connections')
      return refuseUpgrade(socket, 503)
    }
    server.handleUpgrade(req, socket, head, (ws) => {
      const hosts = req.headers.host ? [req.headers.host, ...ownHosts] : ownHosts
      const shared = {
        store,
        intake,
        subscriptions,
        reconciliation,
        access,
        verify,
        limits,
        now,
        allEvents,
        open,
      }
      const connection = serve(ws, socket, { ...shared, hosts, onOutcome, onRefused, onDropped })
      connections.add(connection)
      connected?.set(connections.size)
      ws.on('close', () => {
        connections.delete(connection)
        connected?.set(connections.size)
      })
    })
  }

  return {
    handleUpgrade,
    attach(http, path = '/') {
      http.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
        if (req.url?.split('?', 1)[0] === path) handleUpgrade(req, socket, head)
        else {
          onRefused('upgrade: no such path')
          refuseUpgrade(socket, 404)
        }
      })
    },
    async publish(event) {
      const outcome = await intake.accept(event)
      onOutcome(outcome)
      return outcome
    },
    async query(filters) {
      const events: NostrEvent[] = []
      for await (const json of answer({ store, now, limit: limits.limit }, filters))
        events.push(JSON.parse(json) as NostrEvent)
      return events
    },
    subscribe(filters, onEvent) {
      const subscription = { filters, deliver: onEvent }
      subscriptions.add(subscription)
      return { close: () => subscriptions.remove(subscription) }
    },
    syncWith(url, filter, options) {
      if (!reconciliation) throw new Error('a store in memory cannot be compared')
      return syncWith(url, filter, { ...options, store, reconciliation, accept: acceptOfSibling })
    },
    information: () =>
      informationOf(parts.about ?? {}, limits, {
        nips: [...(reconciliation ? [77] : []), ...(parts.nips ?? [])],
        authRequired: access.read([{}], new Set()) !== undefined,
      }),
    async close() {
      clearInterval(pings)
      clearInterval(sweeps)
      await intake.close()
      // Their OKs leave before the connections are closed.
      await new Promise((resolve) => setImmediate(resolve))
      for (const connection of connections) connection.close(1001, 'going away')
      server.close()
      await reconciliation?.close()
    },
  }
}

function refuseUpgrade(socket: Duplex, status: number): void {
  socket.on('error', () => {})
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
