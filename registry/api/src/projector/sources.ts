import type { LookupFunction } from 'node:net'
import type { ChainState } from '@understudy/chain/state'
import type { Vantage } from '@understudy/host/vantage'
import { parseCoordinate } from '@understudy/protocol/app'
import { kinds } from '@understudy/protocol/kinds'
import { pubkeyOf } from '@understudy/protocol/rules'
import type { Filter } from '@understudy/relays/filter'
import type { Relays } from '@understudy/relays/relays'
import { maxFrameLength, type SocketConstructor } from '@understudy/relays/socket'
import ipaddr from 'ipaddr.js'
import { WebSocket } from 'ws'

/** Authors in one filter; relays refuse longer lists. */
const authorsPerFilter = 500
/** Relays that nodes announce and we listen to as well. */
export const maxAnnouncedRelays = 16

/** Asks for what those whom the chain names have to say; everything else would be refused anyway. */
export function filtersOf(chain: ChainState): Filter[] {
  const maintainers = new Set<string>()
  const releaseKeys = new Set<string>()
  const nodeKeys = new Set<string>()
  const attesters = new Set<string>()
  for (const app of chain.apps.values()) {
    const coordinate = parseCoordinate(app.coordinate)
    if (coordinate.ok) maintainers.add(coordinate.value.pubkey)
    for (const rules of app.rules) {
      releaseKeys.add(rules.releaseKey)
      for (const key of rules.keys) attesters.add(pubkeyOf(key))
    }
    for (const mirror of app.mirrors.values()) nodeKeys.add(mirror.nodeKey)
  }
  const { commitment, attestation, proposal, coSignature, seen, attester } = kinds
  return [
    ...ask([kinds.repository], maintainers),
    ...ask([kinds.release, kinds.releaseSnapshot], releaseKeys),
    ...ask([kinds.mirror, kinds.heartbeat], nodeKeys),
    ...ask([commitment, attestation, proposal, coSignature, seen, attester], attesters),
  ]
}

function ask(kindsAsked: readonly number[], authors: ReadonlySet<string>): Filter[] {
  const all = [...authors].sort()
  const filters: Filter[] = []
  for (let at = 0; at < all.length; at += authorsPerFilter)
    filters.push({ kinds: kindsAsked, authors: all.slice(at, at + authorsPerFilter) })
  return filters
}

export interface Listener {
  /** Asks anew when the chain gives anybody a say that they had not before. */
  follow(chain: ChainState): void
  close(): void
}

export function listen(relays: Pick<Relays, 'subscribe'>, onEvent: (event: unknown) => void): Listener {
  let asked = ''
  let subscription: { close(): void } | undefined
  return {
    follow(chain) {
      // Not the filters: somebody known may have got a say in one more app, and be refused no longer.
      const question = JSON.stringify(
        [...chain.apps.values()].map((app) => [app.id, app.mirrors.size, app.rules.length]),
      )
      if (question === asked) return
      asked = question
      const filters = filtersOf(chain)
      const before = subscription
      subscription = filters.length > 0 ? relays.subscribe(filters, { onEvent }) : undefined
      before?.close()
    },
    close: () => subscription?.close(),
  }
}

/** Whether a relay that a stranger names may be dialled at all. Its addresses are checked when it is. */
export function mayDial(url: string, vantage: Vantage): boolean {
  if (!URL.canParse(url)) return false
  const read = new URL(url)
  if (!/^wss?:$/.test(read.protocol) || !vantage.schemes.includes(read.protocol)) return false
  const host = read.hostname.replace(/^\[|\]$/g, '')
  return !ipaddr.isValid(host) || vantage.admit(host)
}

/**
 * WebSockets that dial the operator's own relays as they are, and any other only where the vantage admits the address that its name
 * resolves to at that moment.
 */
export function guardedSocket(vantage: Vantage, trusted: readonly string[]): SocketConstructor {
  const own = new Set(trusted.map((url) => new URL(url).href))
  const lookup: LookupFunction = (host, options, done) => {
    vantage.resolve(host).then(
      (resolved) => {
        const admitted = resolved
          .filter((address) => vantage.admit(address))
          .map((address) => ({ address, family: ipaddr.parse(address).kind() === 'ipv4' ? 4 : 6 }))
        const [first] = admitted
        if (!first)
          done(Object.assign(new Error(`${host}: no address that may be dialled`), { code: 'EACCES' }), '')
        else if (options.all) done(null, admitted)
        else done(null, first.address, first.family)
      },
      (error: Error) => done(error, ''),
    )
  }
  return class extends WebSocket {
    constructor(url: string) {
      const guarded = !own.has(new URL(url).href)
      if (guarded && !mayDial(url, vantage)) throw new Error(`${url}: may not be dialled`)
      super(url, {
        maxPayload: maxFrameLength,
        perMessageDeflate: { threshold: 1_024 },
        followRedirects: false,
        ...(guarded ? { lookup } : {}),
      })
    }
  }
}
