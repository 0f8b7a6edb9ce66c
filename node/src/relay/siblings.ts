import { isIP, type LookupFunction } from 'node:net'
import type { Log } from '@understudy/host/log'
import type { Vantage } from '@understudy/host/vantage'
import { kinds } from '@understudy/protocol/kinds'
import { parseMirror } from '@understudy/protocol/mirror'
import { WebSocket } from 'ws'
import { maxFrameBytes } from './frame.ts'
import type { Relay } from './relay.ts'
import { deletionKind, retentionOf } from './semantics.ts'
import { createDeclined, type Declined, type SyncResult } from './sync.ts'

/** What siblings keep for each other: everything that lasts longer than a heartbeat. */
export const sharedFilter = {
  kinds: [
    deletionKind,
    ...Object.values(kinds).filter((kind) => kind !== kinds.heartbeat && retentionOf(kind) !== 'ephemeral'),
  ],
}

/** Siblings that one pass visits at most, by chance. */
const perPass = 8
/** Siblings whose refused ids we remember. */
const maxRemembered = 64
/** Pause between two passes as long as none has succeeded, ms. */
const eagerMs = 5_000

export interface SiblingsParts {
  readonly relay: Pick<Relay, 'syncWith'>
  /** WebSocket URLs of relays that keep what we keep. Asked before every pass. */
  find(): Promise<readonly string[]>
  readonly connect?: (url: string) => WebSocket
  /** In [0, 1). */
  readonly random: () => number
  readonly log: Pick<Log, 'info' | 'debug'>
  /** Mean pause between two passes, ms. Default 60,000. */
  readonly intervalMs?: number
  onResult?(url: string, result: SyncResult): void
}

/** Converges with siblings, one at a time, again and again: whoever was away, or starts empty, catches up from any of them. */
export function createSiblings(parts: SiblingsParts) {
  const { relay, random, log, intervalMs = 60_000 } = parts
  const stopping = new AbortController()
  const { signal } = stopping
  const declinedOf = new Map<string, Declined>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let running: Promise<void> = Promise.resolve()

  /** Whether any sibling now has what we have. */
  async function pass(): Promise<boolean> {
    let converged = false
    const urls = shuffled(await parts.find(), random).slice(0, perPass)
    for (const url of urls) {
      if (signal.aborted) break
      const declined = declinedOf.get(url) ?? createDeclined()
      if (declinedOf.size < maxRemembered) declinedOf.set(url, declined)
      const connect = parts.connect && { connect: parts.connect }
      const result = await relay.syncWith(url, sharedFilter, { declined, signal, ...connect })
      parts.onResult?.(url, result)
      converged ||= result.failure === undefined
      if (result.failure !== undefined) log.debug({ url, ...result }, 'a sibling could not be compared')
      else if (result.received + result.sent > 0) log.info({ url, ...result }, 'converged with a sibling')
    }
    return converged
  }

  function next(pause: number) {
    if (signal.aborted) return
    timer = setTimeout(() => {
      running = pass()
        .catch((error: unknown) => {
          log.debug({ err: error }, 'a pass over the siblings failed')
          return false
        })
        .then((converged) =>
          next((converged ? intervalMs : Math.min(eagerMs, intervalMs)) * (0.5 + random())),
        )
    }, pause)
  }

  return {
    start: () => next(0),
    async stop() {
      stopping.abort()
      clearTimeout(timer)
      await running
    },
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const left = [...items]
  for (let i = left.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[left[i], left[j]] = [left[j]!, left[i]!]
  }
  return left
}

/**
 * The relays of the app's other nodes, as their announcements in our own store name them. Only of nodes that the chain knows: anybody
 * may announce anything.
 */
export async function announcedSiblings(parts: {
  readonly relay: Pick<Relay, 'query'>
  readonly app: string
  readonly self: string
  readonly mirrors: ReadonlySet<string>
}): Promise<string[]> {
  const { relay, app, self, mirrors } = parts
  const urls = new Set<string>()
  for (const event of await relay.query([{ kinds: [kinds.mirror], '#d': [app] }])) {
    const mirror = parseMirror(event)
    if (mirror.ok && mirror.value.nodeKey !== self && mirrors.has(mirror.value.nodeKey))
      urls.add(mirror.value.relay)
  }
  return [...urls]
}

/** Opens WebSockets only where the vantage admits the address, be it written out or resolved. */
export function guardedConnect(vantage: Vantage): (url: string) => WebSocket {
  const lookup: LookupFunction = (host, options, done) => {
    vantage.resolve(host).then(
      (resolved) => {
        const addresses = resolved
          .filter((address) => vantage.admit(address))
          .map((address) => ({ address, family: isIP(address) }))
        const [first] = addresses
        if (!first) done(new Error(`${host}: no address that may be dialled`), '')
        else if (options.all) done(null, addresses)
        else done(null, first.address, first.family)
      },
      (error: Error) => done(error, ''),
    )
  }
  return (url) => {
    const { protocol, hostname } = new URL(url)
    const host = hostname.replace(/^\[|\]$/g, '')
    if (!vantage.schemes.includes(protocol) || (isIP(host) > 0 && !vantage.admit(host)))
      throw new Error(`${url}: may not be dialled`)
    const perMessageDeflate = { threshold: 1_024 }
    return new WebSocket(url, {
      lookup,
      maxPayload: 4 * maxFrameBytes,
      perMessageDeflate,
      handshakeTimeout: 10_000,
    })
  }
}
