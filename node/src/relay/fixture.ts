import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { EventTemplate, NostrEvent } from '@understudy/protocol/event'
import { loadSigner } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { WebSocket } from 'ws'
import { createRelay, type RelayParts } from './relay.ts'
import { understudyScope } from './scope.ts'
import { openStore } from './store.ts'

/** Seconds since 1970 at which the tests' relays think they live. */
export const testTime = 1_800_000_000

/** A relay on a port of its own, over real HTTP and WebSockets. For tests. */
export async function startRelay(options: Partial<RelayParts> & { port?: number } = {}) {
  const { port = 0, store = openStore(':memory:'), ...parts } = options
  const relay = createRelay({
    store,
    verify: await loadVerify(),
    admit: understudyScope,
    now: () => testTime * 1000,
    log: { debug() {}, error() {} },
    ...parts,
  })
  const server = createServer((_req, res) => res.end())
  relay.attach(server)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const bound = (server.address() as AddressInfo).port
  return {
    relay,
    store,
    port: bound,
    url: `ws://127.0.0.1:${bound}/`,
    /** Closes the door; the store stays open, so that a relay can be started over it again. */
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve))
      await relay.close()
      await closed
    },
  }
}

/** An author whose secret key is 32 times this byte. */
export async function author(byte: number) {
  const signer = await loadSigner(new Uint8Array(32).fill(byte))
  return {
    pubkey: signer.pubkey,
    sign: (template: Partial<EventTemplate>) =>
      signer.signEvent({
        kind: 4617,
        created_at: testTime,
        tags: [],
        content: '',
        ...template,
      }) as NostrEvent,
  }
}

type Frame = readonly [string, ...unknown[]]

/** A WebSocket that keeps what it hears. */
export async function connect(url: string) {
  const ws = new WebSocket(url)
  const frames: Frame[] = []
  const waiting = new Set<() => void>()
  let closed: { code: number } | undefined
  const wake = () => {
    for (const look of waiting) look()
  }
  ws.on('message', (data) => {
    frames.push(JSON.parse(data.toString()) as Frame)
    wake()
  })
  ws.on('close', (code) => {
    closed = { code }
    wake()
  })
  ws.on('error', () => {})
  await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject))

  /** Resolves with what `look` finds as soon as it finds something. */
  function until<T>(look: () => T | undefined | false, ms = 10_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        waiting.delete(attempt)
        reject(new Error(`not within ${ms} ms; heard ${JSON.stringify(frames).slice(0, 500)}`))
      }, ms)
      function attempt(): void {
        const found = look()
        if (!found) return
        clearTimeout(deadline)
        waiting.delete(attempt)
        resolve(found)
      }
      waiting.add(attempt)
      attempt()
    })
  }

  return {
    ws,
    frames,
    until,
    send: (...frame: Frame) => ws.send(JSON.stringify(frame)),
    /** Sends raw text. */
    say: (text: string) => ws.send(text),
    /** The next frame of that type that was not asked for before. */
    async next(type: string): Promise<Frame> {
      return until(() => {
        const at = frames.findIndex((frame) => frame[0] === type)
        return at >= 0 && frames.splice(at, 1)[0]
      })
    },
    closed: () => until(() => closed),
    close: () => ws.terminate(),
  }
}
