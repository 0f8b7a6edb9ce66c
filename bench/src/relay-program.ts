import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { attestationTemplate, type Report } from '@understudy/protocol/attestation'
import type { EventTemplate } from '@understudy/protocol/event'

const program = fileURLToPath(new URL('../../node/dist/relay/main.js', import.meta.url))

/** The relay as operators run it: its own process, its own database. */
export async function startRelay(
  dir: string,
): Promise<{ url: string; child: ChildProcess; stop(): Promise<void> }> {
  const env = { ...process.env, DATA_DIR: dir, HOST: '127.0.0.1', PORT: '0' }
  const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }
  for await (const line of createInterface({ input: child.stdout! })) {
    const entry = JSON.parse(line) as { msg?: string; url?: string }
    if (entry.msg === 'ready' && entry.url) {
      child.stdout!.resume()
      return { url: entry.url, child, stop }
    }
  }
  throw new Error('the relay ended before it was ready')
}

/** Resident memory of a process, MiB. Linux only. */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024)
}

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

/** The attestation of one mirror in one epoch, as attesters say it; each another second. */
export function attestation(mirror: number, epoch = 1): EventTemplate {
  return attestationTemplate('ef'.repeat(32), epoch, { ...report, mirror }, 1_700_000_000 + mirror)
}

/** The value below which a share of all lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]! * 100) / 100
}
