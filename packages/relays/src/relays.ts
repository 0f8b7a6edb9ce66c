import { type NostrEvent, type Parsed, parsed, refused } from '@understudy/protocol/event'
import { type Filter, matchFilter, newestFirst } from './filter.ts'
import { openRelay, type Relay, type RelayOptions, type RelayStatus } from './relay.ts'

export interface PublishResult {
  /** At least `quorum` relays have the event. */
  readonly ok: boolean
  /** URLs of the relays that had said OK when the result was known. */
  readonly accepted: readonly string[]
  readonly refused: readonly { readonly url: string; readonly reason: string }[]
}

export interface Subscriber {
  /** Verified, each id once (as long as it is among the last 20,000). */
  onEvent(event: NostrEvent): void
  /** Once: the stored events of all relays that answered are delivered. `answered`: their URLs, possibly none. */
  onCaughtUp?(answered: readonly string[]): void
}

export interface Relays {
  /**
   * Sends to every relay whose circuit is closed, and to the others as soon as they are well again. Resolves when `quorum` (default 1) said
   * OK, or can no longer, or `timeoutMs` (default 8,000) passed; until then it waits for the others, whatever was resolved before.
   */
  publish(
    event: NostrEvent,
    options?: { readonly quorum?: number; readonly timeoutMs?: number },
  ): Promise<PublishResult>
  /**
   * The stored events, newest first. Waits `timeoutMs` (default 5,000) at most, and no longer than 1.5 s after the
   * first complete answer. Superseded versions may be among them when a relay is behind.
   */
  query(filters: readonly Filter[], options?: { readonly timeoutMs?: number }): Promise<NostrEvent[]>
  /** Stored events, then live ones, ephemeral ones included; asks again with an overlap after each reconnect. */
  subscribe(filters: readonly Filter[], subscriber: Subscriber): { close(): void }
  status(): RelayStatus[]
  /** Each by itself, for what they are to be told apart in. */
  each(): readonly Relay[]
  /** Adds a relay to everything that is open. The caller vouches that its address may be dialled. */
  add(url: string): Parsed<string>
  close(): void
}

const maxRelays = 64
/** Ids that a subscription remembers. */
const maxSeen = 20_000
/** Events that one query holds at most. */
const maxQueried = 100_000
/** How long slower relays get once one has answered in full, ms. */
const patienceMs = 1_500
/** Answers in a row that a relay failed to give in time before nobody waits for it any more, and for how long, ms. */
const maxMisses = 2
const slowMs = 30_000
/** When a subscription counts as caught up although a relay never answered, ms. */
const catchUpMs = 8_000

/** Many relays as one: whatever one of them does, the others are not slowed. Throws on a URL that is not ws(s). */
export function openRelays(urls: readonly string[], options: RelayOptions): Relays {
  const relays = new Map<string, Relay>()
  const joined = new Set<(relay: Relay) => void>()
  const { now = Date.now } = options
  /** Relays that others had to wait for in vain. */
  const slow = new Map<Relay, { readonly misses: number; readonly at: number }>()

  function add(url: string): Parsed<string> {
    const href = relayUrl(url)
    if (!href.ok || relays.has(href.value)) return href
    if (relays.size >= maxRelays) return refused(`more than ${maxRelays} relays`)
    const relay = openRelay(href.value, options)
    relays.set(href.value, relay)
    for (const join of joined) join(relay)
    return href
  }

  for (const url of urls) {
    const added = add(url)
    if (!added.ok) throw new Error(`${url}: ${added.reason}`)
  }

  function missed(relay: Relay): void {
    slow.set(relay, { misses: (slow.get(relay)?.misses ?? 0) + 1, at: now() })
  }

  /**
   * Relays whose answer is worth waiting for: those that are up or try for the first time, whose circuit is closed, whose connections
   * last, and that lately answered in time; all when there are none. The others are asked all the same.
   */
  function hopeful(): Relay[] {
    const all = [...relays.values()]
    const up = all.filter((relay) => {
      const { state, failures, circuit, steady } = relay.status()
      const late = slow.get(relay)
      if (circuit !== 'closed' || !steady || (late && late.misses >= maxMisses && now() - late.at < slowMs))
        return false
      return state === 'open' || (state === 'connecting' && failures === 0)
    })
    return up.length > 0 ? up : all
  }

  return {
    add,
    status: () => [...relays.values()].map((relay) => relay.status()),
    each: () => [...relays.values()],
    publish: (event, { quorum = 1, timeoutMs = 8_000 } = {}) =>
      new Promise((resolve) => {
        const accepted: string[] = []
        const refusals: { url: string; reason: string }[] = []
        const total = relays.size
        const settle = () => {
          if (accepted.length >= quorum || total - refusals.length < quorum)
            resolve({ ok: accepted.length >= quorum, accepted: [...accepted], refused: [...refusals] })
        }
        for (const relay of relays.values()) {
          void relay.publish(event, timeoutMs).then((outcome) => {
            if (outcome.ok) accepted.push(relay.url)
            else refusals.push({ url: relay.url, reason: outcome.reason })
            settle()
          })
        }
        settle()
      }),
    query: (filters, { timeoutMs = 5_000 } = {}) =>
      new Promise((resolve) => {
        const found = new Map<string, NostrEvent>()
        const open: { close(): void }[] = []
        const awaited = new Set(hopeful())
        let deadline = setTimeout(done, timeoutMs)
        const endsAt = Date.now() + timeoutMs
        let answered = false
        for (const relay of relays.values()) {
          let left = filters.length
          for (const filter of filters) {
            open.push(
              relay.ask({
                filter,
                live: false,
                known: (id) => found.has(id),
                onEvent: (event) => {
                  if (found.size < maxQueried) found.set(event.id, event)
                },
                onCaughtUp: () => {
                  if (--left > 0) return
                  awaited.delete(relay)
                  slow.delete(relay)
                  if (!answered) {
                    answered = true
                    clearTimeout(deadline)
                    deadline = setTimeout(done, Math.min(patienceMs, Math.max(0, endsAt - Date.now())))
                  }
                  if (awaited.size === 0) done()
                },
                onFailed: () => {
                  // While nobody answered, a relay that comes back in time may still do so.
                  awaited.delete(relay)
                  if (awaited.size === 0 && answered) done()
                },
              }),
            )
          }
        }
        if (relays.size === 0 || filters.length === 0) done()
        function done(): void {
          clearTimeout(deadline)
          if (answered) for (const relay of awaited) missed(relay)
          for (const question of open) question.close()
          const events = [...found.values()].sort(newestFirst)
          const within = new Set(
            filters.flatMap((filter) => events.filter((e) => matchFilter(filter, e)).slice(0, filter.limit)),
          )
          resolve(events.filter((event) => within.has(event)))
        }
      }),
    subscribe(filters, { onEvent, onCaughtUp }) {
      const seen = new Set<string>()
      const open: { close(): void }[] = []
      const answered = new Set<string>()
      const awaited = new Set(hopeful())
      let caughtUp = false
      const deadline = setTimeout(() => {
        for (const relay of awaited) missed(relay)
        finish()
      }, catchUpMs)
      function finish(): void {
        clearTimeout(deadline)
        if (!caughtUp) onCaughtUp?.([...answered])
        caughtUp = true
      }
      function join(relay: Relay): void {
        const left = new Set(filters)
        for (const filter of filters) {
          open.push(
            relay.ask({
              filter,
              live: true,
              known: (id) => seen.has(id),
              onEvent: (event) => {
                seen.add(event.id)
                if (seen.size > maxSeen) seen.delete(seen.values().next().value!)
                onEvent(event)
              },
              onCaughtUp: () => {
                left.delete(filter)
                if (left.size > 0) return
                answered.add(relay.url)
                awaited.delete(relay)
                slow.delete(relay)
                if (awaited.size === 0) finish()
              },
              onFailed: () => {
                awaited.delete(relay)
                if (awaited.size === 0 && answered.size > 0) finish()
              },
            }),
          )
        }
      }
      for (const relay of relays.values()) join(relay)
      joined.add(join)
      if (relays.size === 0) queueMicrotask(finish)
      return {
        close() {
          clearTimeout(deadline)
          caughtUp = true
          joined.delete(join)
          for (const question of open) question.close()
        },
      }
    },
    close() {
      joined.clear()
      for (const relay of relays.values()) relay.close()
    },
  }
}

/** The URL in one spelling; refuses anything but ws(s) without credentials. */
export function relayUrl(url: string): Parsed<string> {
  try {
    const read = new URL(url)
    if (url.length > 300 || !/^wss?:$/.test(read.protocol)) return refused('not a ws(s) URL')
    if (read.username || read.password) return refused('a relay URL with credentials')
    read.hash = ''
    return parsed(read.href)
  } catch {
    return refused('not a URL')
  }
}
