import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { NostrEvent } from '@understudy/protocol/event'
import { type Filter, matchFilter, newestFirst } from '@understudy/relays/filter'
import { createItemSet, type ItemSet, reconcile } from '@understudy/relays/negentropy'
import type { Socket, SocketConstructor } from '@understudy/relays/socket'
import type { Host, Network } from './network.ts'
import type { Time } from './time.ts'

/** What a relay does beside what it should. Every member is asked about one event and one reader. */
export interface RelayFaults {
  /** Says OK and forgets it. */
  loses?(event: NostrEvent, sender: Host): boolean
  /** Shows it to others, but not to this one. */
  hides?(event: NostrEvent, reader: Host): boolean
  /** How long it sits on an event, ms. */
  delayMs?(event: NostrEvent): number
  /** What it sends to a reader in place of the event. */
  sends?(event: NostrEvent, reader: Host): readonly NostrEvent[]
}

/** How a relay takes to being asked to reconcile: it does, it refuses, it does not know the message and says so in one way or another, or not. */
export const reconciling = ['speaks', 'refuses', 'notices', 'closes', 'ignores'] as const
export type Reconciling = (typeof reconciling)[number]

/** A relay's side of NIP-01 and NIP-77, enough for what our client asks. */
export interface SimulatedRelay extends Host {
  readonly url: string
  faults: RelayFaults
  reconciling: Reconciling
  readonly events: ReadonlyMap<string, NostrEvent>
  /** Loses its connections and, if it must, its memory. */
  restart(options: { readonly downMs: number; readonly forgets: boolean }): void
}

interface Server {
  readonly reader: Host
  readonly questions: Map<string, Filter>
  /** Sets that are being compared, as they stood when that began. */
  readonly sessions: Map<string, ItemSet>
  receive(text: string): void
  send(text: string): void
  drop(): void
}

export interface RelaySet {
  add(name: string, place: Host['place'], faults?: RelayFaults): SimulatedRelay
  readonly all: readonly SimulatedRelay[]
  /** The WebSocket of a program on this host. */
  socketsOf(host: Host): SocketConstructor
}

const maxAnswer = 500
/** Longest message of NIP-77, bytes. */
const maxReconciling = 30_000
const isEphemeral = (kind: number) => kind >= 20_000 && kind < 30_000

interface Parts {
  readonly time: Time
  readonly network: Network
}

export function createRelaySet(parts: Parts): RelaySet {
  const all: ReturnType<typeof createRelay>[] = []
  return {
    all,
    add(name, place, faults = {}) {
      const relay = createRelay(name, place, faults, parts)
      all.push(relay)
      return relay
    },
    socketsOf: (host) =>
      class implements Socket {
        readyState = 0
        bufferedAmount = 0
        onopen: unknown = null
        onmessage: unknown = null
        onerror: unknown = null
        onclose: unknown = null
        #server: Server | undefined
        #last = 0
        #back = 0
        readonly #relay

        constructor(url: string) {
          const { time, network } = parts
          this.#relay = all.find((relay) => relay.url === url.replace(/\/$/, ''))
          const relay = this.#relay
          if (!relay) throw new Error(`no relay at ${url}`)
          const handshake = 3 * network.oneWayMs(host, relay)
          time.after(handshake, () => {
            if (this.readyState !== 0) return
            // A lost packet is not refused: the client gives up by itself.
            if (network.isCut(host, relay)) return
            this.#server = relay.accept(host, {
              message: (text) => this.#arrive(text),
              closed: () => this.#end('closed by the relay'),
            })
            if (!this.#server) return this.#end('refused')
            this.readyState = 1
            call(this.onopen, {})
          })
        }

        send(text: string): void {
          const { time, network } = parts
          const relay = this.#relay!
          const server = this.#server
          if (this.readyState !== 1 || !server || network.isCut(host, relay)) return
          // One connection keeps its order.
          this.#last = Math.max(this.#last, time.now() + network.oneWayMs(host, relay))
          time.at(this.#last, () => {
            if (this.readyState === 1) server.receive(text)
          })
        }

        #arrive(text: string): void {
          const { time, network } = parts
          const relay = this.#relay!
          if (network.isCut(host, relay)) return
          this.#back = Math.max(this.#back, time.now() + network.oneWayMs(relay, host))
          time.at(this.#back, () => {
            if (this.readyState === 1) call(this.onmessage, { data: text })
          })
        }

        #end(reason: string): void {
          if (this.readyState === 3) return
          const opened = this.readyState === 1
          this.readyState = 3
          call(opened ? this.onclose : this.onerror, { reason, message: reason })
        }

        close(): void {
          this.readyState = 3
          this.#server?.drop()
        }

        terminate(): void {
          this.close()
        }
      },
  }
}

interface Endpoint {
  message(text: string): void
  closed(): void
}

const call = (handler: unknown, event: unknown) => {
  if (typeof handler === 'function') handler(event)
}

function createRelay(name: string, place: Host['place'], faults: RelayFaults, { time }: Parts) {
  const events = new Map<string, NostrEvent>()
  const connections = new Map<Server, Endpoint>()
  let downUntil = 0

  function show(server: Server, id: string, event: NostrEvent): void {
    if (relay.faults.hides?.(event, server.reader)) return
    for (const sent of relay.faults.sends?.(event, server.reader) ?? [event])
      server.send(JSON.stringify(['EVENT', id, sent]))
  }

  function take(event: NostrEvent, sender: Host): void {
    if (events.has(event.id) || relay.faults.loses?.(event, sender)) return
    const store = () => {
      if (!isEphemeral(event.kind)) events.set(event.id, event)
      for (const server of connections.keys())
        for (const [id, filter] of server.questions) if (matchFilter(filter, event)) show(server, id, event)
    }
    const delay = relay.faults.delayMs?.(event) ?? 0
    if (delay > 0) time.after(delay, store)
    else store()
  }

  function answer(server: Server, id: string, filter: Filter): void {
    server.questions.set(id, filter)
    const stored = [...events.values()].filter((event) => matchFilter(filter, event)).sort(newestFirst)
    for (const event of stored.slice(0, Math.min(filter.limit ?? maxAnswer, maxAnswer)))
      show(server, id, event)
    server.send(JSON.stringify(['EOSE', id]))
  }

  /** What it would show to this reader. */
  function itemsFor(reader: Host, filter: Filter): ItemSet {
    const shown = [...events.values()].filter(
      (event) => matchFilter(filter, event) && !relay.faults.hides?.(event, reader),
    )
    return createItemSet(
      shown.map((event) => event.created_at),
      hexToBytes(shown.map(({ id }) => id).join('')),
    )
  }

  function open(server: Server, id: string, filter: Filter, message: string): void {
    if (relay.reconciling === 'speaks') server.sessions.set(id, itemsFor(server.reader, filter))
    if (relay.reconciling === 'speaks' || relay.reconciling === 'refuses') goOn(server, id, message)
    else if (relay.reconciling === 'notices') server.send(JSON.stringify(['NOTICE', 'invalid: expected REQ']))
    else if (relay.reconciling === 'closes') server.send(JSON.stringify(['CLOSED', id, 'error: no filter']))
  }

  function goOn(server: Server, id: string, message: string): void {
    const items = server.sessions.get(id)
    const answer = (items: ItemSet) =>
      reconcile(items, hexToBytes(message), { asks: false, maxBytes: maxReconciling }).reply ??
      new Uint8Array()
    const frame = items
      ? ['NEG-MSG', id, bytesToHex(answer(items))]
      : ['NEG-ERR', id, 'blocked: there is no such session']
    server.send(JSON.stringify(frame))
  }

  const relay = {
    name,
    place,
    url: `wss://${name}.example`,
    faults,
    reconciling: 'speaks' as Reconciling,
    events,
    restart({ downMs, forgets }: { downMs: number; forgets: boolean }) {
      downUntil = time.now() + downMs
      if (forgets) events.clear()
      for (const [server, endpoint] of connections) {
        connections.delete(server)
        endpoint.closed()
      }
    },
    accept(reader: Host, endpoint: Endpoint): Server | undefined {
      if (time.now() < downUntil) return undefined
      const server: Server = {
        reader,
        questions: new Map(),
        sessions: new Map(),
        receive(text) {
          if (!connections.has(server)) return
          const [type, first, second, third] = JSON.parse(text) as [string, unknown, unknown, unknown]
          if (type === 'EVENT') {
            const event = first as NostrEvent
            take(event, reader)
            server.send(JSON.stringify(['OK', event.id, true, '']))
          } else if (type === 'REQ') answer(server, first as string, second as Filter)
          else if (type === 'CLOSE') server.questions.delete(first as string)
          else if (type === 'NEG-OPEN') open(server, first as string, second as Filter, third as string)
          else if (type === 'NEG-MSG') goOn(server, first as string, second as string)
          else if (type === 'NEG-CLOSE') server.sessions.delete(first as string)
        },
        send: (text) => endpoint.message(text),
        drop: () => void connections.delete(server),
      }
      connections.set(server, endpoint)
      return server
    },
  }
  return relay
}
