import type { Dialler, DialReason, Failure, Reply, RequestOptions } from '@understudy/host/dial'
import { isPublicAddress, type Vantage } from '@understudy/host/vantage'
import type { Host, Network } from './network.ts'
import type { Time } from './time.ts'
import type { Trace } from './trace.ts'

export interface Asked {
  readonly method: string
  /** As the visitor names it. */
  readonly host: string
  readonly path: string
  readonly body: string
  readonly headers: Readonly<Record<string, unknown>>
  /** Address that was dialled. */
  readonly address: string
  readonly from: Host
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** A server on the simulated Internet. It may take its time, and says nothing by answering undefined. */
export interface Server extends Host {
  readonly address: string
  readonly asn: number
  answer(asked: Asked): Promise<Answer | undefined>
}

/** Names, addresses and what answers there. */
export interface Internet {
  serve(server: Server): void
  /** What a host name resolves to, for everybody or as `asker` is told. */
  name(host: string, addresses: (asker: Host) => readonly string[]): void
  vantageOf(host: Host): Vantage
  dialler(host: Host): Dialler
}

const isFailure = (answer: { readonly ok?: boolean }): answer is Failure => answer.ok === false

export function createInternet(time: Time, network: Network, trace: Trace): Internet {
  const servers = new Map<string, Server>()
  const names = new Map<string, (asker: Host) => readonly string[]>()

  function diallerOf(from: Host): Dialler {
    const openLine: Dialler['openLine'] = async (url, vantage, options = {}) => {
      const deadline = time.now() + (options.timeoutMs ?? 10_000)
      const target = new URL(url)
      const failed = (reason: DialReason, address?: string): Failure => ({
        ok: false,
        reason,
        ...(address ? { address } : {}),
      })
      const timedOut = async (address?: string) => {
        await time.wait(Math.max(0, deadline - time.now()))
        return failed('timeout', address)
      }
      if (!vantage.schemes.includes(target.protocol)) return failed('scheme')
      if (network.isOffline(from)) return failed('own-dns')
      const addresses = await vantage.resolve(target.hostname)
      const [address] = addresses
      if (!address) return failed('unresolved')
      if (!addresses.every(vantage.admit)) return failed('not-admitted', address)
      const server = servers.get(address)
      if (!server || network.isCut(from, server)) return timedOut(address)
      const connect = network.oneWayMs(from, server) + network.oneWayMs(server, from)
      const tls = network.oneWayMs(from, server) + network.oneWayMs(server, from)
      await time.wait(connect + tls)
      const request = async (path: string, options: RequestOptions = {}): Promise<Reply | Failure> => {
        const start = time.now()
        const there = network.oneWayMs(from, server)
        const back = network.oneWayMs(server, from)
        const exchange = (async () => {
          await time.wait(there)
          if (network.isCut(from, server)) return undefined
          const { method = 'GET', headers = {}, body = '' } = options
          const asked = { method, host: target.host, path, body: String(body), headers, address, from }
          const answer = await server.answer(asked)
          if (!answer || network.isCut(from, server)) return undefined
          await time.wait(back)
          return answer
        })()
        const late = new Promise<undefined>((resolve) => time.at(deadline, () => resolve(undefined)))
        const answer = await Promise.race([exchange, late])
        if (!answer) return timedOut(address)
        trace(from.name, `${options.method ?? 'GET'} ${server.name}${path} ${answer.status}`)
        const firstByte = time.now() - start
        const phases = { dns: 0, connect, tls, firstByte, lastByte: 0 }
        const { status, headers, body } = answer
        return { ok: true, url: target.origin + path, status, headers, body, address, phases }
      }
      return { ok: true, address, request, close() {} }
    }
    return {
      openLine,
      async dial(url, vantage, options = {}) {
        const line = await openLine(url, vantage, options)
        if (isFailure(line)) return line
        const { pathname, search } = new URL(url)
        return line.request(pathname + search, options)
      },
    }
  }

  return {
    serve: (server) => void servers.set(server.address, server),
    name: (host, addresses) => void names.set(host, addresses),
    vantageOf: (host) => ({
      schemes: ['https:'],
      resolve: async (name) => names.get(name)?.(host) ?? [],
      admit: isPublicAddress,
      network: async (address) => servers.get(address)?.asn ?? 0,
    }),
    dialler: diallerOf,
  }
}
