import { type ChildProcess, spawn } from 'node:child_process'
import { access } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, setPriority } from 'node:os'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { ended, gitEnv, unlessEnded } from './command.ts'

export interface GitHostOptions {
  /** The bare repository behind a URL path (percent-encoded as it came, no `/` at its ends); undefined when there is none. */
  find(path: string): Promise<string | undefined>
  /** False answers 429. Asked once for each request that would run a git. */
  admit?(req: IncomingMessage): boolean
  /** Requests that run a git at once; further ones get 503. Default 8. */
  readonly maxConcurrent?: number
  /** Most bytes of one answer; a longer one is cut off. Default 4 GiB. */
  readonly maxResponseBytes?: number
  /** Most bytes of one request, unpacked. Default 1 MiB: a client sends object ids, nothing else. */
  readonly maxRequestBytes?: number
  /** For one request, ms. Default 10 minutes. */
  readonly timeoutMs?: number
}

/** A read-only git host: smart HTTP (gitprotocol-http) over `git upload-pack`. */
export interface GitHost {
  /** Answers `/<path>/info/refs?service=git-upload-pack` and `/<path>/git-upload-pack`; 404, 403 or 405 to all else. */
  handle(req: IncomingMessage, res: ServerResponse): Promise<void>
  /** Ends every git that runs. */
  close(): Promise<void>
}

const service = 'git-upload-pack'

/** What a browser is told, so that git clients that live in pages may read (GRASP-01). */
const cors = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST',
  'access-control-allow-headers': 'content-type, git-protocol',
}
/**
 * A commit may be asked for by its name when a ref leads to it (GRASP-01). One thread per answer, and packs go out as they lie there: no
 * stranger makes us search for better deltas.
 */
const settings = [
  'safe.directory=*',
  'uploadpack.allowTipSHA1InWant=true',
  'uploadpack.allowReachableSHA1InWant=true',
  'pack.threads=1',
  'pack.window=0',
  'pack.windowMemory=64m',
].flatMap((setting) => ['-c', setting])

/** The sub-folders `<name>` or `<name>.git` of a folder, each a bare repository. */
export function serveRepositories(
  options: Omit<GitHostOptions, 'find'> & { readonly root: string },
): GitHost {
  const root = resolve(options.root)
  return createGitHost({ ...options, find: (path) => repositoryIn(root, path) })
}

export function createGitHost(options: GitHostOptions): GitHost {
  const { find, admit = () => true, maxConcurrent = 8, timeoutMs = 10 * 60_000 } = options
  const { maxRequestBytes = 1024 * 1024, maxResponseBytes = 4 * 1024 ** 3 } = options
  const running = new Map<ChildProcess, Promise<unknown>>()
  let closed = false

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = URL.parse(req.url ?? '', 'http://host')
    const found = /^\/(.{1,300})\/(info\/refs|git-upload-pack|git-receive-pack)$/.exec(url?.pathname ?? '')
    if (!url || !found) return say(res, 404, 'not found')
    if (req.method === 'OPTIONS') return say(res, 204)
    const advertise = found[2] === 'info/refs'
    if (found[2] === 'git-receive-pack' || url.searchParams.get('service') === 'git-receive-pack')
      return say(res, 403, 'this repository is read-only')
    if (advertise && url.searchParams.get('service') !== service) return say(res, 403, 'smart HTTP only')
    if (req.method !== (advertise ? 'GET' : 'POST')) return say(res, 405, 'method not allowed')
    if (!advertise && req.headers['content-type'] !== `application/x-${service}-request`)
      return say(res, 415, `expected application/x-${service}-request`)
    const dir = await find(found[1]!)
    if (!dir) return say(res, 404, 'not found')
    if (!admit(req)) return say(res, 429, 'too many requests')
    if (closed || running.size >= maxConcurrent) return say(res, 503, 'busy')
    if (!res.destroyed) await answer(req, res, dir, advertise)
  }

  async function answer(req: IncomingMessage, res: ServerResponse, dir: string, advertise: boolean) {
    const protocol = String(req.headers['git-protocol'] ?? '')
    const known = /^version=[0-2](:[\w=.-]{1,100}){0,4}$/.test(protocol)
    const flags = ['--stateless-rpc', '--strict', ...(advertise ? ['--advertise-refs'] : [])]
    const child = spawn('git', [...settings, 'upload-pack', ...flags, dir], {
      env: { ...gitEnv(dir), ...(known ? { GIT_PROTOCOL: protocol } : {}) },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    // Visitors and challenges come first. It may have ended already.
    if (child.pid) unlessEnded(() => setPriority(child.pid!, constants.priority.PRIORITY_LOW))
    const end = ended(child).catch(() => null)
    running.set(child, end)
    // git ends its pack-objects with itself.
    const stop = () => child.kill('SIGTERM')
    const timer = setTimeout(stop, timeoutMs)
    res.once('close', stop)
    res.writeHead(200, {
      'content-type': `application/x-${service}-${advertise ? 'advertisement' : 'result'}`,
      'cache-control': 'no-cache',
      ...cors,
    })
    const out = bounded(maxResponseBytes)
    try {
      // Version 2 has no preamble (gitprotocol-v2).
      if (advertise && !protocol.startsWith('version=2')) res.write(`001e# service=${service}\n0000`)
      const sent = pipeline(child.stdout, out, res, { end: false })
      await Promise.all([advertise ? child.stdin.end() : feed(req, child), sent])
      if ((await end) !== 0) throw new Error('git failed')
      res.end()
    } catch {
      // The client went away, sent too much, or git failed: what was sent is no complete answer, and must not look like one.
      res.destroy()
    } finally {
      clearTimeout(timer)
      stop()
      await end
      running.delete(child)
    }
  }

  async function feed(req: IncomingMessage, child: ChildProcess): Promise<void> {
    const limited = bounded(maxRequestBytes)
    try {
      if (req.headers['content-encoding'] === 'gzip')
        await pipeline(req, createGunzip(), limited, child.stdin!)
      else await pipeline(req, limited, child.stdin!)
    } catch (error) {
      // git may answer, and close its input, before it has read all.
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
    }
  }

  return {
    handle,
    async close() {
      closed = true
      for (const child of running.keys()) child.kill('SIGTERM')
      await Promise.all(running.values())
    },
  }
}

/** Passes on so many bytes, and breaks the stream at the next. */
function bounded(most: number) {
  return async function* (chunks: AsyncIterable<Buffer>) {
    let size = 0
    for await (const chunk of chunks) {
      size += chunk.length
      if (size > most) throw new Error(`longer than ${most} bytes`)
      yield chunk
    }
  }
}

async function repositoryIn(root: string, name: string): Promise<string | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name)) return undefined
  const candidates = name.endsWith('.git') ? [name, name.slice(0, -4)] : [name, `${name}.git`]
  for (const candidate of candidates) {
    const dir = join(root, candidate)
    const bare = await access(join(dir, 'HEAD')).then(
      () =>
        access(join(dir, 'objects')).then(
          () => true,
          () => false,
        ),
      () => false,
    )
    if (bare && candidate !== '' && candidate !== '.') return dir
  }
  return undefined
}

function say(res: ServerResponse, status: number, text?: string): void {
  if (text === undefined) return void res.writeHead(status, cors).end()
  res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...cors }).end(`${text}\n`)
}
