import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { attestationTemplate, type Report } from '@understudy/protocol/attestation'
import { initNostrWasm } from 'nostr-wasm'
import { WebSocket } from 'ws'
import { startFloor } from './floor.ts'
import type { BenchResult } from './result.ts'

const program = fileURLToPath(new URL('../../node/dist/relay/main.js', import.meta.url))
const events = 12_000
/** Floor and value take turns, because the machine may not be equally busy throughout. */
const rounds = 4
const connections = 4
/** Events that a connection has unanswered at most. */
const window = 256

/** The relay as operators run it: its own process, its own database. */
async function startRelay(dir: string): Promise<{ url: string; child: ChildProcess }> {
  const env = { ...process.env, DATA_DIR: dir, HOST: '127.0.0.1', PORT: '0' }
  const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout! })) {
    const entry = JSON.parse(line) as { msg?: string; url?: string }
    if (entry.msg === 'ready' && entry.url) {
      child.stdout!.resume()
      return { url: entry.url, child }
    }
  }
  throw new Error('the relay ended before it was ready')
}

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

/**
 * Attestations verified and on disk per second, sent over WebSockets to a relay of its own. Floor: bare nostr-wasm verification of
 * the same events on one thread.
 */
export async function bench(): Promise<BenchResult> {
  const goal = 0.7
  const threads = availableParallelism()
  const wasm = await initNostrWasm()
  const secretKey = wasm.generateSecretKey()
  const report: Report = {
    mirror: 0,
    nodeKey: 'ab'.repeat(32),
    passed: 140,
    failed: 2,
    inconclusive: 1,
    reasons: { timeout: 2 },
    wrongBytes: false,
    principal: 'ST000000000000000000002AMW42H',
    address: '203.0.113.7',
    asn: 64_501,
    rttMicros: 18_250,
    geohash: 'u0yjj',
    commit: 'cd'.repeat(20),
  }
  const signed = Array.from({ length: events }, (_, mirror) => {
    const template = attestationTemplate('ef'.repeat(32), 1, { ...report, mirror }, 1_700_000_000 + mirror)
    const event = { ...template, id: '', pubkey: '', sig: '' }
    wasm.finalizeEvent(event, secretKey)
    return event
  })
  const frames = signed.map((event) => JSON.stringify(['EVENT', event]))

  const dir = await mkdtemp(join(tmpdir(), 'understudy-bench-'))
  const { url, child } = await startRelay(dir)
  const bare = await startFloor(signed, threads)
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
    }
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await ended
    await rm(dir, { recursive: true, force: true })
  }
}
