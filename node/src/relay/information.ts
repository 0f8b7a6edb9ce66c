import { maxEventBytes } from '@understudy/protocol/event'
import { maxFilters, maxFrameBytes, maxSubscriptionIdLength } from './frame.ts'
import type { Limits } from './limits.ts'

/** What the operator says of the relay. */
export interface About {
  readonly name?: string
  readonly description?: string
  /** Nostr public key, hex. */
  readonly pubkey?: string
  readonly contact?: string
}

/** NIP-11. Served on GET with `Accept: application/nostr+json`, CORS open. */
export function informationOf(
  about: About,
  limits: Limits,
  rules: { readonly nips: readonly number[]; readonly authRequired: boolean },
) {
  return {
    name: 'Understudy relay',
    description: 'Keeps the events of mirrored apps.',
    ...about,
    supported_nips: [1, 9, 11, 40, 42, 70, ...rules.nips].sort((a, b) => a - b),
    software: 'understudy',
    version: '0.1.0',
    limitation: {
      max_message_length: maxFrameBytes,
      max_subscriptions: limits.subscriptionsPerConnection,
      max_filters: maxFilters,
      max_limit: limits.limit,
      max_subid_length: maxSubscriptionIdLength,
      max_event_tags: 2_000,
      max_content_length: maxEventBytes,
      created_at_upper_limit: limits.futureSeconds,
      auth_required: rules.authRequired,
      payment_required: false,
      restricted_writes: true,
    },
  }
}

export const informationType = 'application/nostr+json'
