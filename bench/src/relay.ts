import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '@understudy/node/relay/store'
import { epochTag } from '@understudy/protocol/attestation'
import { initNostrWasm } from 'nostr-wasm'
import { WebSocket } from 'ws'
import { startFloor } from './floor.ts'
import { attestation, quantile, startRelay } from './relay-program.ts'
import type { BenchResult } from './result.ts'

const events = 12_000
/** Floor and value take turns, because the machine may not be equally busy throughout. */
const rounds = 6
const connections = 4
/** Events that a connection has unanswered at most. */
const window = 256
const stored = 100_000
const questions = 500
const subscribers = 1_000
const fanouts = 20

/** Sends the frames, never more than a window ahead; resolves when each is acknowledged. */
function ingest(url: string, frames: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, { perMessageDeflate: false })
    let sent = 0
    let acknowledged = 0
    const fill = () => {
      while (sent < frames.length && sent - acknowledged < window) ws.send(frames[sent++]!)
    }
    ws.on('open', fill)
    ws.on('error', reject)
    ws.on('message', (data: Buffer) => {
      // `["OK","<64 hex>",true,`
      if (data[73] !== 0x74) return reject(new Error(`refused: ${data.toString()}`))
      if (++acknowledged === frames.length) {
        ws.close()
        resolve()
      } else if (sent - acknowledged < window / 2) fill()
    })
  })
}

async function open(url: string): Promise<WebSocket> {
  const ws = new WebSocket(url)
  await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject))
  return ws
}

/** Resolves with the first message that begins so. */
function heard(ws: WebSocket, start: string): Promise<void> {
  return new Promise((resolve) => {
    const listen = (data: Buffer) => {
      if (!data.subarray(0, start.length).equals(Buffer.from(start))) return
      ws.off('message', listen)
      resolve()
    }
    ws.on('message', listen)
  })
}

/** ms until a question about one mirror, or one epoch, is answered, with 100,000 events stored. */
async function measureQuestions(dir: string): Promise<number[]> {
  const store = openStore(join(dir, 'relay.sqlite'))
  for (let from = 0; from < stored; from += 1_000) {
    const batch = Array.from({ length: 1_000 }, (_, i) => {
      const n = from + i
      const id = createHash('sha256').update(String(n)).digest('hex')
      const pubkey = createHash('sha256')
        .update(String(n % 50))
        .digest('hex')
      const event = { ...attestation(n, n % 200), id, pubkey, sig: '0'.repeat(128) }
      return { event, json: JSON.stringify(event) }
    })
    store.insert(batch)
  }
  store.close()
  const { url, stop } = await startRelay(dir)
  try {
    const ws = await open(url)
    const times: number[] = []
    for (let i = 0; i < questions; i++) {
      const filter = { kinds: [4617], '#d': [epochTag('ef'.repeat(32), i % 200)], limit: 100 }
      const start = performance.now()
      const answered = heard(ws, '["EOSE"')
      ws.send(JSON.stringify(['REQ', 'q', filter]))
      await answered
      times.push(performance.now() - start)
      // The relay's allowance is 20 a second after the first 400.
      if (i >= 300) await new Promise((resolve) => setTimeout(resolve, 50))
    }
    ws.close()
    return times
  } finally {
    await stop()
  }
}

/** ms from sending an event until each of 1,000 subscribers has it. */
async function measureFanout(url: string, frames: readonly string[]): Promise<number[]> {
  const readers = await Promise.all(
    Array.from({ length: subscribers }, async () => {
      const ws = await open(url)
      const ready = heard(ws, '["EOSE"')
      ws.send(JSON.stringify(['REQ', 's', { kinds: [4617], limit: 0 }]))
      await ready
      return ws
    }),
  )
  const writer = await open(url)
  const times: number[] = []
  for (const frame of frames) {
    const start = performance.now()
    const all = Promise.all(readers.map((ws) => heard(ws, '["EVENT"')))
    writer.send(frame)
    await all
    times.push(performance.now() - start)
  }
  for (const ws of [...readers, writer]) ws.close()
  return times
}

/**
 * Attestations verified and on disk per second, sent over WebSockets to a relay of its own. Floor: bare nostr-wasm verification of
 * the same events on the same number of threads.
 */
export async function bench(): Promise<BenchResult> {
  const goal = 0.7
  const threads = availableParallelism()
  const wasm = await initNostrWasm()
  const secretKey = wasm.generateSecretKey()
  const signed = Array.from({ length: events + fanouts }, (_, mirror) => {
    const event = { ...attestation(mirror), id: '', pubkey: '', sig: '' }
    wasm.finalizeEvent(event, secretKey)
    return event
  })
  const frames = signed.map((event) => JSON.stringify(['EVENT', event]))

  const dir = await mkdtemp(join(tmpdir(), 'understudy-bench-'))
  const { url, stop } = await startRelay(dir)
  const bare = await startFloor(signed.slice(0, events), threads)
  try {
    let floorMs = 0
    let valueMs = 0
    const share = events / rounds / connections
    for (let round = 0; round < rounds; round++) {
      const first = round * share * connections
      floorMs += await bare.verify(round / rounds, (round + 1) / rounds)
      const start = performance.now()
      const shares = Array.from({ length: connections }, (_, i) => first + i * share)
      await Promise.all(shares.map((from) => ingest(url, frames.slice(from, from + share))))
      valueMs += performance.now() - start
    }
    const fanoutMs = await measureFanout(url, frames.slice(events))
    await stop()
    const full = join(dir, 'full')
    await mkdir(full)
    const reqMs = await measureQuestions(full)
    const floor = (events * 1000) / floorMs
    const value = (events * 1000) / valueMs
    const ratio = value / floor
    return {
      bench: 'relay',
      value,
      unit: 'events/s',
      floor,
      ratio,
      goal,
      met: ratio >= goal,
      events,
      threads,
      stored,
      reqP50Ms: quantile(reqMs, 0.5),
      reqP95Ms: quantile(reqMs, 0.95),
      subscribers,
      fanoutP50Ms: quantile(fanoutMs, 0.5),
      fanoutP95Ms: quantile(fanoutMs, 0.95),
    }
  } finally {
    await bare.close()
    await stop()
    await rm(dir, { recursive: true, force: true })
  }
}
