import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { NostrEvent } from '@understudy/protocol/event'
import Database from 'libsql'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { author, connect } from './fixture.ts'

// KILLS=200 for the long run. The program as operators run it, its own process: `npm run build` comes first.
const kills = Number(process.env.KILLS ?? 20)
const program = fileURLToPath(new URL('../../dist/relay/main.js', import.meta.url))
const alice = await author(1)
/** Events that a round sends, more than are waited for before the kill. */
const perRound = 80
const timeout = 60_000 + kills * 10_000

const cleanups: (() => unknown)[] = []
const cleanUp = async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
}
afterEach(cleanUp)
afterAll(cleanUp)

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-crash-'))
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

let serial = 0
const sign = (n: number): NostrEvent[] =>
  Array.from({ length: n }, () => alice.sign({ created_at: 1_700_000_000 + serial++ }))

async function run(dir: string, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program], {
    env: {
      PATH: process.env.PATH,
      DATA_DIR: dir,
      HOST: '127.0.0.1',
      PORT: '0',
      VERIFY_THREADS: '1',
      EVENTS_PER_SECOND: '100000',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const kill = async () => {
    child.kill('SIGKILL')
    await exited
  }
  cleanups.push(kill)
  const client = await connect(await ready(child))
  return { url: client.ws.url, client, kill }
}

async function ready(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) {
    const { msg, url } = JSON.parse(line) as { msg?: string; url?: string }
    if (msg === 'ready') {
      child.stdout!.resume()
      return url!
    }
  }
  throw new Error('ended before it was ready')
}

type Client = Awaited<ReturnType<typeof connect>>

/** Calls `hear` with the id of every event that is acknowledged, and of every one that a subscriber is told of. */
function listen(client: Client, hear: (id: string) => void) {
  // Before the fixture looks whether what it waits for has come.
  client.ws.prependListener('message', (data) => {
    const [type, second, third] = JSON.parse(data.toString()) as [string, string, unknown]
    if (type === 'OK' && third === true) hear(second)
    if (type === 'EVENT') hear((third as NostrEvent).id)
  })
}

/** The ids in the store that a relay has open, which must be sound by SQLite's own account. */
function idsIn(dir: string): Set<string> {
  const db = new Database(join(dir, 'relay.sqlite'), { readonly: true })
  try {
    expect(db.prepare('PRAGMA integrity_check').get()).toMatchObject({ integrity_check: 'ok' })
    return new Set((db.prepare('SELECT id FROM event').all() as { id: string }[]).map(({ id }) => id))
  } finally {
    db.close()
  }
}

function missing(dir: string, promised: ReadonlySet<string>): string[] {
  const ids = idsIn(dir)
  return [...promised].filter((id) => !ids.has(id))
}

/** Writes and listens until so many events were acknowledged or told; kills the relay at once. */
async function writeUntilKilled({ client, kill }: Awaited<ReturnType<typeof run>>, enough: number) {
  const promised = new Set<string>()
  const killed = new Promise<void>((resolve) => {
    listen(client, (id) => {
      promised.add(id)
      if (promised.size === enough) resolve(kill())
    })
  })
  client.send('REQ', 'live', { kinds: [4617], limit: 0 })
  for (const event of sign(perRound)) client.send('EVENT', event)
  await killed
  client.close()
  return promised
}

test(
  'kill -9 in the middle of ingest, again and again, loses no acknowledged event, and the store opens clean',
  async () => {
    const dir = folder()
    const promised = new Set<string>()
    for (let round = 0; round < kills / 2; round++) {
      const relay = await run(dir)
      expect(missing(dir, promised)).toEqual([])
      // Another moment each time: in the first batch, between two, at the end.
      for (const id of await writeUntilKilled(relay, 1 + ((round * 37) % (perRound - 10)))) promised.add(id)
    }
    await run(dir)
    expect(missing(dir, promised)).toEqual([])
    expect(promised.size).toBeGreaterThan(kills)
  },
  timeout,
)

test(
  'kill -9 while siblings converge loses nothing that was acknowledged or told, and in the end both hold everything',
  async () => {
    const [dir, far] = [folder(), folder()]
    const sibling = await run(far)
    const shared = new Set<string>()
    const promised = new Set<string>()
    listen(sibling.client, (id) => shared.add(id))
    for (let round = 1; round <= kills / 2; round++) {
      for (const event of sign(perRound)) sibling.client.send('EVENT', event)
      await sibling.client.until(() => shared.size === round * perRound, 30_000)
      const relay = await run(dir, { SYNC_WITH: sibling.url })
      expect(missing(dir, promised)).toEqual([])
      for (const id of await writeUntilKilled(relay, 1 + ((round * 53) % (2 * perRound - 50))))
        promised.add(id)
    }
    await run(dir, { SYNC_WITH: sibling.url })
    for (const id of promised) shared.add(id)
    await vi.waitFor(() => expect([...missing(dir, shared), ...missing(far, shared)]).toEqual([]), {
      timeout: 60_000,
      interval: 250,
    })
  },
  timeout,
)
