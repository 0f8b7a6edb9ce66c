import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { NostrEvent } from '@understudy/protocol/event'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import type { Host } from '../../simulation/network.ts'
import type { RelayFaults } from '../../simulation/relay.ts'

/** A relay as its users see it: a WebSocket proxy that knows them by the path that they dial, and has the simulator's faults. */
export interface RelayFront {
  faults: RelayFaults
  /** The URL by which this program knows the relay. */
  urlFor(name: string): string
  close(): void
}

export interface RelayFrontOptions {
  /** URL of the genuine relay. */
  readonly relay: string
  /** False for an event that its sender only pretends to send: the lie of an attester, not of the relay. */
  says(event: NostrEvent, sender: string): boolean
}

export async function openRelayFront({ relay, says }: RelayFrontOptions): Promise<RelayFront> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const timers = new Set<NodeJS.Timeout>()
  const front: RelayFront = {
    faults: {},
    urlFor: (name) => `ws://127.0.0.1:${port}/${name}`,
    close() {
      for (const timer of timers) clearTimeout(timer)
      for (const client of server.clients) client.terminate()
      server.close()
    },
  }

  function later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer)
      act()
    }, ms)
    timers.add(timer)
  }

  server.on('connection', (near, request) => {
    const who: Host = {
      name: decodeURIComponent((request.url ?? '/').slice(1)),
      place: { latitude: 0, longitude: 0 },
    }
    const far = new WebSocket(relay)
    const early: string[] = []
    const forward = (text: string) => {
      if (far.readyState === WebSocket.OPEN) far.send(text)
      else if (far.readyState === WebSocket.CONNECTING) early.push(text)
    }
    const back = (text: string) => {
      if (near.readyState === WebSocket.OPEN) near.send(text)
    }
    for (const [end, other] of [
      [near, far],
      [far, near],
    ] as const) {
      end.on('error', () => other.terminate())
      end.on('close', () => other.terminate())
    }
    far.on('open', () => {
      for (const text of early.splice(0)) far.send(text)
    })
    near.on('message', (data: RawData) => {
      const text = data.toString()
      const event = eventIn(text, 'EVENT', 1)
      if (!event) return forward(text)
      const taken = JSON.stringify(['OK', event.id, true, ''])
      if (!says(event, who.name) || front.faults.loses?.(event, who)) return back(taken)
      const delayMs = front.faults.delayMs?.(event) ?? 0
      if (delayMs === 0) return forward(text)
      back(taken)
      later(delayMs, () => forward(text))
    })
    far.on('message', (data: RawData) => {
      const text = data.toString()
      const event = eventIn(text, 'EVENT', 2)
      if (!event) return back(text)
      if (front.faults.hides?.(event, who)) return
      const [, subscription] = JSON.parse(text) as [string, string]
      for (const sent of front.faults.sends?.(event, who) ?? [event])
        back(JSON.stringify(['EVENT', subscription, sent]))
    })
  })
  return front
}

function eventIn(text: string, type: string, at: number): NostrEvent | undefined {
  if (!text.startsWith(`["${type}"`)) return undefined
  return (JSON.parse(text) as unknown[])[at] as NostrEvent | undefined
}
