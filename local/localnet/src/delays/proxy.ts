import { connect, createServer, type Server, type Socket } from 'node:net'

interface Target {
  readonly host: string
  readonly port: number
}

export interface DelayProxyOptions {
  readonly address: string
  /** 0 for any. */
  readonly port: number
  /** Where bytes go to; asked for each connection by its peer's address where it is not the same for all. */
  readonly target: Target | ((source: string) => Target)
  /** One-way delay for a peer's address, ms. */
  readonly delayMs: (source: string) => number
}

/** Bytes under way in one direction, above which the sender is paused. */
const inFlight = 4 * 1024 * 1024

/** A TCP proxy that holds back every byte, in both directions, as long as the distance to its peer would. */
export function openDelayProxy(
  options: DelayProxyOptions,
): Promise<{ port: number; close(): Promise<void> }> {
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (peer) => {
    const source = peer.remoteAddress ?? ''
    const end = typeof options.target === 'function' ? options.target(source) : options.target
    const target = connect({ ...end, allowHalfOpen: true })
    const ms = Math.ceil(options.delayMs(source))
    for (const socket of [peer, target]) {
      open.add(socket)
      socket.setNoDelay(true)
      socket.on('close', () => open.delete(socket))
    }
    carry(peer, target, ms)
    carry(target, peer, ms)
  })
  return new Promise((settle, fail) => {
    server.once('error', fail)
    server.listen(options.port, options.address, () => {
      settle({ port: portOf(server), close: () => close(server, open) })
    })
  })
}

function carry(from: Socket, to: Socket, ms: number): void {
  let held = 0
  // Timers of equal length fire in the order in which they were set, so bytes stay in order.
  const later = (act: () => void) => (ms === 0 ? act() : setTimeout(act, ms))
  from.on('data', (chunk: Buffer) => {
    held += chunk.length
    if (held > inFlight) from.pause()
    later(() => {
      const resume = () => {
        held -= chunk.length
        if (held <= inFlight && from.isPaused()) from.resume()
      }
      if (to.destroyed) resume()
      else to.write(chunk, resume)
    })
  })
  from.on('end', () => later(() => to.end()))
  // Whoever fails takes the other with it: a dead node must look dead from afar.
  from.on('error', () => later(() => to.destroy()))
  from.on('close', (hadError) => {
    if (hadError) return
    later(() => {
      if (!to.writableEnded) to.end()
    })
  })
}

const portOf = (server: Server): number => (server.address() as { port: number }).port

function close(server: Server, open: ReadonlySet<Socket>): Promise<void> {
  for (const socket of open) socket.destroy()
  return new Promise((done) => server.close(() => done()))
}
