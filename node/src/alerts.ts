import type { Log } from '@understudy/host/log'
import type { NostrEvent } from '@understudy/protocol/event'
import type { Relays } from '@understudy/relays/relays'
import { wrapEvent } from 'nostr-tools/nip17'
import { z } from 'zod'
import { readJson, writeWhole } from './preparation.ts'
import type { Alert } from './watch.ts'

/** One way to reach the operator. */
export interface Channel {
  readonly name: string
  /** What is sent, made once so that a second attempt sends the same again. */
  compose(alert: Alert): unknown
  /** Throws when it did not arrive. */
  send(composed: unknown): Promise<void>
}

export interface Alerts {
  /** Tells the operator, over every channel, once for each key and for ever. */
  raise(alert: Alert): void
  stop(): Promise<void>
}

export interface AlertsParts {
  readonly channels: readonly Channel[]
  /** Remembers what was told, and what is still to be. */
  readonly path: string
  /** In [0, 1). */
  random(): number
  readonly log: Pick<Log, 'info' | 'warn'>
  /** First and longest pause before another attempt, ms. */
  readonly retryMs?: number
  readonly maxRetryMs?: number
}

const outboxSchema = z.array(
  z.object({
    key: z.string(),
    channel: z.string(),
    composed: z.unknown(),
    sent: z.boolean(),
  }),
)

/** Messages remembered. */
const maxRemembered = 1_000

export async function createAlerts(parts: AlertsParts): Promise<Alerts> {
  const { channels, path, random, log, retryMs = 2_000, maxRetryMs = 600_000 } = parts
  const stored = await readJson(path)
  const read = stored.ok ? outboxSchema.safeParse(stored.value) : undefined
  const outbox = read?.success ? read.data : []
  const timers = new Set<ReturnType<typeof setTimeout>>()
  let writing = Promise.resolve()
  let stopped = false

  /** Before anything is sent and after it arrived: a restart repeats what is not known to have arrived, nothing else. */
  function remember(): Promise<void> {
    const text = JSON.stringify(outbox.slice(-maxRemembered))
    writing = writing
      .then(() => writeWhole(path, text))
      .catch((error: unknown) => {
        log.warn({ err: error }, 'alerts cannot be remembered')
      })
    return writing
  }

  async function deliver(message: (typeof outbox)[number], attempt: number): Promise<void> {
    const channel = channels.find(({ name }) => name === message.channel)
    if (!channel || stopped) return
    try {
      await channel.send(message.composed)
      message.sent = true
      await remember()
      log.info({ alert: message.key, channel: channel.name }, 'operator told')
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      log.warn({ alert: message.key, channel: channel.name, reason }, 'alert not delivered; will try again')
      if (stopped) return
      const pause = Math.min(maxRetryMs, retryMs * 2 ** Math.min(attempt, 20)) * (0.75 + random() / 2)
      const timer = setTimeout(() => {
        timers.delete(timer)
        void deliver(message, attempt + 1)
      }, pause)
      timers.add(timer)
    }
  }

  for (const message of outbox) if (!message.sent) void deliver(message, 0)
  return {
    raise(alert) {
      for (const channel of channels) {
        if (outbox.some(({ key, channel: name }) => key === alert.key && name === channel.name)) continue
        log.warn({ alert: alert.key }, alert.text)
        const message = {
          key: alert.key,
          channel: channel.name,
          composed: channel.compose(alert),
          sent: false,
        }
        outbox.push(message)
        void remember().then(() => deliver(message, 0))
      }
    },
    async stop() {
      stopped = true
      for (const timer of timers) clearTimeout(timer)
      await writing
    },
  }
}

/** POSTs JSON that Slack (`text`) and Discord (`content`) show as it is. `Idempotency-Key` is the same for the same alert. */
export function webhook(url: string, about: { readonly app: string; readonly nodeKey: string }): Channel {
  return {
    name: 'webhook',
    compose: ({ key, text }) => ({ ...about, key, text, content: text }),
    async send(composed) {
      const { key } = composed as { key: string }
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': `${about.nodeKey}:${key}` },
        body: JSON.stringify(composed),
        redirect: 'error',
        signal: AbortSignal.timeout(10_000),
      }).catch((error: unknown) => {
        // The URL is a secret of its own: whoever knows it may post.
        throw new Error('the webhook does not answer', { cause: error })
      })
      await response.body?.cancel()
      if (!response.ok) throw new Error(`the webhook answers ${response.status}`)
    },
  }
}

/** A private message (NIP-17) from the node's key. A relay that has it already takes it again as the same. */
export function directMessage(
  secret: Uint8Array,
  recipient: string,
  relays: Pick<Relays, 'publish'>,
): Channel {
  return {
    name: 'nostr',
    compose: ({ text }) => wrapEvent(secret, { publicKey: recipient }, text),
    async send(composed) {
      const published = await relays.publish(composed as NostrEvent)
      if (!published.ok) throw new Error('no relay took it')
    },
  }
}
