import { type GitProcess, spawnGit } from './command.ts'

/** Takes one object as it comes. `begin` may be called again: git died half-way, and the object starts anew. */
export interface ObjectSink {
  begin(size: number, type: string): void
  /** Only valid during the call. */
  chunk(bytes: Buffer): void | Promise<void>
}

/** Reads objects of one repository through one long-lived `git cat-file --batch`. */
export interface Objects {
  /** The object's bytes. Throws when there is none, or it is larger than `maxBytes`. */
  read(oid: string): Promise<Uint8Array>
  /** Hands the object over in pieces, so that a large one need not fit in memory. Same errors. */
  pour(oid: string, sink: ObjectSink): Promise<void>
  close(): Promise<void>
}

export interface ObjectsOptions {
  /** Largest object that is read, bytes. Default 256 MiB. */
  readonly maxBytes?: number
  /** Silence after which a git that owes an answer counts as hung, ms. Default 30,000. */
  readonly timeoutMs?: number
}

interface Request {
  readonly oid: string
  readonly sink: ObjectSink
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  attempts: number
}

/** Requests written ahead of their answers: enough to keep git busy, few enough to fit any pipe. */
const pipelined = 64
/** A request that git died over this often is what kills it. */
const maxAttempts = 3

export function openObjects(dir: string, options: ObjectsOptions = {}): Objects {
  const { maxBytes = 256 * 1024 * 1024, timeoutMs = 30_000 } = options
  const waiting: Request[] = []
  /** Asked for, oldest first: git answers in order. */
  let asked: Request[] = []
  let child: GitProcess | undefined
  let closed = false

  function start(): GitProcess {
    const started = spawnGit(dir, ['cat-file', '--batch'])
    started.stdin.on('error', () => {})
    started.stderr.resume()
    started.once('error', (cause) => {
      for (const request of asked) request.attempts = maxAttempts
      fail(started, new Error('git could not be started; is it installed?', { cause }))
    })
    void answers(started).catch((error: unknown) =>
      fail(started, error instanceof Error ? error : new Error(String(error))),
    )
    return started
  }

  function pump(): void {
    if (closed || (waiting.length === 0 && asked.length === 0)) return
    child ??= start()
    while (waiting.length > 0 && asked.length < pipelined) {
      const request = waiting.shift()!
      asked.push(request)
      child.stdin.write(`${request.oid}\n`)
    }
  }

  /** What this git owed is asked of the next one. */
  function fail(dead: GitProcess, error: Error): void {
    dead.kill('SIGKILL')
    if (child !== dead) return
    child = undefined
    const owed = asked
    asked = []
    // Only the first can be to blame; the others merely stood behind it.
    if (owed[0]) owed[0].attempts++
    const given = (request: Request) => closed || request.attempts >= maxAttempts
    waiting.unshift(...owed.filter((request) => !given(request)))
    for (const request of owed.filter(given)) request.reject(error)
    pump()
  }

  /** Reads git's answers until it ends: `<oid> <type> <size>\n<bytes>\n`, or `<oid> missing\n`. */
  async function answers(from: GitProcess): Promise<void> {
    let header = Buffer.alloc(0)
    /** Bytes of the present object still to come, its closing newline included; 0 between two answers. */
    let left = 0
    let heard = Date.now()
    const watch = setInterval(() => {
      if (asked.length === 0) heard = Date.now()
      else if (Date.now() - heard > timeoutMs) from.kill('SIGKILL')
    }, timeoutMs / 4)
    watch.unref()
    try {
      for await (const data of from.stdout) {
        let chunk = data as Buffer
        while (chunk.length > 0) {
          const request = asked[0]
          if (!request) throw new Error('cat-file: an answer that nobody asked for')
          if (left === 0) {
            const end = chunk.indexOf(10)
            header = Buffer.concat([header, end < 0 ? chunk : chunk.subarray(0, end)])
            if (header.length > 1024) throw new Error('cat-file: an endless header')
            if (end < 0) break
            chunk = chunk.subarray(end + 1)
            left = begin(request, header.toString('latin1'))
            header = Buffer.alloc(0)
          } else {
            const part = chunk.subarray(0, left)
            const content = part.length === left ? part.subarray(0, -1) : part
            if (content.length > 0) await request.sink.chunk(content)
            left -= part.length
            chunk = chunk.subarray(part.length)
            if (left === 0) settle(request)
          }
        }
        heard = Date.now()
      }
      throw new Error('cat-file: git ended')
    } finally {
      clearInterval(watch)
    }
  }

  /** Reads an answer's first line; gives the bytes that follow. */
  function begin(request: Request, header: string): number {
    const found = /^([0-9a-f]{40,64}) (\w+) (\d+)$/.exec(header)
    if (!found) {
      const missing = header === `${request.oid} missing`
      settle(request, new Error(missing ? `no object ${request.oid}` : `cat-file: ${header.slice(0, 200)}`))
      return 0
    }
    if (found[1] !== request.oid) throw new Error('cat-file: another object than the one asked for')
    const size = Number(found[3])
    if (size > maxBytes) {
      settle(request, new Error(`object ${request.oid} has ${size} bytes, more than ${maxBytes}`))
      // Cheaper than reading it to its end.
      throw new Error('cat-file: skipping a large object')
    }
    request.sink.begin(size, found[2]!)
    return size + 1
  }

  function settle(request: Request, error?: Error): void {
    asked.shift()
    if (error) request.reject(error)
    else request.resolve()
    pump()
  }

  const pour = (oid: string, sink: ObjectSink) =>
    new Promise<void>((resolve, reject) => {
      if (closed) return reject(new Error('objects: closed'))
      if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(oid)) return reject(new Error('not an object id'))
      waiting.push({ oid, sink, resolve, reject, attempts: 0 })
      pump()
    })

  return {
    pour,
    async read(oid) {
      let bytes = Buffer.alloc(0)
      let at = 0
      await pour(oid, {
        begin: (size) => {
          // Not from Node's shared pool: a caller may keep it for long.
          bytes = Buffer.from(new ArrayBuffer(size))
          at = 0
        },
        chunk: (chunk) => {
          at += chunk.copy(bytes, at)
        },
      })
      return bytes
    },
    async close() {
      if (closed) return
      closed = true
      for (const request of waiting.splice(0)) request.reject(new Error('objects: closed'))
      const ending = child
      if (!ending) return
      const exit = new Promise((resolve) => ending.once('close', resolve))
      fail(ending, new Error('objects: closed'))
      await exit
    },
  }
}
