import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { type Parsed, parseEvent } from '@understudy/protocol/event'
import type { Filter } from '@understudy/relays/filter'
import type { RawData, WebSocket } from 'ws'
import type { Access } from './access.ts'
import { answer } from './answer.ts'
import { authObjection } from './auth.ts'
import { maxFrameBytes, parseFrame } from './frame.ts'
import { createSender, type Intake, type Outcome, type VerifyEvent } from './intake.ts'
import type { Limits } from './limits.ts'
import { createRate, type Rate } from './rate.ts'
import type { Reconciliation, ReconciliationAnswer, Session } from './reconciliation.ts'
import type { Store } from './store.ts'
import type { Subscription, Subscriptions } from './subscriptions.ts'

/** What all connections share. */
export interface ConnectionParts {
  readonly store: Store
  readonly intake: Intake
  readonly subscriptions: Subscriptions
  readonly reconciliation: Reconciliation | undefined
  readonly access: Access
  readonly verify: VerifyEvent
  /** `host[:port]` under which the peer reached us, and others that are ours. */
  readonly hosts: readonly string[]
  readonly limits: Limits
  /** ms */
  readonly now: () => number
  /** Events of all connections together. */
  readonly allEvents: Rate
  /** Subscriptions of all connections together. */
  readonly open: { subscriptions: number }
  onOutcome(outcome: Outcome): void
  /** A question or a message that was not answered. */
  onRefused(reason: string): void
  onDropped(reason: string): void
}

export interface Connection {
  /** Drops a peer that has not answered the last ping; pings it again. */
  ping(): void
  close(code: number, reason: string): void
}

interface NegentropySession {
  readonly session: Session
  /** Ends it when the peer stays silent; none while it is our turn. */
  deadline: ReturnType<typeof setTimeout> | undefined
  busy: boolean
}

interface LiveSubscription extends Subscription {
  open: boolean
}

/** Serves one WebSocket. `socket` is what it runs over. */
export function serve(ws: WebSocket, socket: Duplex, parts: ConnectionParts): Connection {
  const { store, intake, subscriptions, access, limits, now } = parts
  const events = createRate(limits.eventBurst, limits.eventsPerSecond, now)
  const requests = createRate(limits.requestBurst, limits.requestsPerSecond, now)
  const strikes = createRate(limits.strikes, 0.1, now)
  const live = new Map<string, LiveSubscription>()
  /** Keys that the peer has proven, and the challenge that it signed for that: made when a name is first wanted. */
  const names = new Set<string>()
  const sender = createSender(names)
  let challenge: string | undefined
  const sessions = new Map<string, NegentropySession>()
  let alive = true
  let inFlight = 0
  let corked = false
  /** Stored events are read for one subscription of a connection at a time. */
  let reading = Promise.resolve()

  /** Everything that is sent in one turn leaves in one write. */
  function send(frame: string | Buffer, sent?: () => void) {
    if (ws.readyState !== ws.OPEN) return sent?.()
    if (ws.bufferedAmount > limits.buffered) {
      drop('does not read')
      return sent?.()
    }
    if (!corked) {
      corked = true
      socket.cork()
      process.nextTick(() => {
        corked = false
        socket.uncork()
      })
    }
    ws.send(frame, { binary: false }, sent)
  }

  function drop(reason: string): void {
    parts.onDropped(reason)
    ws.terminate()
  }

  function strike(reason: string) {
    parts.onRefused(`invalid: ${reason}`)
    send(JSON.stringify(['NOTICE', `invalid: ${reason}`]))
    if (strikes.take()) return
    parts.onDropped('too many bad messages')
    ws.close(1008, 'too many bad messages')
  }

  function read(data: RawData, isBinary: boolean) {
    alive = true
    if (ws.readyState !== ws.OPEN) return
    if (isBinary) return strike('a binary message')
    const bytes = data as Buffer
    if (bytes.length > maxFrameBytes) return strike(`a message larger than ${maxFrameBytes} bytes`)
    const frame = parseFrame(bytes.toString())
    if (!frame.ok) return strike(frame.reason)
    if (frame.value.type === 'EVENT') return void take(frame.value.event)
    if (frame.value.type === 'AUTH') return void identify(frame.value.event)
    const { id } = frame.value
    if (frame.value.type === 'CLOSE') return end(id)
    if (frame.value.type === 'NEG-OPEN') return reconcile(id, frame.value.filter, frame.value.message)
    if (frame.value.type === 'NEG-MSG') return goOn(id, frame.value.message)
    if (frame.value.type === 'NEG-CLOSE') return endSession(id)
    const { filters } = frame.value
    if (!filters.ok) return refuse(id, `invalid: ${filters.reason}`)
    if (!requests.take()) return refuse(id, 'rate-limited: too many questions')
    const objection = access.read(filters.value, names)
    if (objection) return refuse(id, objection)
    begin(id, filters.value)
  }

  async function take(input: unknown): Promise<void> {
    if (!events.take() || !parts.allEvents.take()) {
      const id = String((input as { id?: unknown } | undefined)?.id ?? '').slice(0, 64)
      parts.onRefused('rate-limited: too many events')
      return send(JSON.stringify(['OK', id, false, 'rate-limited: too many events']))
    }
    // The peer waits in its own socket until we have caught up: nothing piles up here.
    if (++inFlight === limits.inFlight) ws.pause()
    const outcome = await intake.accept(input, sender)
    if (--inFlight === limits.inFlight >> 1 && ws.isPaused) ws.resume()
    if (outcome.forged) events.take(limits.invalidCost)
    parts.onOutcome(outcome)
    if (outcome.id === undefined) return strike(outcome.message)
    if (outcome.leaving) return
    invite(outcome.message)
    send(`["OK","${outcome.id}",${outcome.ok},${JSON.stringify(outcome.message)}]`)
  }

  /** NIP-42: a refusal for want of a name comes after the challenge by which one is given. */
  function invite(refusal: string) {
    if (!refusal.startsWith('auth-required:')) return
    challenge ??= randomBytes(16).toString('hex')
    send(JSON.stringify(['AUTH', challenge]))
  }

  async function identify(input: unknown): Promise<void> {
    const event = parseEvent(input)
    if (!event.ok) return strike(event.reason)
    const { id, pubkey } = event.value
    const say = (ok: boolean, message: string) => {
      if (!ok) parts.onRefused(message)
      send(JSON.stringify(['OK', id, ok, message]))
    }
    if (challenge === undefined) return say(false, 'invalid: no challenge was sent')
    if (!events.take()) return say(false, 'rate-limited: too many events')
    if (!names.has(pubkey) && names.size >= limits.names) return say(false, 'restricted: too many keys')
    const { hosts } = parts
    const reason = authObjection(event.value, { challenge, hosts, now: Math.floor(now() / 1000) })
    if (reason) return say(false, reason)
    if (!(await parts.verify(event.value))) {
      events.take(limits.invalidCost)
      return say(false, 'invalid: bad id or signature')
    }
    names.add(pubkey)
    say(true, '')
  }

  /** NIP-77: what the peer has is compared with what we have, of one filter. */
  function reconcile(id: string, filter: Parsed<Filter>, message: Uint8Array) {
    endSession(id)
    if (!filter.ok) return refuseSession(id, `invalid: ${filter.reason}`)
    if (!requests.take(5)) return refuseSession(id, 'blocked: too many questions')
    const objection = access.read([filter.value], names)
    if (objection) return refuseSession(id, objection)
    if (!parts.reconciliation) return refuseSession(id, 'blocked: this relay reconciles nothing')
    if (sessions.size >= limits.sessionsPerConnection) return refuseSession(id, 'blocked: too many sessions')
    const opened = parts.reconciliation.open(filter.value, message)
    if (!opened) return refuseSession(id, 'blocked: too many sessions')
    const { session, first } = opened
    const entry: NegentropySession = { session, deadline: undefined, busy: true }
    sessions.set(id, entry)
    void first.then((answered) => answerSession(id, entry, answered))
  }

  function goOn(id: string, message: Uint8Array) {
    const entry = sessions.get(id)
    if (!entry) return refuseSession(id, 'closed: no such session')
    if (entry.busy) return refuseSession(id, 'invalid: a message before the last was answered')
    entry.busy = true
    clearTimeout(entry.deadline)
    void entry.session.answer(message).then((answered) => answerSession(id, entry, answered))
  }

  function answerSession(id: string, entry: NegentropySession, answered: ReconciliationAnswer) {
    if (sessions.get(id) !== entry) return
    entry.busy = false
    entry.deadline = setTimeout(expire, limits.sessionMs, id)
    if (!answered.ok) return refuseSession(id, answered.reason)
    const hex = Buffer.from(answered.reply ?? []).toString('hex')
    send(`["NEG-MSG",${JSON.stringify(id)},"${hex}"]`)
  }

  function expire(id: string) {
    refuseSession(id, 'closed: you were silent for too long')
  }

  function endSession(id: string): void {
    const entry = sessions.get(id)
    if (!entry) return
    sessions.delete(id)
    clearTimeout(entry.deadline)
    entry.session.close()
  }

  function refuseSession(id: string, reason: string) {
    endSession(id)
    invite(reason)
    parts.onRefused(reason)
    send(JSON.stringify(['NEG-ERR', id, reason]))
  }

  function begin(id: string, filters: readonly Filter[]) {
    end(id)
    if (live.size >= limits.subscriptionsPerConnection || parts.open.subscriptions >= limits.subscriptions)
      return refuse(id, 'rate-limited: too many subscriptions')
    const prefix = `["EVENT",${JSON.stringify(id)},`
    const subscription: LiveSubscription = {
      filters,
      open: true,
      deliver(_event, json, frames) {
        // Thousands who chose the same id share the bytes.
        const frame = frames.get(prefix) ?? Buffer.from(`${prefix}${json}]`)
        frames.set(prefix, frame)
        send(frame)
      },
    }
    live.set(id, subscription)
    parts.open.subscriptions++
    // Live from here on, stored up to here: no event falls between.
    subscriptions.add(subscription)
    const stored = answer({ store, now, limit: limits.limit }, filters)
    reading = reading
      .then(async () => {
        let unsent = 0
        for await (const json of stored) {
          if (!subscription.open) return
          unsent += json.length
          if (unsent < 128 * 1024) send(`${prefix}${json}]`)
          else {
            unsent = 0
            await new Promise<void>((resolve) => send(`${prefix}${json}]`, resolve))
          }
        }
        if (subscription.open) send(`["EOSE",${JSON.stringify(id)}]`)
      })
      .catch(() => {
        if (subscription.open) refuse(id, 'error: the question could not be answered')
      })
  }

  function end(id: string): void {
    const subscription = live.get(id)
    if (!subscription) return
    live.delete(id)
    parts.open.subscriptions--
    subscription.open = false
    subscriptions.remove(subscription)
  }

  function refuse(id: string, reason: string) {
    end(id)
    invite(reason)
    parts.onRefused(reason)
    send(JSON.stringify(['CLOSED', id, reason]))
  }

  ws.on('message', read)
  ws.on('pong', () => {
    alive = true
  })
  // Frames that break the protocol or its limits: `ws` closes the connection itself.
  ws.on('error', (error) => parts.onDropped(error.message))
  ws.on('close', () => {
    for (const id of [...live.keys()]) end(id)
    for (const id of [...sessions.keys()]) endSession(id)
  })

  return {
    ping() {
      if (!alive) return drop('frozen')
      alive = false
      if (ws.readyState === ws.OPEN) ws.ping()
    },
    close: (code, reason) => ws.close(code, reason),
  }
}
