import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type RawData, WebSocket, WebSocketServer } from 'ws'

/**
 * What a proxy does to a relay: nothing; closes its door; takes connections and says nothing; stops half-way; breaks off; says what is
 * not so; says everything three times. For tests.
 */
export type Fault = 'none' | 'refuse' | 'black-hole' | 'freeze' | 'reset' | 'lie' | 'duplicate'

export interface FaultProxy {
  readonly url: string
  readonly port: number
  /** Ends the connections that there are, so that the next ones suffer this. */
  set(fault: Fault): Promise<void>
  close(): Promise<void>
}

/** Bytes that pass before a connection freezes or is reset. */
const passing = 30_000

/** A TCP proxy before the relay on a port of this machine; where it has to lie or to repeat, it speaks WebSocket. */
export async function startFaultProxy(upstreamPort: number, lies: readonly string[]): Promise<FaultProxy> {
  let fault: Fault = 'none'
  const sockets = new Set<Socket>()
  const speaking = createHttpServer()
  const speaker = new WebSocketServer({ server: speaking })
  speaker.on('connection', (client) => {
    client.on('error', () => {})
    if (fault === 'lie') deceive(client)
    else repeat(client)
  })

  /** Takes every event and keeps none, knows of nothing, and tells forged and unwanted events. */
  function deceive(client: WebSocket): void {
    client.on('message', (data: RawData) => {
      const [type, id] = JSON.parse(data.toString()) as [string, string | { id: string }]
      if (type === 'EVENT') client.send(JSON.stringify(['OK', (id as { id: string }).id, true, '']))
      if (type !== 'REQ') return
      for (const lie of lies) client.send(`["EVENT",${JSON.stringify(id)},${lie}]`)
      client.send(JSON.stringify(['EOSE', id]))
    })
  }

  function repeat(client: WebSocket): void {
    const relay = new WebSocket(`ws://127.0.0.1:${upstreamPort}/`)
    const early: string[] = []
    relay.on('error', () => client.terminate())
    relay.on('open', () => {
      for (const frame of early.splice(0)) relay.send(frame)
    })
    relay.on('close', () => client.terminate())
    client.on('close', () => relay.terminate())
    client.on('message', (data: RawData) => {
      if (relay.readyState === relay.OPEN) relay.send(data.toString())
      else early.push(data.toString())
    })
    relay.on('message', (data: RawData) => {
      for (let times = 0; times < 3; times++) client.send(data.toString())
    })
  }

  function serve(socket: Socket): void {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
    if (fault === 'black-hole') return
    if (fault === 'lie' || fault === 'duplicate') {
      speaking.emit('connection', socket)
      return
    }
    const relay = connect(upstreamPort, '127.0.0.1')
    relay.on('error', () => socket.destroy())
    socket.once('close', () => relay.destroy())
    relay.once('close', () => socket.destroy())
    const mine = fault
    let passed = 0
    const pass = (from: Socket, to: Socket) =>
      from.on('data', (bytes) => {
        passed += bytes.length
        if (mine !== 'none' && passed > passing) {
          if (mine === 'reset') socket.resetAndDestroy()
          for (const end of [from, to]) end.pause()
          return
        }
        if (!to.write(bytes)) {
          from.pause()
          to.once('drain', () => from.resume())
        }
      })
    pass(socket, relay)
    pass(relay, socket)
  }

  const server = createServer(serve)
  const listen = (port: number) =>
    new Promise<void>((done, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject)
        done()
      })
    })
  async function stop(): Promise<void> {
    const closed = server.listening ? new Promise((done) => server.close(done)) : undefined
    for (const socket of sockets) socket.resetAndDestroy()
    await closed
  }
  await listen(0)
  const { port } = server.address() as AddressInfo
  return {
    url: `ws://127.0.0.1:${port}/`,
    port,
    async set(next) {
      await stop()
      fault = next
      if (fault !== 'refuse') await listen(port)
    },
    async close() {
      await stop()
      speaker.close()
    },
  }
}
