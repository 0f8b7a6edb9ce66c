import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { placesVantage } from '@understudy/host/places'
import type { NostrEvent, Verify } from '@understudy/protocol/event'
import { openRelays } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import { beforeAll, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { author, chainId, contracts, Demo, testTime } from '../fixture.ts'
import { judge } from './accept.ts'
import { filtersOf, guardedSocket, listen, mayDial } from './sources.ts'

let verify: Verify
beforeAll(async () => {
  verify = await loadVerify()
})

const vantage = placesVantage({
  places: [{ name: 'A', network: 64_501, latitude: 0, longitude: 0, addresses: ['127.0.1.1'] }],
  hosts: { 'relay.test': '127.0.1.1' },
})

it('asks for nobody but those whom the chain names', () => {
  const demo = new Demo().register()
  const filters = filtersOf(demo.chain.read().state)
  expect(filters).toHaveLength(4)
  expect(filters.flatMap((filter) => filter.authors ?? []).sort()).toEqual(
    [demo.maintainer, demo.releaser, ...demo.nodes, ...demo.attesters].map((a) => a.signer.pubkey).sort(),
  )
  expect(filtersOf({ apps: new Map() })).toEqual([])
})

it('dials a relay that a stranger names only where the vantage admits its address', async () => {
  for (const url of [
    'ws://127.0.0.1:1',
    'ws://10.0.0.1',
    'http://relay.test',
    'file:///etc/passwd',
    'nonsense',
  ])
    expect(mayDial(url, vantage), url).toBe(false)
  expect(mayDial('ws://127.0.1.1:80', vantage)).toBe(true)
  const Socket = guardedSocket(vantage, ['ws://127.0.0.1:9/'])
  expect(() => new Socket('ws://127.0.0.1:1/')).toThrow('may not be dialled')
  const unknown = new Socket('ws://elsewhere.test:1/')
  const message = await new Promise((resolve) => {
    unknown.onerror = (event: { message: string }) => resolve(event.message)
  })
  expect(message).toContain('no address that may be dialled')
})

it('takes nothing from a relay that lies, and asks anew when the chain names one more', async () => {
  const demo = new Demo().register()
  const stranger = author(99)
  const genuine = await demo.repository()
  const answers: unknown[] = [
    { ...genuine, content: 'changed' },
    { ...genuine, id: 'x' },
    await stranger.signer.signEvent({ kind: 4617, created_at: testTime, tags: [], content: '{}' }),
    'not an event',
    genuine,
    genuine,
  ]
  let asked = 0
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (socket) => {
    socket.on('message', (data) => {
      const [type, id, filter] = JSON.parse(String(data)) as [string, string, { kinds?: number[] }]
      if (type !== 'REQ') return
      if (filter.kinds?.includes(30617)) {
        asked++
        for (const answer of answers) socket.send(JSON.stringify(['EVENT', id, answer]))
      }
      socket.send('{"garbage')
      socket.send(JSON.stringify(['EOSE', id]))
    })
  })
  await once(server, 'listening')
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const relays = openRelays([url], { verify, WebSocket: guardedSocket(vantage, [url]) })
  const heard: NostrEvent[] = []
  const home = { chainId, pool: contracts.pool }
  const listener = listen(relays, (event) => {
    const judged = judge(event, { home, chain: demo.chain.read().state, now: testTime, verify })
    if (judged.ok) heard.push(judged.event)
  })
  try {
    listener.follow(demo.chain.read().state)
    await expect.poll(() => heard.map((event) => event.id)).toEqual([genuine.id])
    listener.follow(demo.chain.read().state)
    const grown = new Map(demo.chain.read().state.apps)
    grown.set('f'.repeat(64), { ...grown.get(demo.app)!, id: 'f'.repeat(64) })
    listener.follow({ apps: grown })
    await expect.poll(() => asked).toBe(2)
  } finally {
    listener.close()
    relays.close()
    for (const socket of server.clients) socket.terminate()
    server.close()
  }
})
