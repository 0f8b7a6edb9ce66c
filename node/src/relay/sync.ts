import type { NostrEvent } from '@understudy/protocol/event'
import { isHex32 } from '@understudy/protocol/event'
import type { Filter } from '@understudy/relays/filter'
import { WebSocket } from 'ws'
import { maxFrameBytes } from './frame.ts'
import { createSender, type Intake } from './intake.ts'
import type { Reconciliation, Session } from './reconciliation.ts'
import { createSlices } from './slices.ts'
import type { Store } from './store.ts'

export interface SyncParts {
  readonly store: Store
  readonly reconciliation: Reconciliation
  /** What comes from a sibling is under the same rules as what comes from anybody. */
  readonly accept: Intake['accept']
  /** Ids that this sibling has and we did not take: not asked for again. */
  readonly declined: Declined
  readonly signal?: AbortSignal
  /** Longest silence of the sibling, ms. Default 30,000. */
  readonly silenceMs?: number
  /** Opens the connection; the caller vouches for the address. */
  readonly connect?: (url: string) => WebSocket
}

export interface SyncResult {
  /** Undefined when both now have the same, as far as their rules allow. */
  readonly failure: string | undefined
  /** Events that we fetched and took, and events that the sibling took from us. */
  readonly received: number
  readonly sent: number
  readonly bytes: number
  readonly rounds: number
}

/** Ids that were refused, the latest 50,000. */
export type Declined = ReturnType<typeof createDeclined>
export function createDeclined(most = 50_000) {
  const ids = new Set<string>()
  return {
    has: (id: string) => ids.has(id),
    add(id: string) {
      ids.add(id)
      if (ids.size > most) ids.delete(ids.values().next().value!)
    },
  }
}

/** Ids asked for at once, and events that may be on their way in. */
const page = 250
const inFlight = 2_000
/** Events sent that the sibling has not acknowledged. */
const unacknowledged = 128
/** Frames that wait for their turn before no more are read. */
const maxFrames = 128
/** Pause before an event that came too fast for the sibling is sent again, ms, and how often it is. */
const patienceMs = 1_000
const maxPatience = 10
/** A window of time is halved this often at most when the sibling finds it too large. */
const maxHalvings = 40

type Answer = readonly [string, ...unknown[]]

/**
 * Makes two stores equal for a filter (NIP-77): compares by ranges, fetches and verifies what we lack, hands over what the sibling
 * lacks. What was fetched before a failure is kept, so that the next attempt goes on where this one ended.
 */
export async function syncWith(url: string, filter: Filter, parts: SyncParts): Promise<SyncResult> {
  const { store, reconciliation, accept, declined, signal, silenceMs = 30_000 } = parts
  const connect = parts.connect ?? connectPlainly
  const sender = createSender()
  const tally = { received: 0, sent: 0, bytes: 0, rounds: 0 }
  const listeners = new Map<string, (answer: Answer) => void>()
  let serial = 0
  let failure: string | undefined
  let fail = (_reason: string): void => {}
  const failed = new Promise<never>((_, reject) => {
    fail = (reason) => {
      failure ??= reason
      reject(new Error(failure))
    }
  })
  failed.catch(() => {})
  const orFail = <T>(work: Promise<T>): Promise<T> => Promise.race([work, failed])

  let ws: WebSocket
  try {
    ws = connect(url)
  } catch (error) {
    return { failure: (error as Error).message, ...tally }
  }
  const silence = setTimeout(() => fail('silent for too long'), silenceMs)
  const onAbort = () => fail('stopped')
  if (signal?.aborted) fail('stopped')
  signal?.addEventListener('abort', onAbort)
  ws.on('error', (error) => fail(error.message))
  // One read of the socket may bring thousands of frames. Those that wait are few: the sibling's others wait in its socket.
  const frames = createSlices(() => ws.resume())
  ws.on('close', (code) => frames.push(() => fail(`closed by the sibling (${code})`)))
  ws.on('message', (data: Buffer, isBinary) => {
    silence.refresh()
    tally.bytes += data.length
    frames.push(() => read(data, isBinary))
    if (frames.size() >= maxFrames) ws.pause()
  })
  function read(data: Buffer, isBinary: boolean) {
    if (isBinary || data.length > maxFrameBytes + 1024) return fail('a frame that is none')
    try {
      const answer = JSON.parse(data.toString()) as Answer
      listeners.get(String(answer[1]))?.(answer)
    } catch {
      fail('a frame that is not JSON')
    }
  }
  const say = (text: string) => {
    if (ws.readyState !== ws.OPEN) return
    tally.bytes += text.length
    ws.send(text)
  }
  const send = (...frame: Answer) => say(JSON.stringify(frame))

  /** Asks for events by id; resolves when each that came was taken or refused. */
  async function fetch(ids: readonly string[]): Promise<void> {
    const id = `f${++serial}`
    // Some may have come meanwhile, from elsewhere.
    const wanted = new Set(ids.filter((one) => !store.has(one)))
    if (wanted.size === 0) return
    const taken: Promise<unknown>[] = []
    await orFail(
      new Promise<void>((resolve, reject) => {
        listeners.set(id, ([type, , third]) => {
          if (type === 'EOSE') return resolve()
          if (type === 'CLOSED') return reject(new Error(String(third).slice(0, 200)))
          if (type !== 'EVENT') return
          const eventId = (third as { id?: unknown } | null)?.id
          if (!isHex32(eventId) || !wanted.delete(eventId))
            return fail('sent an event that was not asked for')
          taken.push(
            accept(third, sender).then(({ ok, forged }) => {
              if (ok) tally.received++
              else declined.add(eventId)
              if (forged) fail('sent an event with a bad id or signature')
            }),
          )
        })
        send('REQ', id, { ids: [...wanted] })
      }),
    ).finally(() => listeners.delete(id))
    send('CLOSE', id)
    // It announced them and does not have them: deleted or replaced meanwhile.
    await orFail(Promise.all(taken))
  }

  /** Hands events over; those that the sibling refuses are its affair. */
  async function give(ids: readonly string[]): Promise<void> {
    for (let from = 0; from < ids.length; from += unacknowledged) {
      const wanted = ids.slice(from, from + unacknowledged)
      const seqs = store.find({ ids: wanted }, { upTo: store.head(), now: 0, limit: wanted.length })
      await orFail(Promise.all(store.load(seqs).map((json) => giveOne(json))))
    }
  }

  const giveOne = (json: string) =>
    new Promise<void>((resolve) => {
      const { id } = JSON.parse(json) as NostrEvent
      const frame = `["EVENT",${json}]`
      let patience = maxPatience
      listeners.set(id, ([type, , ok, message]) => {
        if (type !== 'OK') return
        const hurried = ok !== true && String(message).startsWith('rate-limited:')
        if (hurried && patience-- > 0) return void setTimeout(say, patienceMs, frame)
        listeners.delete(id)
        if (ok === true) tally.sent++
        // What came too fast is offered again at the next pass.
        else if (!hurried) declined.add(id)
        resolve()
      })
      say(frame)
    })

  /** Compares one window of time. Resolves to `too-large` when the sibling will not. */
  async function compare(window: Filter): Promise<'equal' | 'too-large'> {
    const opened = reconciliation.ask(window)
    if (!opened) throw new Error('too many sessions')
    const { session, first } = opened
    const id = `n${++serial}`
    const work = new Set<Promise<void>>()
    let queued = 0
    const begin = (job: Promise<void>, size: number) => {
      queued += size
      const done: Promise<void> = job.finally(() => {
        queued -= size
        work.delete(done)
      })
      done.catch((error: Error) => fail(error.message))
      work.add(done)
    }
    try {
      let step = await orFail(first)
      let opening = true
      for (;;) {
        if (!step.ok)
          return step.reason.startsWith('blocked: too many events') ? 'too-large' : fallen(step.reason)
        const need = step.need.filter((one) => !declined.has(one))
        const have = step.have.filter((one) => !declined.has(one))
        for (let i = 0; i < need.length; i += page)
          begin(fetch(need.slice(i, i + page)), Math.min(page, need.length - i))
        if (have.length > 0) begin(give(have), have.length)
        const { reply } = step
        if (!reply) break
        // The next round begins while this one's events arrive, but no faster than they do.
        while (queued > inFlight) await orFail(Promise.race(work))
        tally.rounds++
        const answer = await orFail(exchange(id, opening ? window : undefined, reply))
        opening = false
        if (answer[0] === 'NEG-ERR') {
          const reason = String(answer[2]).slice(0, 200)
          if (/too (many|big|large)/.test(reason) && !/sessions|questions/.test(reason)) return 'too-large'
          fallen(reason)
        }
        const hex = answer[2]
        if (typeof hex !== 'string' || !/^(?:[0-9a-f]{2})+$/i.test(hex)) fallen('a message that is not hex')
        step = await orFail((session as Session).answer(Buffer.from(hex as string, 'hex')))
      }
      while (work.size > 0) await orFail(Promise.race(work))
      return 'equal'
    } finally {
      session.close()
      listeners.delete(id)
      send('NEG-CLOSE', id)
    }
  }

  const exchange = (id: string, window: Filter | undefined, message: Uint8Array) =>
    new Promise<Answer>((resolve) => {
      listeners.set(id, (answer) => {
        if (answer[0] === 'NEG-MSG' || answer[0] === 'NEG-ERR') resolve(answer)
      })
      const hex = Buffer.from(message).toString('hex')
      if (window) send('NEG-OPEN', id, window, hex)
      else send('NEG-MSG', id, hex)
    })

  try {
    await orFail(new Promise<void>((resolve) => ws.once('open', resolve)))
    const seconds = Math.floor(Date.now() / 1000)
    const windows: { window: Filter; halvings: number }[] = [{ window: filter, halvings: 0 }]
    for (let next = windows.pop(); next; next = windows.pop()) {
      const { window, halvings } = next
      if ((await compare(window)) === 'equal') continue
      const { since = 0, until = seconds + 86_400 } = window
      if (halvings >= maxHalvings || since >= until) throw new Error('a second with too many events')
      const middle = Math.floor((since + until) / 2)
      windows.push({ window: { ...window, since, until: middle }, halvings: halvings + 1 })
      windows.push({
        window: { ...window, since: middle + 1, until: window.until ?? until },
        halvings: halvings + 1,
      })
    }
  } catch (error) {
    failure ??= (error as Error).message
  } finally {
    clearTimeout(silence)
    signal?.removeEventListener('abort', onAbort)
    frames.end()
    ws.removeAllListeners('close')
    ws.removeAllListeners('message')
    if (ws.readyState === ws.OPEN && !failure) ws.close()
    else ws.terminate()
  }
  return { failure, ...tally }
}

function fallen(reason: string): never {
  throw new Error(reason)
}

/** Opens a WebSocket to whatever address. */
export const connectPlainly = (url: string): WebSocket =>
  new WebSocket(url, {
    maxPayload: 4 * maxFrameBytes,
    perMessageDeflate: { threshold: 1024 },
    handshakeTimeout: 10_000,
  })
