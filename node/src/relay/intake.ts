import {
  eventId,
  expiration,
  isHex32,
  maxEventBytes,
  type NostrEvent,
  parseEvent,
} from '@understudy/protocol/event'
import type { Access } from './access.ts'
import type { Limits } from './limits.ts'
import type { Admit } from './scope.ts'
import { indexedTags, retentionOf } from './semantics.ts'
import type { Insertion, Store } from './store.ts'
import type { Lane } from './verification.ts'

/** NIP-01 `OK`: the id as far as there was one, and a message with its machine-readable prefix. */
export interface Outcome {
  readonly id: string | undefined
  readonly ok: boolean
  readonly message: string
  /** It claimed a signature or an id that it does not have. */
  readonly forged?: boolean
  /** The relay is going down. Such an event is best not answered: its sender sends it again, here or elsewhere. */
  readonly leaving?: boolean
}

export interface Intake {
  /**
   * Resolves when the event is refused, or on disk, or (ephemeral) handed to those who wait for it. Without a sender
   * it is our own program that speaks.
   */
  accept(input: unknown, sender?: Sender): Promise<Outcome>
  /** Takes no more; resolves once what waits is written. */
  close(): Promise<void>
}

/** May be a thread's answer. `json`: the event as JSON; `lane`: who handed it in, for fairness. */
export type VerifyEvent = (event: NostrEvent, json?: string, lane?: Lane) => boolean | Promise<boolean>

/** Who hands events in. What one sender sent is stored and delivered in the order in which it came. */
export interface Sender {
  /** Keys that it has proven (NIP-42). */
  readonly names: ReadonlySet<string>
  readonly waiting: Waiting[]
}

export const createSender = (names: ReadonlySet<string> = new Set()): Sender => ({ names, waiting: [] })

export interface IntakeParts {
  readonly store: Store
  readonly verify: VerifyEvent
  readonly admit: Admit
  readonly access: Access
  /** ms */
  readonly now: () => number
  readonly limits: Pick<Limits, 'batch' | 'indexedTags' | 'futureSeconds'>
  /** A new event, stored or ephemeral. */
  onEvent(event: NostrEvent, json: string): void
  /** The store cannot write. */
  onFailure(error: unknown): void
}

/** How long a stored event waits for others to share its fsync, ms. */
const gatherMs = 4

interface Waiting {
  readonly event: NostrEvent
  readonly json: string
  /** Undefined until it is known. */
  genuine: boolean | undefined
  readonly resolve: (outcome: Outcome) => void
}

const messages: Record<Insertion, string> = {
  stored: '',
  duplicate: 'duplicate: already have this event',
  replaced: 'blocked: a newer event replaces this one',
  deleted: 'blocked: its author deleted it',
}

/**
 * What happens to an event on its way in: shape → limits → time → scope → signature → one transaction with all others that
 * wait. Nothing is remembered of an event before its signature holds, so a forged copy cannot stand in the genuine one's way.
 */
export function createIntake(parts: IntakeParts): Intake {
  const { store, verify, admit, access, now, limits } = parts
  const queue: Waiting[] = []
  const program = createSender()
  let scheduled = false
  let writing = false
  /** Who waits until nothing is left to write. */
  const idle: (() => void)[] = []
  /** Events whose signature is not known yet. */
  let checking = 0
  let closed = false

  /** What comes in one turn of the event loop shares one fsync; while more is being checked, what comes in a few turns. */
  function schedule(): void {
    if (scheduled || writing) return
    scheduled = true
    const later = () => {
      scheduled = false
      void flush()
    }
    if (checking > 0) setTimeout(later, gatherMs)
    else setImmediate(later)
  }

  /** One transaction after the other: what comes while one is on its way to the disk shares the next. */
  async function flush(): Promise<void> {
    if (writing) return
    writing = true
    while (queue.length > 0) {
      const batch = queue.splice(0, limits.batch)
      const kept = batch.filter(({ event }) => retentionOf(event.kind) !== 'ephemeral')
      let insertions: Insertion[]
      try {
        const inserted = kept.length > 0 ? store.insert(kept) : []
        insertions = Array.isArray(inserted) ? inserted : await inserted
      } catch (error) {
        parts.onFailure(error)
        for (const { event, resolve } of batch)
          resolve({ id: event.id, ok: false, message: 'error: the event could not be stored' })
        continue
      }
      // In the turn in which the store's head moved: a question between the two would miss an event, or hear it twice.
      settle(batch, kept, insertions)
    }
    writing = false
    for (const resolve of idle.splice(0)) resolve()
  }

  function settle(batch: readonly Waiting[], kept: readonly Waiting[], insertions: readonly Insertion[]) {
    let next = 0
    for (const waiting of batch) {
      const { event, json, resolve } = waiting
      const insertion = waiting === kept[next] ? insertions[next++]! : 'stored'
      resolve({
        id: event.id,
        ok: insertion === 'stored' || insertion === 'duplicate',
        message: messages[insertion],
      })
      if (insertion === 'stored') parts.onEvent(event, json)
    }
  }

  /** Moves on what a sender sent, in order, as far as the signatures are known. */
  function enqueue(waiting: Waiting[]): void {
    let known = 0
    for (const entry of waiting) {
      if (entry.genuine === undefined) break
      known++
      const { id } = entry.event
      if (!entry.genuine)
        entry.resolve({ id, ok: false, message: 'invalid: bad id or signature', forged: true })
      else if (closed) entry.resolve(leaving(id))
      else queue.push(entry)
    }
    waiting.splice(0, known)
    if (queue.length >= limits.batch) void flush()
    else if (queue.length > 0) schedule()
  }

  /** Why the event is refused before anything costly is done. */
  function objection(event: NostrEvent, json: string, sender?: Sender): string | undefined {
    const seconds = Math.floor(now() / 1000)
    if (Buffer.byteLength(json) > maxEventBytes) return `invalid: larger than ${maxEventBytes} bytes`
    if (event.created_at > seconds + limits.futureSeconds)
      return `invalid: created_at is more than ${limits.futureSeconds / 60} min in the future`
    if ((expiration(event) ?? seconds + 1) <= seconds) return 'invalid: expired'
    const tags = indexedTags(event)
    if (tags.length > limits.indexedTags) return `invalid: more than ${limits.indexedTags} one-letter tags`
    if (tags.some(([, value]) => value.length > 1_024))
      return 'invalid: a one-letter tag above 1024 characters'
    const admitted = admit(event)
    if (!admitted.ok) return `blocked: ${admitted.reason}`
    if (store.bans.has(event.pubkey)) return 'blocked: the operator banned this key'
    return sender && access.write(event, sender.names)
  }

  return {
    async accept(input, sender) {
      const event = parseEvent(input)
      if (!event.ok) return { id: idOf(input), ok: false, message: `invalid: ${event.reason}` }
      const { value } = event
      const { id } = value
      const json = JSON.stringify(value)
      if (closed) return leaving(id)
      const reason = objection(value, json, sender)
      if (reason) return { id, ok: false, message: reason }
      if (store.has(id) && eventId(value) === id) return { id, ok: true, message: messages.duplicate }
      const { waiting } = sender ?? program
      return new Promise((resolve) => {
        const entry: Waiting = { event: value, json, genuine: undefined, resolve }
        waiting.push(entry)
        const judge = (genuine: boolean) => {
          entry.genuine = genuine
          enqueue(waiting)
        }
        const verified = verify(value, json, waiting)
        if (typeof verified === 'boolean') judge(verified)
        else {
          checking++
          const judgeLater = (genuine: boolean) => {
            checking--
            judge(genuine)
          }
          verified.then(judgeLater, () => judgeLater(false))
        }
      })
    },
    async close() {
      closed = true
      void flush()
      if (writing) await new Promise<void>((resolve) => idle.push(resolve))
    },
  }
}

const leaving = (id: string): Outcome => ({ id, ok: false, message: 'error: shutting down', leaving: true })

function idOf(input: unknown): string | undefined {
  const id = (input as { id?: unknown } | null | undefined)?.id
  return isHex32(id) ? id : undefined
}
