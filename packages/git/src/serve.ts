import { type ChildProcess, spawn } from 'node:child_process'
import { access } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { ended, gitEnv } from './command.ts'

export interface ServeOptions {
  /** Folder whose sub-folders `<name>` or `<name>.git` are bare repositories. */
  readonly root: string
  /** Requests that run a git at once; further ones get 503. Default 8. */
  readonly maxConcurrent?: number
  /** Most bytes of one request, unpacked. Default 1 MiB: a client sends object ids, nothing else. */
  readonly maxRequestBytes?: number
  /** For one request, ms. Default 10 minutes. */
  readonly timeoutMs?: number
}

/** A read-only git host: smart HTTP (gitprotocol-http) over `git upload-pack`. */
export interface GitHost {
  /** Answers `/<name>/info/refs?service=git-upload-pack` and `/<name>/git-upload-pack`; 404, 403 or 405 to all else. */
  handle(req: IncomingMessage, res: ServerResponse): Promise<void>
  /** Ends every git that runs. */
  close(): Promise<void>
}

const service = 'git-upload-pack'

export function serveRepositories(options: ServeOptions): GitHost {
  const { maxConcurrent = 8, maxRequestBytes = 1024 * 1024, timeoutMs = 10 * 60_000 } = options
  const root = resolve(options.root)
  const running = new Map<ChildProcess, Promise<unknown>>()
  let closed = false

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = URL.parse(req.url ?? '', 'http://host')
    const found = /^\/([A-Za-z0-9][A-Za-z0-9._-]{0,99})\/(info\/refs|git-upload-pack|git-receive-pack)$/.exec(
      url?.pathname ?? '',
    )
    if (!url || !found) return say(res, 404, 'not found')
    const advertise = found[2] === 'info/refs'
    if (found[2] === 'git-receive-pack' || url.searchParams.get('service') === 'git-receive-pack')
      return say(res, 403, 'this repository is read-only')
    if (advertise && url.searchParams.get('service') !== service) return say(res, 403, 'smart HTTP only')
    if (req.method !== (advertise ? 'GET' : 'POST')) return say(res, 405, 'method not allowed')
    if (!advertise && req.headers['content-type'] !== `application/x-${service}-request`)
      return say(res, 415, `expected application/x-${service}-request`)
    const dir = await repositoryIn(root, found[1]!)
    if (!dir) return say(res, 404, 'not found')
    if (closed || running.size >= maxConcurrent) return say(res, 503, 'busy')
    await answer(req, res, dir, advertise)
  }

  async function answer(req: IncomingMessage, res: ServerResponse, dir: string, advertise: boolean) {
    const protocol = String(req.headers['git-protocol'] ?? '')
    const known = /^version=[0-2](:[\w=.-]{1,100}){0,4}$/.test(protocol)
    const flags = ['--stateless-rpc', '--strict', ...(advertise ? ['--advertise-refs'] : [])]
    const child = spawn('git', ['-c', 'safe.directory=*', 'upload-pack', ...flags, dir], {
      env: { ...gitEnv(dir), ...(known ? { GIT_PROTOCOL: protocol } : {}) },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    const end = ended(child).catch(() => null)
    running.set(child, end)
    const stop = () => child.kill('SIGTERM')
    const timer = setTimeout(stop, timeoutMs)
    res.once('close', stop)
    res.writeHead(200, {
      'content-type': `application/x-${service}-${advertise ? 'advertisement' : 'result'}`,
      'cache-control': 'no-cache',
    })
    try {
      // Version 2 has no preamble (gitprotocol-v2).
      if (advertise && !protocol.startsWith('version=2')) res.write(`001e# service=${service}\n0000`)
      await Promise.all([advertise ? child.stdin.end() : feed(req, child), pipeline(child.stdout, res), end])
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
    let size = 0
    const limited = async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        size += chunk.length
        if (size > maxRequestBytes) throw new Error('request too large')
        yield chunk
      }
    }
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

async function repositoryIn(root: string, name: string): Promise<string | undefined> {
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

function say(res: ServerResponse, status: number, text: string): void {
  res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`)
}
