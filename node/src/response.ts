import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import type { HashedFile } from '@understudy/git/manifest'
import mime from 'mime-types'
import type { Files } from './files.ts'
import type { PreparedRelease } from './preparation.ts'

/** On every answer: a page of another origin, failing over to this one, may read it. */
export const commonHeaders = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'etag, content-length, content-range, accept-ranges',
  'cross-origin-resource-policy': 'cross-origin',
  'x-content-type-options': 'nosniff',
}

/** What of a request decides the answer. */
export interface FileRequest {
  readonly method: string
  /** As it stands in the URL, percent-encoded. */
  readonly path: string
  readonly range?: string | undefined
  readonly ifRange?: string | undefined
  readonly ifNoneMatch?: string | undefined
}

/** The file of a release that a path means: itself, the entry page for `/`, or the `index.html` of a folder. */
export function fileAt({ release, files }: PreparedRelease, path: string): HashedFile | undefined {
  if (path === '/') return files.get(release.entry)
  return files.get(path) ?? (path.endsWith('/') ? files.get(`${path}index.html`) : undefined)
}

/** Answers with a file of this one release, its own 404 page, or nothing to read. RFC 9110. */
export async function respond(
  prepared: PreparedRelease,
  request: FileRequest,
  files: Files,
): Promise<Response> {
  const path = decodePath(request.path)
  if (path === undefined) return plain(400, 'not a path')
  const file = fileAt(prepared, path)
  if (file) return respondWith(file, request, files)
  const missing = prepared.files.get('/404.html')
  if (!missing) return plain(404, 'not found')
  return send(missing, 404, request.method, files)
}

function decodePath(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}

async function respondWith(file: HashedFile, request: FileRequest, files: Files): Promise<Response> {
  const etag = etagOf(file)
  if (matches(request.ifNoneMatch, etag)) return new Response(null, { status: 304, headers: headersOf(file) })
  const wanted = request.ifRange === undefined || request.ifRange === etag ? request.range : undefined
  const range = request.method === 'GET' ? parseRange(wanted, file.size) : undefined
  if (range === 'unsatisfiable')
    return plain(416, 'range not satisfiable', { 'content-range': `bytes */${file.size}` })
  return send(file, range ? 206 : 200, request.method, files, range)
}

const etagOf = (file: HashedFile) => `"${file.sha256}"`

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

function headersOf(file: HashedFile): Record<string, string> {
  const type = mime.contentType(file.path.slice(file.path.lastIndexOf('/') + 1))
  return {
    ...commonHeaders,
    'content-type': type && file.path.includes('.') ? type : 'application/octet-stream',
    etag: etagOf(file),
    // Always asked for anew, so that a page is never put together from two releases; unchanged files cost one 304.
    'cache-control': 'public, no-cache',
    'accept-ranges': 'bytes',
  }
}

async function send(
  file: HashedFile,
  status: number,
  method: string,
  files: Files,
  range: Range = { start: 0, end: file.size - 1 },
): Promise<Response> {
  const headers: Record<string, string> = {
    ...headersOf(file),
    'content-length': String(range.end - range.start + 1),
    ...(status === 206 ? { 'content-range': `bytes ${range.start}-${range.end}/${file.size}` } : {}),
  }
  if (method === 'HEAD') return new Response(null, { status, headers })
  const content = await files.content(file)
  if ('bytes' in content)
    return new Response(content.bytes.subarray(range.start, range.end + 1), { status, headers })
  const stream = Readable.toWeb(createReadStream(content.path, { start: range.start, end: range.end }))
  return new Response(stream as ReadableStream<Uint8Array>, { status, headers })
}

function plain(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: {
      ...commonHeaders,
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      ...headers,
    },
  })
}
