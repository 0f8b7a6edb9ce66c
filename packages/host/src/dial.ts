import { Agent, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import {
  connect as connectTls,
  createSecureContext,
  type DetailedPeerCertificate,
  type SecureContext,
  type TLSSocket,
} from 'node:tls'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import type { Vantage } from './vantage.ts'

/**
 * Why nothing came back. The host's doing: `unresolved`, `refused`, `unreachable`, `reset`, `tls`, `timeout`, `too-large`,
 * `redirects`, `bad-response`. The address's: `bad-url`, `scheme`, `credentials`, `not-admitted`. Ours: `own-dns`, `own-network`.
 */
export type DialReason =
  | 'bad-url'
  | 'scheme'
  | 'credentials'
  | 'not-admitted'
  | 'unresolved'
  | 'own-dns'
  | 'own-network'
  | 'refused'
  | 'unreachable'
  | 'reset'
  | 'tls'
  | 'timeout'
  | 'too-large'
  | 'redirects'
  | 'bad-response'

export interface Failure {
  readonly ok: false
  readonly reason: DialReason
  /** Address dialled, when it came that far. */
  readonly address?: string
  /** For `tls`: what Node or OpenSSL calls it, for instance `CERT_HAS_EXPIRED`. */
  readonly code?: string
}

/** Milliseconds that each phase took. `firstByte` runs from the request's last byte, `lastByte` from the first. */
export interface Phases {
  readonly dns: number
  readonly connect: number
  readonly tls: number
  readonly firstByte: number
  readonly lastByte: number
}

export interface LineOptions {
  /** Deadline of the whole exchange, ms. Default 10,000. */
  readonly timeoutMs?: number
  /** Local address to dial from. */
  readonly localAddress?: string
  /** Trust for TLS; default: the system's, one context for all. */
  readonly secureContext?: SecureContext
}

export interface RequestOptions {
  readonly method?: 'GET' | 'POST' | 'HEAD'
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Uint8Array
  /** Largest body that is taken, bytes, before and after decompression. Default 16 MiB. */
  readonly maxBytes?: number
}

export interface DialOptions extends LineOptions, RequestOptions {
  /** Redirects that are followed, each one guarded anew. Default 3. */
  readonly redirects?: number
}

export interface Reply {
  readonly ok: true
  readonly url: string
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Uint8Array
  readonly address: string
  readonly phases: Phases
}

/** One open connection to one checked address. */
export interface Line {
  readonly ok: true
  readonly address: string
  /** Asks for a path on the open connection; one request at a time. */
  request(path: string, options?: RequestOptions): Promise<Reply | Failure>
  close(): void
}

/** How a program reaches servers: over sockets, or in a simulated network. */
export interface Dialler {
  openLine(url: string | URL, vantage: Vantage, options?: LineOptions): Promise<Line | Failure>
  dial(url: string | URL, vantage: Vantage, options?: DialOptions): Promise<Reply | Failure>
}

const maxAddresses = 3

let systemContext: SecureContext | undefined
/** Made once: parsing the system's certificates costs more than a whole probe. */
function trustOfSystem(): SecureContext {
  systemContext ??= createSecureContext()
  return systemContext
}

/**
 * Opens a connection to the host of `url`, guarded: every address that its name resolves to must be admitted (so must an IP
 * literal), and the connection goes to the checked address itself, so that the name cannot resolve differently afterwards.
 */
export async function openLine(
  url: string | URL,
  vantage: Vantage,
  options: LineOptions = {},
): Promise<Line | Failure> {
  const deadline = performance.now() + (options.timeoutMs ?? 10_000)
  const target = guardUrl(url, vantage)
  if (!target.ok) return target
  const dnsStart = performance.now()
  const addresses = await guardHost(target.host, vantage, deadline)
  if ('ok' in addresses) return addresses
  const dns = performance.now() - dnsStart
  let failure: Failure = { ok: false, reason: 'unresolved' }
  for (const address of addresses.slice(0, maxAddresses)) {
    const opened = await openSocket(target.url, target.host, address, options, deadline)
    if ('ok' in opened) failure = opened
    else return lineOver(opened, target.url, address, dns, deadline)
    if (performance.now() >= deadline) break
  }
  return failure
}

/** One guarded request on a fresh connection; redirects are followed, each hop guarded like the first. */
export async function dial(
  url: string | URL,
  vantage: Vantage,
  options: DialOptions = {},
): Promise<Reply | Failure> {
  const deadline = performance.now() + (options.timeoutMs ?? 10_000)
  let next = url
  for (let hop = 0; hop <= (options.redirects ?? 3); hop++) {
    const timeoutMs = deadline - performance.now()
    if (timeoutMs <= 0) return { ok: false, reason: 'timeout' }
    const line = await openLine(next, vantage, { ...options, timeoutMs })
    if (!line.ok) return line
    const { pathname, search } = new URL(next)
    const reply = await line.request(pathname + search, options)
    line.close()
    if (!reply.ok || !isRedirect(reply.status)) return reply
    const location = URL.parse(reply.headers.location ?? '', reply.url)
    if (!location) return { ok: false, reason: 'bad-response', address: reply.address }
    next = location
  }
  return { ok: false, reason: 'redirects' }
}

/** Over sockets. */
export const sockets: Dialler = { openLine, dial }

const isRedirect = (status: number) => [301, 302, 303, 307, 308].includes(status)

function guardUrl(
  input: string | URL,
  vantage: Vantage,
): { readonly ok: true; readonly url: URL; readonly host: string } | Failure {
  const url = typeof input === 'string' ? URL.parse(input) : input
  if (!url) return { ok: false, reason: 'bad-url' }
  if (!['https:', 'http:'].includes(url.protocol) || !vantage.schemes.includes(url.protocol))
    return { ok: false, reason: 'scheme' }
  if (url.username || url.password) return { ok: false, reason: 'credentials' }
  return { ok: true, url, host: url.hostname.replace(/^\[|\]$/g, '') }
}

async function guardHost(
  host: string,
  vantage: Vantage,
  deadline: number,
): Promise<readonly string[] | Failure> {
  let addresses: readonly string[] = [host]
  if (!isIP(host)) {
    try {
      addresses = await before(deadline, vantage.resolve(host))
    } catch {
      return { ok: false, reason: 'own-dns' }
    }
  }
  if (addresses.length === 0) return { ok: false, reason: 'unresolved' }
  const outside = addresses.find((address) => !vantage.admit(address))
  return outside ? { ok: false, reason: 'not-admitted', address: outside } : addresses
}

function before<T>(deadline: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('timeout')), Math.max(0, deadline - performance.now()))
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

interface Opened {
  readonly socket: Socket
  readonly connect: number
  readonly tls: number
}

function openSocket(
  url: URL,
  host: string,
  address: string,
  options: LineOptions,
  deadline: number,
): Promise<Opened | Failure> {
  const secure = url.protocol === 'https:'
  const target = {
    host: address,
    port: Number(url.port || (secure ? 443 : 80)),
    ...(options.localAddress ? { localAddress: options.localAddress } : {}),
  }
  return new Promise((resolve) => {
    const start = performance.now()
    let connected = 0
    const socket = secure ? connectSecure(target, host, options.secureContext) : connectTcp(target)
    socket.setNoDelay(true)
    const fail = (reason: DialReason, code?: string) => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ ok: false, reason, address, ...(reason === 'tls' && code ? { code } : {}) })
    }
    const timer = setTimeout(() => fail('timeout'), Math.max(0, deadline - performance.now()))
    const opened = () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      // The request reports errors; between requests there is nobody to tell, and the next request finds it closed.
      socket.on('error', () => {})
      const tls = secure ? performance.now() - connected : 0
      resolve({ socket, connect: connected - start, tls })
    }
    socket.once('connect', () => {
      connected = performance.now()
      if (!secure) opened()
    })
    if (secure) socket.once('secureConnect', opened)
    socket.once('error', (error: NodeJS.ErrnoException) =>
      fail(connectReason(error, connected > 0), error.code),
    )
  })
}

/**
 * A TLS connection whose certificate must be valid for `host` (RFC 9525: subject alternative names only). Node would build the whole
 * chain as objects to compare one name, which costs more than the handshake; OpenSSL is asked instead.
 */
function connectSecure(
  target: { readonly host: string; readonly port: number; readonly localAddress?: string },
  host: string,
  secureContext: SecureContext = trustOfSystem(),
): TLSSocket {
  const literal = isIP(host) !== 0
  const socket: TLSSocket = connectTls({
    ...target,
    secureContext,
    ...(literal ? {} : { servername: host }),
    ALPNProtocols: ['http/1.1'],
    checkServerIdentity: () => {
      const certificate = socket.getPeerX509Certificate()
      const named = literal
        ? certificate?.checkIP(host)
        : certificate?.checkHost(host, { subject: 'never', partialWildcards: false })
      if (named) return undefined
      return Object.assign(new Error(`the certificate is not for ${host}`), {
        code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      })
    },
  })
  socket.getPeerCertificate = () => noCertificate
  return socket
}

/** Nobody reads it. */
const noCertificate = {} as DetailedPeerCertificate

function connectReason(error: NodeJS.ErrnoException, connected: boolean): DialReason {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'refused'
    case 'EHOSTUNREACH':
      return 'unreachable'
    case 'ENETUNREACH':
    case 'ENETDOWN':
    case 'EADDRNOTAVAIL':
    case 'EMFILE':
    case 'EACCES':
      return 'own-network'
    case 'ETIMEDOUT':
      return 'timeout'
    default:
      return connected && error.code !== 'ECONNRESET' ? 'tls' : 'reset'
  }
}

function lineOver(opened: Opened, url: URL, address: string, dns: number, deadline: number): Line {
  const { socket } = opened
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  // The agent gets the checked socket and never opens one of its own, which nobody would have guarded.
  const sockets = [socket]
  agent.createConnection = (_options, callback) => {
    const checked = sockets.pop()
    if (!checked) callback?.(new Error('the line is closed'), undefined as unknown as Duplex)
    return checked
  }
  let opening = { dns, connect: opened.connect, tls: opened.tls }
  return {
    ok: true,
    address,
    async request(path, options = {}) {
      const timed = opening
      opening = { dns: 0, connect: 0, tls: 0 }
      return exchange(agent, new URL(path, url), address, options, timed, deadline)
    },
    close() {
      agent.destroy()
      socket.destroy()
    },
  }
}

const inflaters = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  br: promisify(brotliDecompress),
  deflate: promisify(inflate),
} as const

function exchange(
  agent: Agent,
  url: URL,
  address: string,
  options: RequestOptions,
  opening: Pick<Phases, 'dns' | 'connect' | 'tls'>,
  deadline: number,
): Promise<Reply | Failure> {
  const { method = 'GET', headers = {}, body, maxBytes = 16 * 1024 * 1024 } = options
  return new Promise((resolve) => {
    const fail = (reason: DialReason) => {
      clearTimeout(timer)
      request.destroy()
      resolve({ ok: false, reason, address })
    }
    const sent = performance.now()
    // The socket speaks TLS by itself where the URL asks for it, so HTTP is what goes over it either way.
    const request = httpRequest(
      {
        agent,
        method,
        path: url.pathname + url.search,
        headers: {
          host: url.host,
          ...headers,
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
        },
        maxHeaderSize: 16_384,
      },
      (response) => {
        const first = performance.now()
        const chunks: Uint8Array[] = []
        let size = 0
        if (Number(response.headers['content-length'] ?? 0) > maxBytes) return fail('too-large')
        response.on('data', (chunk: Uint8Array) => {
          size += chunk.length
          chunks.push(chunk)
          if (size > maxBytes) fail('too-large')
        })
        response.on('error', () => fail('reset'))
        response.on('end', async () => {
          clearTimeout(timer)
          const last = performance.now()
          const raw = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
          const plain = await decode(raw, response.headers['content-encoding'], maxBytes)
          if (typeof plain === 'string') return resolve({ ok: false, reason: plain, address })
          resolve({
            ok: true,
            url: url.href,
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: plain,
            address,
            phases: { ...opening, firstByte: first - sent, lastByte: last - first },
          })
        })
      },
    )
    const timer = setTimeout(() => fail('timeout'), Math.max(0, deadline - performance.now()))
    request.on('error', (error: NodeJS.ErrnoException) =>
      fail(error.code?.startsWith('HPE_') ? 'bad-response' : 'reset'),
    )
    request.end(body)
  })
}

async function decode(
  bytes: Uint8Array,
  encoding: string | undefined,
  maxBytes: number,
): Promise<Uint8Array | DialReason> {
  if (!encoding || encoding === 'identity') return bytes
  const inflater = inflaters[encoding as keyof typeof inflaters]
  if (!inflater) return 'bad-response'
  try {
    return await inflater(bytes, { maxOutputLength: maxBytes })
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? 'too-large' : 'bad-response'
  }
}
