import {
  type NostrEvent,
  type Parsed,
  parsed,
  parseEvent,
  refused,
  type Verify,
} from '@understudy/protocol/event'
import { type Circuit, createBreaker } from './breaker.ts'
import type { Comparisons, ComparisonsOptions } from './comparison.ts'
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
  /** Of so many acknowledged events one is read back; 0 takes every relay at its word. Default 100. */
  readonly canaryEvery?: number
  /** Silence after which the answer to a question counts as not given, ms. */
  readonly answerMs?: number
  /** With it a second that holds more events than a relay hands out at once is read whole, where the relay speaks NIP-77. */
  readonly comparisons?: (options: ComparisonsOptions) => Comparisons
  /** A relay has, or may have, further events of a second (since 1970) and cannot be asked for them. */
  readonly onIncomplete?: (gap: { readonly url: string; readonly second: number }) => void
}

export type RelayState = 'connecting' | 'open' | 'waiting' | 'closed'

export interface RelayStatus {
  readonly url: string
  readonly state: RelayState
  /** Failed attempts in a row. */
  readonly failures: number
  readonly lastError?: string
  /** `open`: it failed too often in a row; only what cannot do without it waits for it. */
  readonly circuit: Circuit
  /** False from the second failed attempt in a row until a connection has lived for five seconds. */
  readonly steady: boolean
  /** Publications on the wire without an OK, those that wait for their turn, and the most that ever did of both together. */
  readonly inFlight: number
  readonly queued: number
  readonly highWater: number
  /** How long an OK takes, smoothed, ms; before the first one nothing. */
  readonly latencyMs?: number
}

export type PublishOutcome = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/** One filter put to one relay. */
export interface Question {
  readonly filter: Filter
  /** Stays open after the stored events, and is asked again after every reconnect. */
  readonly live: boolean
  /** The answer is one page; whether that is all is the asker's to see. */
  readonly single?: boolean
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
  /** What was handed in, at this connection. */
  readonly comparisons: Comparisons | undefined
  close(): void
}

/** Stored events asked for at once; a longer answer is read page by page. */
const pageSize = 500
/** Asked for at once of a second that holds more than a page: NIP-01 cannot divide it. */
const crowdSize = 5_000
/** A page shorter than this is taken for the whole answer: no relay caps an answer as low. */
const completeBelow = 50
/** Publications that one relay keeps waiting: how many are on the wire at once, how many in all, and their characters. */
const maxInFlight = 256
const maxPending = 2_000
const maxPendingLength = 16 * 1024 * 1024
/** Characters that lie unsent in the socket before the next publication waits. */
const sendAhead = 1024 * 1024
/** Questions whose stored events are read at once from one relay, and how many may wait for that. */
const maxReads = 16
const maxWaitingReads = 1_000
/** Before an event that a relay acknowledged and does not show is asked for again, ms. */
const canaryPauseMs = 1_000
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
  | readonly [(typeof plainTypes)[number], string, string]
const plainTypes = ['EOSE', 'CLOSED', 'NOTICE', 'AUTH', 'NEG-MSG', 'NEG-ERR'] as const

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
  const plain = plainTypes.find((one) => one === type)
  return plain ? parsed([plain, id, text(third)]) : refused('a frame of an unknown type')
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
  /** Of one crowded second: the ids that came. */
  readonly crowd: string[] | undefined
  ended: boolean
  /** On the wire; before, it waits for its turn. */
  sent: boolean
  /** No end of its stored events came in time: it no longer counts as being read. */
  late: boolean
  heardAt: number
  deadline?: ReturnType<typeof setTimeout>
  /** Stored events that came, and how many of them no page before has brought. */
  count: number
  fresh: number
  oldest: number
}

const sinceOf = (reading: Reading) => Math.max(reading.since ?? 0, reading.question.filter.since ?? 0)

interface Publication {
  readonly event: NostrEvent
  readonly frame: string
  readonly settle: Set<(outcome: PublishOutcome) => void>
  sentAt: number
}

/** Whether a relay that acknowledged the event must still have it: not ephemeral, replaceable, expiring, or a deletion. */
function isKept({ kind, tags }: NostrEvent): boolean {
  const passing = kind === 0 || kind === 3 || kind === 5 || (kind >= 10_000 && kind < 40_000)
  return !passing && !tags.some(([name]) => name === 'expiration' || name === '-')
}

/** One WebSocket to one relay, kept open for ever. */
export function openRelay(url: string, options: RelayOptions): Relay {
  const { verify, now = Date.now, random = Math.random, connectMs = 7_000, pingMs = 10_000 } = options
  const { backoffMs = 500, maxBackoffMs = 10_000, overlapSeconds = 3_600 } = options
  const { canaryEvery = 100, answerMs = 15_000 } = options
  const breaker = createBreaker({ now, random })

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
  /** Publications by id, oldest first: on the wire, and waiting for their turn. */
  let flying = new Map<string, Publication>()
  let waiting = new Map<string, Publication>()
  let pendingLength = 0
  let highWater = 0
  let latencyMs: number | undefined
  let acknowledged = 0
  let pumping: ReturnType<typeof setTimeout> | undefined
  /** `liar`: it acknowledged an event that it does not have. Unless it is proven its OKs wait for a canary. */
  let trust: 'unproven' | 'proven' | 'liar' = 'unproven'
  let held: string[] = []
  let canary: object | undefined
  const comparisons = options.comparisons?.({ send, ask, silenceMs: answerMs })

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
      if (trust === 'proven') trust = 'unproven'
      if (trust !== 'liar') breaker.retry()
      timer = setTimeout(() => watch(heardAt), pingMs)
      for (const reading of readings) begin(reading)
      pump()
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
    for (const request of requests.values()) clearTimeout(request.deadline)
    requests.clear()
    comparisons?.clear()
    waiting = new Map([...flying, ...waiting])
    flying = new Map()
    held = []
    canary = undefined
    if (!dropped) return
    dropped.onopen = dropped.onmessage = dropped.onclose = null
    // `ws` throws an 'error' that nobody listens to when it is dropped while connecting.
    dropped.onerror = () => {}
    if (dropped.terminate) dropped.terminate()
    else dropped.close()
  }

  function fail(reason: string): void {
    if (state === 'closed') return
    const settled = state === 'open' && heardAt > openedAt && now() - openedAt >= settledMs
    if (!settled) breaker.failed()
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

  function request(reading: Reading, filter: Filter, live: boolean, crowd?: Request['crowd']): void {
    const id = `u${++serial}`
    const asked = {
      ...filter,
      limit: crowd ? Math.min(crowdSize, filter.limit ?? crowdSize) : Math.min(pageSize, reading.wanted),
    }
    const none = { ended: false, sent: false, late: false, heardAt: 0, count: 0, fresh: 0 }
    requests.set(id, { reading, asked, live, crowd, ...none, oldest: Number.POSITIVE_INFINITY })
    readOn()
  }

  /** Puts as many questions as are allowed at once. */
  function readOn(): void {
    let reads = 0
    for (const { sent, ended, late } of requests.values()) if (sent && !ended && !late) reads++
    for (const [id, request] of requests) {
      if (reads >= maxReads) return
      if (request.sent) continue
      reads++
      request.sent = true
      request.heardAt = now()
      request.deadline = setTimeout(expire, answerMs, id, request)
      send(JSON.stringify(['REQ', id, request.asked]))
    }
  }

  /** A question must not hold its place for ever. A live one stays open: what it brings is welcome all the same. */
  function expire(id: string, request: Request): void {
    if (requests.get(id) !== request || request.ended) return
    const left = request.heardAt + answerMs - now()
    if (left > 0) {
      request.deadline = setTimeout(expire, left, id, request)
      return
    }
    breaker.failed()
    const reason = `no end of the stored events within ${answerMs} ms`
    if (!request.live) {
      send(JSON.stringify(['CLOSE', id]))
      refuse(id, request, reason)
      return
    }
    request.late = true
    lastError = reason
    request.reading.question.onFailed(reason)
    readOn()
  }

  function forget(id: string): void {
    clearTimeout(requests.get(id)?.deadline)
    requests.delete(id)
  }

  function finish(id: string): void {
    const sent = requests.get(id)?.sent
    forget(id)
    if (sent) send(JSON.stringify(['CLOSE', id]))
    readOn()
  }

  /** The relay says that the stored events are sent: asks for those before them, or is done. */
  function endPage(id: string, page: Request) {
    if (page.ended) return
    page.ended = true
    clearTimeout(page.deadline)
    if (trust !== 'liar') breaker.succeeded()
    if (!page.live) finish(id)
    else readOn()
    pump()
    const { reading, asked, oldest } = page
    reading.wanted -= page.fresh
    if (page.count >= completeBelow && reading.wanted > 0 && !reading.question.single) {
      // The next page begins at the second where this one ended; one that fills a page is read by itself, then left.
      if (oldest !== asked.until) return request(reading, { ...asked, until: oldest }, false)
      const second = { ...reading.question.filter, since: oldest, until: oldest }
      if (!page.crowd) return request(reading, second, false, [])
      if (page.count === second.limit) return catchUp(reading)
      // Relays cap an answer at a round number: a second that fills one may hold more.
      if (page.count % 100) return readBefore(reading, oldest)
      const onRead = (complete: boolean) => {
        if (!complete) options.onIncomplete?.({ url, second: oldest })
        readBefore(reading, oldest)
      }
      return comparisons ? comparisons.read(reading, second, page.crowd, onRead) : onRead(false)
    }
    catchUp(reading)
  }

  function catchUp(reading: Reading): void {
    reading.caughtUp = true
    reading.refusals = 0
    reading.question.onCaughtUp()
  }

  function readBefore(reading: Reading, second: number) {
    const since = sinceOf(reading)
    if (second > since) request(reading, { ...reading.question.filter, since, until: second - 1 }, false)
    else catchUp(reading)
  }

  /** Ends whatever is being read for it. */
  function leave(reading: Reading): void {
    for (const [id, request] of requests) if (request.reading === reading) finish(id)
    comparisons?.leave(reading)
  }

  function strike(reason: string): void {
    lastError = reason
    if (++strikes >= maxStrikes) fail(`gave up: ${reason}`)
  }

  function take(request: Request, input: unknown) {
    const { reading, asked } = request
    const { question } = reading
    request.heardAt = now()
    const event = parseEvent(input)
    if (!event.ok) return strike(`sent a malformed event: ${event.reason}`)
    const { value } = event
    // The genuine event was delivered; whatever else bears its id is of no interest.
    const known = question.known(value.id)
    if (!known && !matchFilter(question.filter, value)) return strike('sent an event that was not asked for')
    if (!known && !verify(value)) return strike('sent an event with a bad id or signature')
    if (!request.ended && matchFilter(asked, value)) {
      request.count++
      request.crowd?.push(value.id)
      if (value.created_at !== asked.until) request.fresh++
      request.oldest = Math.min(request.oldest, value.created_at)
    }
    reading.newest = Math.max(reading.newest ?? 0, value.created_at)
    if (!known) question.onEvent(value)
  }

  /** Puts on the wire what fits, or one trial when the circuit is half-open; the rest waits for the next OK. */
  function pump(): void {
    clearTimeout(pumping)
    const circuit = breaker.circuit()
    if (circuit === 'open' && waiting.size > 0) pumping = setTimeout(pump, breaker.pauseLeft() + 1)
    if (circuit === 'open' || (circuit === 'half-open' && flying.size > 0)) return
    for (const [id, publication] of waiting) {
      if (state !== 'open' || !socket || flying.size >= maxInFlight || socket.bufferedAmount > sendAhead)
        return
      waiting.delete(id)
      flying.set(id, publication)
      publication.sentAt = now()
      send(publication.frame)
      if (circuit === 'half-open') return
    }
  }

  function settle(id: string, outcome: PublishOutcome): void {
    const publication = flying.get(id) ?? waiting.get(id)
    if (!publication) return
    flying.delete(id)
    waiting.delete(id)
    pendingLength -= publication.frame.length
    for (const resolve of publication.settle) resolve(outcome)
    pump()
  }

  /** An OK, yes or no, is a sign of health; a yes is put to the test now and then. */
  function onAnswer(id: string, outcome: PublishOutcome): void {
    const publication = flying.get(id)
    if (!publication) return
    const took = now() - publication.sentAt
    latencyMs = latencyMs === undefined ? took : latencyMs + (took - latencyMs) / 8
    const { event } = publication
    if (!outcome.ok || canaryEvery === 0 || (!isKept(event) && trust !== 'liar')) {
      if (trust !== 'liar') breaker.succeeded()
      return void settle(id, outcome)
    }
    if (trust !== 'proven') {
      held.push(id)
      if (!canary) prove(event)
      return
    }
    breaker.succeeded()
    if (++acknowledged % canaryEvery === 0 && !canary) prove(event)
    settle(id, outcome)
  }

  /** Decides what the OKs that wait are worth. One who cannot be asked has the benefit of the doubt, once. */
  function prove(event: NostrEvent): void {
    const mine = {}
    canary = mine
    const release = (kept: boolean) => {
      clearTimeout(grace)
      const ids = held
      held = []
      for (const id of ids) settle(id, kept ? { ok: true } : refused(lie))
    }
    const grace = setTimeout(() => {
      if (canary === mine && trust === 'unproven') release(true)
    }, 2 * canaryPauseMs)
    readBack(event, (kept) => {
      clearTimeout(grace)
      if (canary !== mine) return
      canary = undefined
      if (kept === undefined && trust === 'liar') return release(false)
      if (kept === false) {
        trust = 'liar'
        lastError = lie
        breaker.trip()
        return release(false)
      }
      trust = 'proven'
      breaker.succeeded()
      release(true)
    })
  }

  const lie = 'acknowledged an event that it does not have'

  /** Whether the relay shows what it has acknowledged; asked twice. Undefined when it does not answer, or may not. */
  function readBack(event: NostrEvent, done: (kept: boolean | undefined) => void, again = false): void {
    let found = false
    const asking = ask({
      filter: { ids: [event.id] },
      live: false,
      known: () => false,
      onEvent: () => {
        found = true
      },
      onCaughtUp() {
        asking.close()
        if (found || again) done(found)
        else setTimeout(readBack, canaryPauseMs, event, done, true)
      },
      onFailed() {
        asking.close()
        done(undefined)
      },
    })
  }

  function read(data: unknown) {
    const read = parseFrame(data)
    if (!read.ok) return strike(`sent ${read.reason}`)
    const frame = read.value
    if (frame[0] === 'OK') {
      const accepted = frame[2] || frame[3].startsWith('duplicate:')
      return onAnswer(frame[1], accepted ? { ok: true } : refused((frame[3] || 'refused').slice(0, 200)))
    }
    if (frame[0] !== 'EVENT' && comparisons?.take(frame[0], frame[1], frame[2])) return
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
    forget(id)
    readOn()
    lastError = `closed a subscription: ${reason.slice(0, 150)}`
    const { reading } = request
    const failed = !reading.caughtUp
    reading.caughtUp = false
    if (reading.question.live) {
      leave(reading)
      reading.retry = setTimeout(
        () => {
          if (state === 'open' && readings.has(reading)) begin(reading)
        },
        pause(++reading.refusals),
      )
    }
    if (failed) reading.question.onFailed(lastError)
  }

  function ask(question: Question): { close(): void } {
    const reading: Reading = {
      question,
      since: undefined,
      newest: undefined,
      caughtUp: false,
      wanted: 0,
      refusals: 0,
    }
    if (readings.size >= maxWaitingReads) {
      queueMicrotask(() => question.onFailed('too many questions wait for this relay'))
      return { close() {} }
    }
    readings.add(reading)
    if (state === 'open') begin(reading)
    return {
      close() {
        if (!readings.delete(reading)) return
        clearTimeout(reading.retry)
        leave(reading)
      },
    }
  }

  void connect()

  return {
    url,
    comparisons,
    status: () => ({
      url,
      state,
      failures,
      circuit: breaker.circuit(),
      steady: failures < 2 || (state === 'open' && now() - openedAt >= settledMs),
      inFlight: flying.size,
      queued: waiting.size,
      highWater,
      ...(latencyMs === undefined ? {} : { latencyMs: Math.round(latencyMs) }),
      ...(lastError === undefined ? {} : { lastError }),
    }),
    ask,
    publish: (event, timeoutMs) =>
      new Promise((resolve) => {
        if (state === 'closed') return resolve({ ok: false, reason: 'closed' })
        const known = flying.get(event.id) ?? waiting.get(event.id)
        const entry = known ?? {
          event,
          frame: JSON.stringify(['EVENT', event]),
          settle: new Set(),
          sentAt: 0,
        }
        if (!known) {
          const size = flying.size + waiting.size
          if (size >= maxPending || pendingLength + entry.frame.length > maxPendingLength)
            return resolve({
              ok: false,
              reason:
                breaker.circuit() === 'closed'
                  ? 'too many events wait for this relay'
                  : `spared: ${lastError ?? 'it failed too often'}`,
            })
          highWater = Math.max(highWater, size + 1)
          pendingLength += entry.frame.length
          waiting.set(event.id, entry)
        }
        const deadline = setTimeout(() => {
          entry.settle.delete(done)
          const sent = flying.get(event.id) === entry
          if (sent) breaker.failed()
          if (entry.settle.size === 0) settle(event.id, { ok: false, reason: 'no answer' })
          const unsent = state === 'open' ? 'others were in line before it' : (lastError ?? 'not connected')
          done({ ok: false, reason: sent ? 'no answer' : unsent })
        }, timeoutMs)
        const done = (outcome: PublishOutcome) => {
          clearTimeout(deadline)
          resolve(outcome)
        }
        entry.settle.add(done)
        pump()
      }),
    close() {
      if (state === 'closed') return
      state = 'closed'
      clearTimeout(pumping)
      drop()
      for (const reading of readings) clearTimeout(reading.retry)
      readings.clear()
      for (const id of [...flying.keys(), ...waiting.keys()]) settle(id, { ok: false, reason: 'closed' })
    },
  }
}
