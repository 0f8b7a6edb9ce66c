import { createReadStream } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import mime from 'mime-types'
import type { Content, Files, StoredFile } from './files.ts'
import { pinOf, releaseHeader } from './pin.ts'
import type { PreparedRelease } from './preparation.ts'

/** On every answer: a page of another origin, failing over to this one, may read it. */
export const commonHeaders = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': `etag, content-length, content-range, accept-ranges, ${releaseHeader}`,
  'cross-origin-resource-policy': 'cross-origin',
  'x-content-type-options': 'nosniff',
}

/** A file up to here is written in one piece with its headers, which `node:http` does with strings alone, bytes. */
const maxTextBytes = 16 * 1024
/** Forgotten with the bytes. */
const texts = new WeakMap<Uint8Array, string>()

function textOf(bytes: Uint8Array<ArrayBuffer>): string {
  const before = texts.get(bytes)
  if (before !== undefined) return before
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  texts.set(bytes, text)
  return text
}

/** Bytes read at once of a file that is too large for memory. */
const pieceBytes = 1024 * 1024

/** Answers requests with the files of one release. */
export interface Serve {
  /** Answers GET and HEAD with a file of this one release (RFC 9110); false, and nothing said, when it has no such file. */
  (request: IncomingMessage, response: ServerResponse, release: PreparedRelease): boolean
  /** Answers that there is no such file, with the release's own page for it if it has one. */
  missing(request: IncomingMessage, response: ServerResponse, release: PreparedRelease): void
}

export function createServe(files: Files, onError: (error: Error) => void): Serve {
  const serve: Serve = (request, response, release) => {
    const path = pathOf(request.url!)
    if (path === undefined) {
      say(response, 400, 'not a path')
      return true
    }
    const file = fileAt(release, path)
    if (!file) return false
    const { headers } = request
    const ready = readyOf(file, release)
    const { etag } = ready
    const cookie = pinOf(request, release.release.manifest)
    const pin = cookie ? ['set-cookie', cookie] : none
    if (headers['if-none-match'] !== undefined && matches(headers['if-none-match'], etag)) {
      response.writeHead(304, [...ready.head, ...pin]).end()
      return true
    }
    const wanted = headers.range
    const range =
      wanted !== undefined &&
      request.method === 'GET' &&
      (headers['if-range'] === undefined || headers['if-range'] === etag)
        ? parseRange(wanted, file.size)
        : undefined
    if (range === 'unsatisfiable')
      say(response, 416, 'range not satisfiable', ['content-range', `bytes */${file.size}`])
    else send(request, response, range ? 206 : 200, ready, pin, range)
    return true
  }

  serve.missing = (request, response, release) => {
    const page = release.files.get('/404.html')
    if (page) send(request, response, 404, readyOf(page, release), none)
    else say(response, 404, 'not found')
  }

  function send(
    request: IncomingMessage,
    response: ServerResponse,
    status: number,
    ready: Ready,
    pin: readonly string[],
    range?: Range,
  ): void {
    const { file } = ready
    const begin = () => {
      if (!range) return response.writeHead(status, pin === none ? ready.whole : [...ready.whole, ...pin])
      const length = String(range.end - range.start + 1)
      const part = [
        'content-length',
        length,
        'content-range',
        `bytes ${range.start}-${range.end}/${file.size}`,
      ]
      return response.writeHead(status, [...ready.head, ...part, ...pin])
    }
    if (request.method === 'HEAD') {
      begin().end()
      return
    }
    const bytes = files.held(file)
    if (bytes && !range && bytes.length <= maxTextBytes) begin().end(textOf(bytes), 'latin1')
    else if (bytes) begin().end(range ? bytes.subarray(range.start, range.end + 1) : bytes)
    else
      files
        .content(file)
        .then((content) => finish(begin, response, content, range))
        .catch((error: Error) => {
          // A client that went away is none of our faults.
          if (response.destroyed) return
          onError(error)
          if (response.headersSent) response.destroy()
          else failed(response)
        })
  }

  return serve
}

async function finish(
  begin: () => ServerResponse,
  response: ServerResponse,
  content: Content,
  range?: Range,
) {
  if (response.destroyed) return
  if ('bytes' in content) {
    begin().end(range ? content.bytes.subarray(range.start, range.end + 1) : content.bytes)
    return
  }
  const stream = createReadStream(content.path, { ...range, highWaterMark: pieceBytes })
  stream.once('open', begin)
  await pipeline(stream, response)
}

/** Where a request's URL points: decoded, without its query; `undefined` when it is no path. */
export function pathOf(url: string): string | undefined {
  const query = url.indexOf('?')
  const path = query < 0 ? url : url.slice(0, query)
  if (!path.startsWith('/')) return undefined
  if (!path.includes('%')) return path
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}

/** The file of a release that a path means: itself, the entry page for `/`, or the `index.html` of a folder. */
export function fileAt({ release, files }: PreparedRelease, path: string): StoredFile | undefined {
  if (path === '/') return files.get(release.entry)
  return files.get(path) ?? (path.endsWith('/') ? files.get(`${path}index.html`) : undefined)
}

/** `If-None-Match`: a list of tags, weak comparison. */
export function matches(header: string | undefined, etag: string): boolean {
  if (!header) return false
  return header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}

/** First and last byte. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** A single byte range; anything else than one is no range, and the whole file the answer (RFC 9110, 14.2). */
export function parseRange(header: string | undefined, size: number): Range | 'unsatisfiable' | undefined {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '')
  if (!found || (found[1] === '' && found[2] === '')) return undefined
  const [, first, last] = found
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 }
  }
  const start = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'unsatisfiable' : { start, end }
}

const none: readonly string[] = []
const common = Object.entries(commonHeaders).flat()

/** What every answer with a file needs, made once. Headers are names and values in turn, as `writeHead` takes them fastest. */
interface Ready {
  readonly file: StoredFile
  readonly etag: string
  readonly head: readonly string[]
  /** The same with the length of the whole file. */
  readonly whole: string[]
}

/** A file object belongs to one release. */
const readies = new WeakMap<StoredFile, Ready>()

function readyOf(file: StoredFile, { release }: PreparedRelease): Ready {
  const before = readies.get(file)
  if (before) return before
  const type = mime.contentType(file.path.slice(file.path.lastIndexOf('/') + 1))
  const etag = `"${file.sha256}"`
  const head = [
    ...common,
    ...['content-type', type && file.path.includes('.') ? type : 'application/octet-stream'],
    ...['etag', etag],
    // Always asked for anew, so that a page is never put together from two releases; unchanged files cost one 304.
    ...['cache-control', 'public, no-cache'],
    ...['accept-ranges', 'bytes'],
    ...[releaseHeader, release.manifest],
  ]
  const ready = { file, etag, head, whole: [...head, 'content-length', String(file.size)] }
  readies.set(file, ready)
  return ready
}

/** A short answer of the node's own. */
export function say(
  response: ServerResponse,
  status: number,
  text: string,
  headers: readonly string[] = [],
): void {
  const body = `${text}\n`
  const about = ['content-type', 'text/plain; charset=utf-8', 'cache-control', 'no-store']
  response
    .writeHead(status, [...common, ...about, 'content-length', String(Buffer.byteLength(body)), ...headers])
    .end(body)
}

/** The error that says nothing of our insides. */
export function failed(response: ServerResponse): void {
  const body = JSON.stringify({ error: { code: 'internal', message: 'this node failed to answer' } })
  const about = ['content-type', 'application/json', 'cache-control', 'no-store']
  response.writeHead(500, [...common, ...about, 'content-length', String(body.length)]).end(body)
}
