import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attestationTemplate, type Report } from '@understudy/protocol/attestation'
import type { NostrEvent } from '@understudy/protocol/event'
import { openRelays, type Relays } from '@understudy/relays/relays'
import { signerOf } from '@understudy/relays/signer'
import { loadVerify } from '@understudy/relays/verify'
import { unwrapEvent } from 'nostr-tools/nip17'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Alerts, type Channel, createAlerts, directMessage, webhook } from './alerts.ts'
import { startRelay } from './relay/fixture.ts'
import type { AppRules } from './rules.ts'
import { startWatch, type WatchParts } from './watch.ts'

vi.setConfig({ testTimeout: 120_000 })

const app = 'a'.repeat(64)
const secretOf = (byte: number) => new Uint8Array(32).fill(byte)
const attesters = [1, 2, 3].map((byte) => signerOf(secretOf(byte)))
const stranger = signerOf(secretOf(4))
const nodeSecret = secretOf(5)
const nodeKey = signerOf(nodeSecret).pubkey
const operatorSecret = secretOf(6)
const patience = { timeout: 60_000, interval: 20 }

let dir: string
let relay: Awaited<ReturnType<typeof startRelay>>
let relays: Relays
let server: Server
let hookUrl: string
let posted: { headers: IncomingHttpHeaders; body: { key: string; text: string; content: string } }[]
let status: number
let stops: (() => unknown)[]

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'understudy-alerts-'))
  relay = await startRelay({ now: Date.now, admit: () => ({ ok: true }) })
  relays = openRelays([relay.url], { verify: await loadVerify() })
  posted = []
  status = 200
  stops = []
  server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    posted.push({ headers: request.headers, body: JSON.parse(text) })
    response.writeHead(status).end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  hookUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret-path`
})

afterEach(async () => {
  for (const stop of stops.reverse()) await stop()
  relays.close()
  await relay.stop()
  server.closeAllConnections()
  await new Promise((closed) => server.close(closed))
  rmSync(dir, { recursive: true, force: true })
})

const rules = {
  epoch: 7,
  quorum: 2,
  members: { attesters: new Set(attesters.map(({ pubkey }) => pubkey)) },
} as unknown as AppRules
const log = { info() {}, warn: vi.fn() }

async function start(change: Partial<WatchParts> = {}, channels?: Channel[]): Promise<Alerts> {
  const alerts = await createAlerts({
    channels: channels ?? [
      webhook(hookUrl, { app, nodeKey }),
      directMessage(nodeSecret, signerOf(operatorSecret).pubkey, relays),
    ],
    path: join(dir, 'alerts.json'),
    random: Math.random,
    log,
    retryMs: 10,
    maxRetryMs: 50,
  })
  const watch = startWatch({
    app,
    nodeKey,
    publicUrl: 'https://mirror.example',
    relays,
    rules: () => rules,
    unready: () => [],
    onAlert: (alert) => alerts.raise(alert),
    now: Date.now,
    lookMs: 10,
    ...change,
  })
  stops.push(
    () => watch.stop(),
    () => alerts.stop(),
  )
  return alerts
}

async function attest(by: typeof stranger, epoch: number, change: Partial<Report>): Promise<void> {
  const report: Report = {
    ...{ mirror: 1, nodeKey, passed: 10, failed: 0, inconclusive: 0, reasons: {}, wrongBytes: false },
    ...{ principal: '', address: '', asn: 0, rttMicros: 0, geohash: '', commit: '' },
    ...change,
  }
  const event = await by.signEvent(attestationTemplate(app, epoch, report, Math.floor(Date.now() / 1_000)))
  expect(await relays.publish(event)).toMatchObject({ ok: true })
}

/** What the operator's own client reads. */
async function messages(): Promise<string[]> {
  const wraps = await relays.query([{ kinds: [1059], '#p': [signerOf(operatorSecret).pubkey] }])
  return wraps.map((wrap: NostrEvent) => {
    const rumor = unwrapEvent(wrap as never, operatorSecret)
    expect(rumor.pubkey).toBe(nodeKey)
    return rumor.content
  })
}

test('M attesters that saw probes fail are told to the operator, over each channel once, over restarts too', async () => {
  await start()
  const timeouts = { passed: 6, failed: 4, reasons: { timeout: 4 } }
  await attest(attesters[0]!, 3, timeouts)
  await attest(stranger, 3, timeouts)
  await attest(attesters[1]!, 2, timeouts)
  await attest(attesters[2]!, 3, {})
  expect(posted).toEqual([])
  await attest(attesters[1]!, 3, timeouts)
  const text = 'https://mirror.example fails probes: in epoch 3, 2 attesters saw 8 of 20 fail (timeout 8×)'
  await vi.waitFor(() => expect(posted.map(({ body }) => body.text)).toEqual([text]), patience)
  expect(posted[0]).toMatchObject({
    headers: { 'idempotency-key': `${nodeKey}:probes:3` },
    body: { key: 'probes:3', content: text, app, nodeKey },
  })
  await vi.waitFor(async () => expect(await messages()).toEqual([text]), patience)

  for (const stop of stops.splice(0).reverse()) await stop()
  await start()
  // The relay tells the new watch of epoch 3 again before it can know of epoch 4.
  await attest(attesters[0]!, 4, { wrongBytes: true })
  await attest(attesters[1]!, 4, { wrongBytes: true })
  await vi.waitFor(
    () => expect(posted.map(({ body }) => body.key)).toEqual(['probes:3', 'probes:4']),
    patience,
  )
  expect(posted[1]!.body.text).toMatch(/wrong bytes were seen/)
  await vi.waitFor(async () => expect(await messages()).toHaveLength(2), patience)
})

test('a webhook that fails is tried again until it takes the alert, and is in no log', async () => {
  status = 503
  await start()
  for (const attester of attesters) await attest(attester, 5, { failed: 10, passed: 0 })
  await vi.waitFor(() => expect(posted.length).toBeGreaterThan(2), patience)
  status = 204
  const before = posted.length
  await vi.waitFor(() => expect(posted.length).toBeGreaterThan(before), patience)
  await vi.waitFor(async () => expect(await messages()).toHaveLength(1), patience)
  expect(new Set(posted.map(({ body }) => JSON.stringify(body))).size).toBe(1)
  expect(JSON.stringify(log.warn.mock.calls)).not.toContain('secret-path')
})

test('what was not delivered before the end is delivered by the next start, the same again', async () => {
  const composed: unknown[] = []
  let works = false
  const channel: Channel = {
    name: 'webhook',
    compose: ({ key }) => ({ key, at: Math.random() }),
    async send(message) {
      composed.push(message)
      if (!works) throw new Error('down')
    },
  }
  const alerts = await start({}, [channel])
  alerts.raise({ key: 'probes:9', text: 'nine' })
  await vi.waitFor(() => expect(composed.length).toBeGreaterThan(0), patience)
  for (const stop of stops.splice(0).reverse()) await stop()
  works = true
  const before = composed.length
  await start({}, [channel])
  await vi.waitFor(() => expect(composed.length).toBe(before + 1), patience)
  expect(new Set(composed.map((message) => JSON.stringify(message))).size).toBe(1)
})

test('a node that is not ready for long tells so once an epoch, one that recovers does not', async () => {
  let now = 1_000_000_000_000
  let reasons: string[] = ['no relay is connected']
  await start({ now: () => now, unready: () => reasons, patienceMs: 60_000 })
  now += 59_000
  reasons = []
  const looked = vi.fn(() => reasons)
  await start({ now: () => now, unready: looked, patienceMs: 60_000 })
  await vi.waitFor(() => expect(looked).toHaveBeenCalled(), patience)
  now += 59_000
  reasons = ['no release is verified yet']
  const calls = looked.mock.calls.length
  await vi.waitFor(() => expect(looked.mock.calls.length).toBeGreaterThan(calls + 1), patience)
  expect(posted).toEqual([])
  now += 61_000
  await vi.waitFor(() => expect(posted.length).toBeGreaterThan(0), patience)
  expect(posted[0]!.body).toMatchObject({ key: 'unready:7' })
  expect(posted[0]!.body.text).toMatch(/not been ready since .*: no release is verified yet/)
})
