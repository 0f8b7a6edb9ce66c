import {
  type NostrEvent,
  type Parsed,
  parsed,
  parseEvent,
  refused,
  type Verify,
} from '@understudy/protocol/event'
import { type Filter, matchFilter } from './filter.ts'
import { maxFrameLength, runtimeSocket, type Socket, type SocketConstructor } from './socket.ts'

export interface RelayOptions {
  readonly verify: Verify
  /** Milliseconds since 1970. */
  readonly now?: () => number
  /** In [0, 1). */
  readonly random?: () => number
  readonly WebSocket?: SocketConstructor
  /** Deadline of one connection attempt, ms. */
  readonly connectMs?: number
  /** Silence after which the relay is asked for a sign of life; after as much again it counts as frozen. ms. */
  readonly pingMs?: number
  /** First and longest pause before connecting again, ms. */
  readonly backoffMs?: number
  readonly maxBackoffMs?: number
  /**
   * How far before the newest event seen a new connection asks again, seconds. Events are signed before they are
   * published, so this is far more than clock skew.
   */
  readonly overlapSeconds?: number
}

export type RelayState = 'connecting' | 'open' | 'waiting' | 'closed'

export interface RelayStatus {
  readonly url: string
  readonly state: RelayState
  /** Failed attempts in a row. */
  readonly failures: number
  readonly lastError?: string
}

export type PublishOutcome = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/** One filter put to one relay. */
export interface Question {
  readonly filter: Filter
  /** Stays open after the stored events, and is asked again after every reconnect. */
  readonly live: boolean
  /** True for events that are verified already and need no second look. */
  known(id: string): boolean
  /** Verified, and what the filter asks for. */
  onEvent(event: NostrEvent): void
  /** Every stored event has been delivered. May be called again after a reconnect. */
  onCaughtUp(): void
  /** The connection was lost, or the relay refused, before the stored events were complete. */
  onFailed(reason: string): void
}

export interface Relay {
  readonly url: string
  status(): RelayStatus
  /** Resolves when the relay has answered OK, or not within `timeoutMs`. Sent again after a reconnect until then. */
  publish(event: NostrEvent, timeoutMs: number): Promise<PublishOutcome>
  ask(question: Question): { close(): void }
  close(): void
}

/** Stored events asked for at once; a longer answer is read page by page. */
const pageSize = 500
/** Asked for at once of a second that holds more than a page: NIP-01 cannot divide it. */
const crowdSize = 5_000
/** A page shorter than this is taken for the whole answer: no relay caps an answer as low. */
const completeBelow = 50
/** Publications waiting for one relay's OK. */
const maxPending = 2_000
/** Bytes that a relay may leave unread before we give the connection up. */
const maxBuffered = 8 * 1024 * 1024
/** Malformed frames, unasked-for events and bad signatures on one connection before we give it up. */
const maxStrikes = 50
/** A connection that lived this long was a good one: the next attempt starts from the shortest pause. ms. */
const settledMs = 5_000

/** What a relay says, as far as we listen: `[type, id, …]`. */
type Frame =
  | readonly ['EVENT', string, unknown]
  | readonly ['OK', string, boolean, string]
  | readonly ['EOSE' | 'CLOSED' | 'NOTICE' | 'AUTH', string, string]

function parseFrame(data: unknown): Parsed<Frame> {
  if (typeof data !== 'string') return refused('a binary frame')
  if (data.length > maxFrameLength) return refused(`a frame larger than ${maxFrameLength} bytes`)
  let frame: unknown
  try {
    frame = JSON.parse(data)
  } catch {
    return refused('a frame that is not JSON')
  }
  if (!Array.isArray(frame)) return refused('a frame that is no list')
  const [type, id, third, fourth] = frame as unknown[]
  if (typeof id !== 'string') return refused('a frame without an id')
  const text = (value: unknown) => (typeof value === 'string' ? value : '')
  if (type === 'EVENT') return parsed([type, id, third])
  if (type === 'OK') return parsed([type, id, third === true, text(fourth)])
  if (type === 'EOSE' || type === 'CLOSED' || type === 'NOTICE' || type === 'AUTH')
    return parsed([type, id, text(third)])
  return refused('a frame of an unknown type')
}

/** How far the stored events of one question have been read on this connection. */
interface Reading {
  readonly question: Question
  /** From the newest event and the last sign of life, whichever is older; nothing before it can be missing. */
  since: number | undefined
  newest: number | undefined
  caughtUp: boolean
  /** Stored events still wanted. */
  wanted: number
  refusals: number
  retry?: ReturnType<typeof setTimeout>
}

/** One REQ on the wire: the live one of a reading, or a page further back. */
interface Request {
  readonly reading: Reading
  readonly asked: Filter
  readonly live: boolean
  /** Asks for one crowded second. */
  readonly crowd: boolean
  ended: boolean
  /** Stored events that came, and how many of them no page before has brought. */
  count: number
  fresh: number
  oldest: number
}

const sinceOf = (reading: Reading) => Math.max(reading.since ?? 0, reading.question.filter.since ?? 0)

/** One WebSocket to one relay, kept open for ever. */
export function openRelay(url: string, options: RelayOptions): Relay {
  const { verify, now = Date.now, random = Math.random, connectMs = 7_000, pingMs = 10_000 } = options
  const { backoffMs = 500, maxBackoffMs = 10_000, overlapSeconds = 3_600 } = options

  let socket: Socket | undefined
  let state: RelayState = 'connecting'
  let lastError: string | undefined
  let failures = 0
  let openedAt = 0
  let heardAt = 0
  let strikes = 0
  let serial = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  const readings = new Set<Reading>()
  const requests = new Map<string, Request>()
  const pending = new Map<
    string,
    { readonly frame: string; readonly settle: Set<(o: PublishOutcome) => void> }
  >()

  const pause = (attempt: number) =>
    Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(attempt, 20)) * (0.5 + random() / 2)

  async function connect(): Promise<void> {
    state = 'connecting'
    timer = setTimeout(() => fail(`no connection within ${connectMs} ms`), connectMs)
    let opening: Socket
    try {
      const WebSocket = options.WebSocket ?? (await runtimeSocket())
      if (state !== 'connecting' || socket) return
      opening = new WebSocket(url)
    } catch (error) {
      return fail(error instanceof Error ? error.message : 'cannot open a WebSocket')
    }
    socket = opening
    opening.onopen = () => {
      clearTimeout(timer)
      state = 'open'
      openedAt = heardAt = now()
      strikes = 0
      timer = setTimeout(() => watch(heardAt), pingMs)
      for (const reading of readings) begin(reading)
      for (const { frame } of pending.values()) send(frame)
    }
    opening.onmessage = (message: { data: unknown }) => {
      heardAt = now()
      if (socket === opening) read(message.data)
    }
    opening.onerror = (event: { message?: string }) => {
      if (socket === opening) fail(event.message || 'connection failed')
    }
    opening.onclose = (event: { reason?: string; code?: number }) => {
      if (socket === opening) fail(event.reason || `closed by the relay (${event.code ?? 'no code'})`)
    }
  }

  /** Asks a silent relay for a sign of life; one that stays silent is frozen. */
  function watch(heardBefore: number, asked = false) {
    const silent = heardAt === heardBefore && heardAt <= now() - pingMs / 2
    if (silent && asked) return fail(`frozen: nothing heard for ${now() - heardAt} ms`)
    if (silent) send(JSON.stringify(['REQ', 'ping', { ids: ['0'.repeat(64)], limit: 1 }]))
    if (state === 'open') timer = setTimeout(watch, pingMs, heardAt, silent)
  }

  /** Lets go of the connection without waiting for the peer. */
  function drop(): void {
    clearTimeout(timer)
    const dropped = socket
    socket = undefined
    requests.clear()
    if (!dropped) return
    dropped.onopen = dropped.onmessage = dropped.onclose = null
    // `ws` throws an 'error' that nobody listens to when it is dropped while connecting.
    dropped.onerror = () => {}
    if (dropped.terminate) dropped.terminate()
    else dropped.close()
  }

  function fail(reason: string): void {
    if (state === 'closed') return
    const settled = state === 'open' && now() - openedAt >= settledMs
    drop()
    lastError = reason.slice(0, 200)
    failures = settled ? 1 : failures + 1
    state = 'waiting'
    timer = setTimeout(() => void connect(), pause(failures - 1))
    for (const reading of [...readings]) {
      clearTimeout(reading.retry)
      if (reading.caughtUp && reading.newest !== undefined)
        reading.since = Math.max(0, Math.min(reading.newest, Math.floor(heardAt / 1000)) - overlapSeconds)
      reading.caughtUp = false
      reading.question.onFailed(lastError)
    }
  }

  function send(frame: string) {
    if (state !== 'open' || !socket) return
    if (socket.bufferedAmount > maxBuffered) return fail('frozen: does not read')
    socket.send(frame)
  }

  function begin(reading: Reading): void {
    const { filter, live } = reading.question
    const since = sinceOf(reading)
    reading.wanted = filter.limit ?? Number.POSITIVE_INFINITY
    request(reading, since > 0 ? { ...filter, since } : filter, live)
  }

  function request(reading: Reading, filter: Filter, live: boolean, crowd = false): void {
    const id = `u${++serial}`
    const asked = { ...filter, limit: Math.min(crowd ? crowdSize : pageSize, reading.wanted) }
    const none = { ended: false, count: 0, fresh: 0, oldest: Number.POSITIVE_INFINITY }
    requests.set(id, { reading, asked, live, crowd, ...none })
    send(JSON.stringify(['REQ', id, asked]))
  }

  function finish(id: string): void {
    requests.delete(id)
    send(JSON.stringify(['CLOSE', id]))
  }

  /** The relay says that the stored events are sent: asks for those before them, or is done. */
  function endPage(id: string, page: Request) {
    if (page.ended) return
    page.ended = true
    if (!page.live) finish(id)
    const { reading, asked, oldest } = page
    reading.wanted -= page.fresh
    if (page.count >= completeBelow && reading.wanted > 0) {
      // The next page begins at the second where this one ended; one that fills a page is read by itself, then left.
      if (oldest !== asked.until) return request(reading, { ...asked, until: oldest }, false)
      if (!page.crowd) return request(reading, { ...asked, since: oldest }, false, true)
      const since = sinceOf(reading)
      if (oldest > since) return request(reading, { ...asked, since, until: oldest - 1 }, false)
    }
    reading.caughtUp = true
    reading.refusals = 0
    reading.question.onCaughtUp()
  }

  function strike(reason: string): void {
    lastError = reason
    if (++strikes >= maxStrikes) fail(`gave up: ${reason}`)
  }

  function take(request: Request, input: unknown) {
    const { reading, asked } = request
    const { question } = reading
    const event = parseEvent(input)
    if (!event.ok) return strike(`sent a malformed event: ${event.reason}`)
    const { value } = event
    // The genuine event was delivered; whatever else bears its id is of no interest.
    const known = question.known(value.id)
    if (!known && !matchFilter(question.filter, value)) return strike('sent an event that was not asked for')
    if (!known && !verify(value)) return strike('sent an event with a bad id or signature')
    if (!request.ended && matchFilter(asked, value)) {
      request.count++
      if (value.created_at !== asked.until) request.fresh++
      request.oldest = Math.min(request.oldest, value.created_at)
    }
    reading.newest = Math.max(reading.newest ?? 0, value.created_at)
    if (!known) question.onEvent(value)
  }

  function settle(id: string, outcome: PublishOutcome): void {
    const waiting = pending.get(id)
    pending.delete(id)
    for (const resolve of waiting?.settle ?? []) resolve(outcome)
  }

  function read(data: unknown) {
    const read = parseFrame(data)
    if (!read.ok) return strike(`sent ${read.reason}`)
    const frame = read.value
    if (frame[0] === 'OK') {
      const accepted = frame[2] || frame[3].startsWith('duplicate:')
      return settle(frame[1], accepted ? { ok: true } : refused((frame[3] || 'refused').slice(0, 200)))
    }
    if (frame[0] === 'NOTICE') {
      lastError = `notice: ${frame[1].slice(0, 150)}`
      return
    }
    const request = requests.get(frame[1])
    if (!request) return
    if (frame[0] === 'EVENT') return take(request, frame[2])
    if (frame[0] === 'EOSE') return endPage(frame[1], request)
    if (frame[0] === 'CLOSED') refuse(frame[1], request, frame[2])
  }

  /** The relay ended a question by itself: a live one is put again later. */
  function refuse(id: string, request: Request, reason: string): void {
    requests.delete(id)
    lastError = `closed a subscription: ${reason.slice(0, 150)}`
    const { reading } = request
    const failed = !reading.caughtUp
    reading.caughtUp = false
    if (reading.question.live) {
      for (const [other, { reading: of }] of requests) if (of === reading) finish(other)
      reading.retry = setTimeout(
        () => {
          if (state === 'open' && readings.has(reading)) begin(reading)
        },
        pause(++reading.refusals),
      )
    }
    if (failed) reading.question.onFailed(lastError)
  }

  void connect()

  return {
    url,
    status: () => ({ url, state, failures, ...(lastError === undefined ? {} : { lastError }) }),
    publish: (event, timeoutMs) =>
      new Promise((resolve) => {
        if (state === 'closed') return resolve({ ok: false, reason: 'closed' })
        const waiting = pending.get(event.id)
        if (!waiting && pending.size >= maxPending)
          return resolve({ ok: false, reason: 'too many events wait for this relay' })
        const entry = waiting ?? { frame: JSON.stringify(['EVENT', event]), settle: new Set() }
        const deadline = setTimeout(() => {
          entry.settle.delete(done)
          if (entry.settle.size === 0 && pending.get(event.id) === entry) pending.delete(event.id)
          done({ ok: false, reason: state === 'open' ? 'no answer' : (lastError ?? 'not connected') })
        }, timeoutMs)
        const done = (outcome: PublishOutcome) => {
          clearTimeout(deadline)
          resolve(outcome)
        }
        entry.settle.add(done)
        pending.set(event.id, entry)
        if (!waiting) send(entry.frame)
      }),
    ask(question) {
      const reading: Reading = {
        question,
        since: undefined,
        newest: undefined,
        caughtUp: false,
        wanted: 0,
        refusals: 0,
      }
      readings.add(reading)
      if (state === 'open') begin(reading)
      return {
        close() {
          if (!readings.delete(reading)) return
          clearTimeout(reading.retry)
          for (const [id, request] of requests) if (request.reading === reading) finish(id)
        },
      }
    },
    close() {
      if (state === 'closed') return
      state = 'closed'
      drop()
      for (const reading of readings) clearTimeout(reading.retry)
      readings.clear()
      for (const id of [...pending.keys()]) settle(id, { ok: false, reason: 'closed' })
    },
  }
}
