import { createHash } from 'node:crypto'
import { isHex32, parseEvent } from '@understudy/protocol/event'
import { httpAuthObjection } from './auth.ts'
import type { VerifyEvent } from './intake.ts'
import type { Store } from './store.ts'

/** NIP-86: relay management by JSON-RPC. */
export const adminType = 'application/nostr+json+rpc'
export const isAdminCall = (contentType: string | undefined): boolean =>
  contentType?.split(';', 1)[0]?.trim() === adminType
/** Bytes of a call. */
export const maxAdminBytes = 16_384

export interface AdminParts {
  readonly store: Pick<Store, 'bans' | 'ban' | 'unban' | 'count'>
  readonly verify: VerifyEvent
  /** ms */
  readonly now: () => number
  /** Keys that may administer, hex. */
  readonly admins: ReadonlySet<string>
}

export interface AdminCall {
  readonly method: string
  /** Absolute, as the client sees it. */
  readonly url: string
  readonly authorization: string | undefined
  readonly body: Uint8Array
}

interface AdminAnswer {
  readonly status: 200 | 400 | 401 | 403
  readonly body: { readonly result: unknown } | { readonly error: string }
}

/** The operator's calls (NIP-86), each authorised by an event of its own (NIP-98) that is good once. */
export function createAdmin({ store, verify, now, admins }: AdminParts) {
  /** Authorisations used in the last minutes: id → second of use. */
  const used = new Map<string, number>()

  async function objection(call: AdminCall): Promise<{ status: 401 | 403; reason: string } | undefined> {
    const refuse = (status: 401 | 403, reason: string) => ({ status, reason })
    const encoded = /^Nostr ([A-Za-z0-9+/=_-]{1,20000})$/.exec(call.authorization ?? '')?.[1]
    if (!encoded) return refuse(401, 'expected `Authorization: Nostr <event as base64>` (NIP-98)')
    let input: unknown
    try {
      input = JSON.parse(Buffer.from(encoded, 'base64').toString())
    } catch {
      return refuse(401, 'the authorisation is no JSON')
    }
    const event = parseEvent(input)
    if (!event.ok) return refuse(401, event.reason)
    const seconds = Math.floor(now() / 1000)
    const { method, url } = call
    const payload = createHash('sha256').update(call.body).digest('hex')
    const reason = httpAuthObjection(event.value, { method, url, payload, now: seconds })
    if (reason) return refuse(401, reason)
    if (!admins.has(event.value.pubkey)) return refuse(403, 'this key does not administer the relay')
    if (!(await verify(event.value))) return refuse(401, 'bad id or signature')
    for (const [id, at] of used) if (at < seconds - 300) used.delete(id)
    if (used.has(event.value.id)) return refuse(401, 'this authorisation was used before')
    used.set(event.value.id, seconds)
    return undefined
  }

  const methods: Record<string, (params: readonly unknown[]) => unknown> = {
    supportedmethods: () => Object.keys(methods),
    banpubkey([pubkey, reason]) {
      if (!isHex32(pubkey)) return undefined
      store.ban(pubkey, typeof reason === 'string' ? reason.slice(0, 200) : '')
      return true
    },
    unbanpubkey([pubkey]) {
      if (!isHex32(pubkey)) return undefined
      store.unban(pubkey)
      return true
    },
    listbannedpubkeys: () => [...store.bans].map(([pubkey, reason]) => ({ pubkey, reason })),
    stats: () => ({ events: store.count() }),
  }

  return {
    async answer(call: AdminCall): Promise<AdminAnswer> {
      const refused = await objection(call)
      if (refused) return { status: refused.status, body: { error: refused.reason } }
      let request: unknown
      try {
        request = JSON.parse(Buffer.from(call.body).toString())
      } catch {
        return { status: 400, body: { error: 'not JSON' } }
      }
      const { method, params = [] } = (request ?? {}) as { method?: unknown; params?: unknown }
      if (typeof method !== 'string' || !Object.hasOwn(methods, method) || !Array.isArray(params))
        return { status: 400, body: { error: 'no such method; ask for supportedmethods' } }
      const result = methods[method]!(params)
      return result === undefined
        ? { status: 400, body: { error: 'expected a public key as lower-case hex' } }
        : { status: 200, body: { result } }
    },
  }
}

export type Admin = ReturnType<typeof createAdmin>
