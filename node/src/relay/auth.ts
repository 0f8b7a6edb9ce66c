import { type NostrEvent, tag, tagValues } from '@understudy/protocol/event'
import { authKind, httpAuthKind } from './semantics.ts'

/** Seconds by which the clock of who authenticates may differ from ours. */
const authSkew = 600
const httpAuthSkew = 60

export interface Authentication {
  readonly challenge: string
  /** `host[:port]` under which this relay is known. */
  readonly hosts: readonly string[]
  /** Seconds since 1970. */
  readonly now: number
}

const hostOf = (url: string): string | undefined => {
  try {
    return new URL(url).host
  } catch {
    return undefined
  }
}

/** NIP-42: why the event does not prove a key to this connection; undefined when it does. The signature is checked apart. */
export function authObjection(
  event: NostrEvent,
  { challenge, hosts, now }: Authentication,
): string | undefined {
  if (event.kind !== authKind) return `invalid: an AUTH event has kind ${authKind}`
  if (Math.abs(event.created_at - now) > authSkew) return 'invalid: created_at is more than 10 min off'
  if (tag(event, 'challenge') !== challenge) return 'invalid: not the challenge of this connection'
  const host = hostOf(tag(event, 'relay') ?? '')
  if (host === undefined || !hosts.includes(host)) return 'invalid: the relay tag names another relay'
  return undefined
}

export interface HttpRequest {
  readonly method: string
  /** Absolute, as the client sees it. */
  readonly url: string
  /** sha256 of the body, hex. */
  readonly payload: string
  /** Seconds since 1970. */
  readonly now: number
}

/** NIP-98: why the event does not authorise this request; undefined when it does. The signature is checked apart. */
export function httpAuthObjection(
  event: NostrEvent,
  { method, url, payload, now }: HttpRequest,
): string | undefined {
  if (event.kind !== httpAuthKind) return `an authorisation has kind ${httpAuthKind}`
  if (Math.abs(event.created_at - now) > httpAuthSkew) return 'created_at is more than a minute off'
  // With or without the last slash: clients write `https://host`, and ask for `/`.
  const [named, ...others] = tagValues(event, 'u')
  if (others.length > 0 || URL.parse(named ?? '')?.href !== URL.parse(url)?.href) return 'u: another URL'
  if (tag(event, 'method')?.toUpperCase() !== method) return 'method: another method'
  if (tag(event, 'payload') !== payload) return 'payload: not the sha256 of the body'
  return undefined
}
