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

/** NIP-01 `OK`: the id as far as there was one, and a message with its machine-readable prefix. */
export interface Outcome {
  readonly id: string | undefined
  readonly ok: boolean
  readonly message: string
  /** It claimed a signature or an id that it does not have. */
  readonly forged?: boolean
}

export interface Intake {
  /**
   * Resolves when the event is refused, or on disk, or (ephemeral) handed to those who wait for it. `names`: the keys that its
   * sender has proven; without them it is our own program that speaks.
   */
  accept(input: unknown, names?: ReadonlySet<string>): Promise<Outcome>
  /** Writes what waits, and takes no more. */
  close(): void
}

/** May be a worker's answer. */
export type VerifyEvent = (event: NostrEvent) => boolean | Promise<boolean>

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

interface Waiting {
  readonly event: NostrEvent
  readonly json: string
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
  let scheduled = false
  let closed = false

  /** Everything that came in this turn of the event loop shares one fsync. */
  function schedule(): void {
    if (scheduled) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      flush()
    })
  }

  function flush(): void {
    const batch = queue.splice(0, limits.batch)
    if (batch.length === 0) return
    let insertions: Insertion[]
    try {
      insertions = store.insert(batch)
    } catch (error) {
      parts.onFailure(error)
      for (const { event, resolve } of batch)
        resolve({ id: event.id, ok: false, message: 'error: the event could not be stored' })
      return
    }
    batch.forEach(({ event, json, resolve }, i) => {
      const insertion = insertions[i]!
      resolve({
        id: event.id,
        ok: insertion === 'stored' || insertion === 'duplicate',
        message: messages[insertion],
      })
      if (insertion === 'stored') parts.onEvent(event, json)
    })
    if (queue.length > 0) schedule()
  }

  /** Why the event is refused before anything costly is done. */
  function objection(event: NostrEvent, json: string, names?: ReadonlySet<string>): string | undefined {
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
    return names && access.write(event, names)
  }

  return {
    async accept(input, names) {
      const event = parseEvent(input)
      if (!event.ok) return { id: idOf(input), ok: false, message: `invalid: ${event.reason}` }
      const { value } = event
      const { id } = value
      const json = JSON.stringify(value)
      const reason = closed ? 'error: shutting down' : objection(value, json, names)
      if (reason) return { id, ok: false, message: reason }
      if (store.has(id) && eventId(value) === id) return { id, ok: true, message: messages.duplicate }
      const verified = verify(value)
      if (!(typeof verified === 'boolean' ? verified : await verified))
        return { id, ok: false, message: 'invalid: bad id or signature', forged: true }
      if (retentionOf(value.kind) === 'ephemeral') {
        parts.onEvent(value, json)
        return { id, ok: true, message: '' }
      }
      if (closed) return { id, ok: false, message: 'error: shutting down' }
      return new Promise((resolve) => {
        queue.push({ event: value, json, resolve })
        if (queue.length >= limits.batch) flush()
        else schedule()
      })
    },
    close() {
      closed = true
      while (queue.length > 0) flush()
    },
  }
}

function idOf(input: unknown): string | undefined {
  const id = (input as { id?: unknown } | null | undefined)?.id
  return isHex32(id) ? id : undefined
}
