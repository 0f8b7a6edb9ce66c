import NDK, {
  NDKEvent,
  type NDKFilter,
  NDKPrivateKeySigner,
  NDKRelayAuthPolicies,
  NDKRelaySet,
  NDKSubscriptionCacheUsage,
} from '@nostr-dev-kit/ndk'
import type { NostrEvent } from '@understudy/protocol/event'
import { signerOf } from '@understudy/relays/signer'
import {
  defaultSocketPolicies,
  makeSocketPolicyAuth,
  Pool,
  publishOne,
  requestOne,
  Socket,
} from '@welshman/net'
import { Relay as ApplesauceRelay } from 'applesauce-relay'
import type { Filter } from 'nostr-tools/filter'
import { SimplePool, useWebSocketImplementation } from 'nostr-tools/pool'
import type { EventTemplate, VerifiedEvent } from 'nostr-tools/pure'
import { WebSocket } from 'ws'

// Node 20 has none of its own.
useWebSocketImplementation(WebSocket)
globalThis.WebSocket ??= WebSocket as unknown as typeof globalThis.WebSocket

export type Published = { readonly ok: boolean; readonly reason: string }

/** What every client can do, in its own way; each proves its key (NIP-42) by itself when the relay asks for one. */
export interface Client {
  publish(event: NostrEvent): Promise<Published>
  /** The stored events; resolves at EOSE. */
  stored(filter: Filter): Promise<NostrEvent[]>
  /** Resolves at EOSE; tells every event, stored and live. */
  follow(filter: Filter, onEvent: (event: NostrEvent) => void): Promise<void>
  close(): void
}

/** Opens a client of one library at one relay, for the owner of a key. */
type Open = (url: string, secret: Uint8Array) => Client

const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

function nostrTools(url: string, secret: Uint8Array): Client {
  const signer = signerOf(secret)
  const onauth = async (template: EventTemplate) => (await signer.signEvent(template)) as VerifiedEvent
  const pool = new SimplePool({ enableReconnect: false })
  return {
    async publish(event) {
      try {
        return { ok: true, reason: await pool.publish([url], event as VerifiedEvent, { onauth })[0]! }
      } catch (error) {
        return { ok: false, reason: reasonOf(error) }
      }
    },
    stored: (filter) =>
      new Promise((resolve) => {
        const events: NostrEvent[] = []
        const subscription = pool.subscribe([url], filter, {
          onauth,
          onevent: (event) => events.push(event),
          oneose: () => {
            resolve(events)
            subscription.close()
          },
        })
      }),
    follow: (filter, onEvent) =>
      new Promise((resolve) => {
        pool.subscribe([url], filter, { onauth, onevent: onEvent, oneose: resolve })
      }),
    close: () => pool.destroy(),
  }
}

function ndk(url: string, secret: Uint8Array): Client {
  const client = new NDK({
    explicitRelayUrls: [url],
    signer: new NDKPrivateKeySigner(Buffer.from(secret).toString('hex')),
    enableOutboxModel: false,
  })
  client.relayAuthDefaultPolicy = NDKRelayAuthPolicies.signIn({ ndk: client })
  const connected = client.connect(10_000)
  const only = () => NDKRelaySet.fromRelayUrls([url], client)
  const raw = (event: NDKEvent) => event.rawEvent() as NostrEvent
  const cacheUsage = NDKSubscriptionCacheUsage.ONLY_RELAY
  return {
    async publish(event) {
      await connected
      const failed: string[] = []
      const relay = client.pool.getRelay(url)
      relay.on('publish:failed', (_event, error) => failed.push(reasonOf(error)))
      try {
        const relays = await new NDKEvent(client, event).publish(only(), 5_000)
        return { ok: relays.size === 1, reason: '' }
      } catch (error) {
        return { ok: false, reason: failed[0] ?? reasonOf(error) }
      }
    },
    stored: (filter) =>
      new Promise((resolve, reject) => {
        const events: NostrEvent[] = []
        connected.then(() => {
          client.subscribe(
            filter as NDKFilter,
            {
              closeOnEose: true,
              cacheUsage,
              relaySet: only(),
              groupable: false,
            },
            { onEvent: (event) => events.push(raw(event)), onEose: () => resolve(events) },
          )
        }, reject)
      }),
    follow: (filter, onEvent) =>
      new Promise((resolve, reject) => {
        connected.then(() => {
          client.subscribe(
            filter as NDKFilter,
            {
              closeOnEose: false,
              cacheUsage,
              relaySet: only(),
              groupable: false,
            },
            { onEvent: (event) => onEvent(raw(event)), onEose: () => resolve() },
          )
        }, reject)
      }),
    close() {
      for (const relay of client.pool.relays.values()) relay.disconnect()
    },
  }
}

function welshman(url: string, secret: Uint8Array): Client {
  const signer = signerOf(secret)
  const context = welshmanContext(async (template) => signer.signEvent(template))
  const closing = new AbortController()
  return {
    async publish(event) {
      const { status, detail } = await publishOne({ event, relay: url, context })
      return { ok: status === 'success', reason: detail }
    },
    stored: (filter) =>
      requestOne({ relay: url, filters: [filter as TrustedFilter], autoClose: true, context }) as Promise<
        NostrEvent[]
      >,
    follow: (filter, onEvent) =>
      new Promise((resolve) => {
        void requestOne({
          relay: url,
          filters: [filter as TrustedFilter],
          context,
          signal: closing.signal,
          onEvent: (event) => onEvent(event as NostrEvent),
          onEose: () => resolve(),
        })
      }),
    close() {
      closing.abort()
      context.pool.clear()
    },
  }
}

type TrustedFilter = Parameters<typeof requestOne>[0]['filters'][number]
type Sign = Parameters<typeof makeSocketPolicyAuth>[0]['sign']

/** A pool of its own, with the library's own policies and one that answers challenges. */
export function welshmanContext(sign: Sign) {
  const policies = [...defaultSocketPolicies, makeSocketPolicyAuth({ sign, shouldAuth: () => true })]
  return { pool: new Pool({ makeSocket: (url) => new Socket(url, policies) }) }
}

function applesauce(url: string, secret: Uint8Array): Client {
  const signer = signerOf(secret)
  const relay = new ApplesauceRelay(url)
  const challenged = relay.challenge$.subscribe((challenge) => {
    if (challenge)
      void relay.authenticate({
        signEvent: async (template) => (await signer.signEvent(template)) as VerifiedEvent,
      })
  })
  const following: { unsubscribe(): void }[] = []
  return {
    async publish(event) {
      try {
        const { ok, message } = await relay.publish(event)
        return { ok, reason: message ?? '' }
      } catch (error) {
        return { ok: false, reason: reasonOf(error) }
      }
    },
    stored: (filter) =>
      new Promise((resolve, reject) => {
        const events: NostrEvent[] = []
        relay.request(filter).subscribe({
          next: (event) => events.push(event),
          error: reject,
          complete: () => resolve(events),
        })
      }),
    follow: (filter, onEvent) =>
      new Promise((resolve, reject) => {
        following.push(
          relay.subscription(filter, {}).subscribe({
            next: (said) => (said === 'EOSE' ? resolve() : onEvent(said)),
            error: reject,
          }),
        )
      }),
    close() {
      challenged.unsubscribe()
      for (const subscription of following) subscription.unsubscribe()
      relay.close()
    },
  }
}

export const libraries: readonly (readonly [name: string, open: Open])[] = [
  ['nostr-tools', nostrTools],
  ['@nostr-dev-kit/ndk', ndk],
  ['@welshman/net', welshman],
  ['applesauce-relay', applesauce],
]
