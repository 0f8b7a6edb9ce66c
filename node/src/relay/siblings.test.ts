import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Vantage } from '@understudy/host/vantage'
import { appId, coordinateOf } from '@understudy/protocol/app'
import { kinds } from '@understudy/protocol/kinds'
import { mirrorTemplate } from '@understudy/protocol/mirror'
import { afterEach, expect, test, vi } from 'vitest'
import { author, startRelay, testTime } from './fixture.ts'
import { announcedSiblings, createSiblings, guardedConnect } from './siblings.ts'
import { openStore } from './store.ts'
import type { SyncResult } from './sync.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const attester = await author(9)
const nodes = [await author(1), await author(2), await author(3)]
const coordinate = coordinateOf(attester.pubkey, 'site')
const app = appId(coordinate)
const silent = { info() {}, debug() {} }

async function start() {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-siblings-'))
  cleanups.push(() => rmSync(dir, { recursive: true }))
  const store = openStore(join(dir, 'relay.sqlite'))
  cleanups.push(() => store.close())
  const started = await startRelay({ store })
  cleanups.push(started.stop)
  return started
}

const announce = (node: (typeof nodes)[number], relay: string) => {
  const draft = { coordinate, name: 'n', commit: 'c0'.repeat(20), clone: 'https://git.example/x.git' }
  const place = { web: 'https://x.example', geohash: '', country: '', stx: 'SP000000000000000000002Q6VF78' }
  return node.sign(mirrorTemplate({ ...draft, ...place, relay }, testTime, testTime + 3_600))
}
const attest = (content: string) => attester.sign({ content })

test('nodes that know each other from announcements alone converge, and one that starts empty catches up', async () => {
  const relays = [await start(), await start(), await start()]
  const mirrors = new Set(nodes.map((node) => node.pubkey))
  const announcements = nodes.map((node, i) => announce(node, relays[i]!.url))
  const events = Array.from({ length: 60 }, (_, i) => attest(String(i)))
  // Each of the first two holds half of what was said; the third knows nothing but who the others are.
  for (const [i, { relay }] of relays.entries()) {
    for (const event of announcements) await relay.publish(event)
    if (i < 2) for (const event of events.slice(i * 30, i * 30 + 30)) await relay.publish(event)
  }
  for (const [i, { relay }] of relays.entries()) {
    const { pubkey } = nodes[i]!
    const find = () => announcedSiblings({ relay, app, self: pubkey, mirrors })
    expect(await find()).toHaveLength(2)
    const siblings = createSiblings({ relay, find, random: () => 0.5, log: silent, intervalMs: 50 })
    siblings.start()
    cleanups.push(siblings.stop)
  }
  await vi.waitFor(
    async () => {
      for (const { relay } of relays)
        expect(await relay.query([{ kinds: [kinds.attestation] }])).toHaveLength(60)
    },
    { timeout: 60_000, interval: 20 },
  )
})

test('a relay that a stranger announces is not visited, nor are we ourselves', async () => {
  const { relay } = await start()
  for (const node of nodes) await relay.publish(announce(node, `wss://${node.pubkey.slice(0, 8)}.example`))
  const [self, known] = [nodes[0]!.pubkey, nodes[1]!.pubkey]
  expect(await announcedSiblings({ relay, app, self, mirrors: new Set([self, known]) })).toEqual([
    `wss://${known.slice(0, 8)}.example`,
  ])
})

test('one sibling that is gone does not keep the others from being visited', async () => {
  const [a, b] = [await start(), await start()]
  await b.relay.publish(attest('x'))
  const results = new Map<string, SyncResult>()
  const gone = 'ws://127.0.0.1:1/'
  const siblings = createSiblings({
    relay: a.relay,
    find: async () => [gone, b.url],
    random: () => 0.99,
    log: silent,
    intervalMs: 50,
    onResult: (url, result) => results.set(url, result),
  })
  cleanups.push(siblings.stop)
  siblings.start()
  await vi.waitFor(() => expect(results.size).toBe(2), { timeout: 60_000, interval: 10 })
  expect(results.get(gone)!.failure).toContain('ECONNREFUSED')
  expect(results.get(b.url)).toMatchObject({ failure: undefined, received: 1 })
})

test('only addresses that the vantage admits are dialled, written out or resolved', async () => {
  const { relay, url, port } = await start()
  const [a] = [await start()]
  await relay.publish(attest('x'))
  const vantage = (admitted: string): Vantage => ({
    schemes: ['ws:'],
    resolve: async () => ['127.0.0.1'],
    admit: (address) => address === admitted,
    network: async () => 0,
  })
  const sync = (to: string, admitted: string) =>
    a.relay.syncWith(
      to,
      {},
      { declined: { has: () => false, add() {} }, connect: guardedConnect(vantage(admitted)) },
    )
  const named = `ws://sibling.example:${port}/`
  expect((await sync(url, '10.0.0.1')).failure).toContain('may not be dialled')
  expect((await sync(named, '10.0.0.1')).failure).toContain('no address that may be dialled')
  expect((await sync(url.replace('ws:', 'wss:'), '127.0.0.1')).failure).toContain('may not be dialled')
  expect(await sync(named, '127.0.0.1')).toMatchObject({ failure: undefined, received: 1 })
})
