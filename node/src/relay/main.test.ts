import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { author, connect } from './fixture.ts'

// The program as operators run it, its own process: `npm run build` comes first.
const program = fileURLToPath(new URL('../../dist/relay/main.js', import.meta.url))
const alice = await author(1)
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-relay-'))
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function run(env: Record<string, string>) {
  expect(existsSync(program), 'run `npm run build` first').toBe(true)
  const child = spawn(process.execPath, [program], {
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  cleanups.push(async () => {
    child.kill('SIGKILL')
    await exited
  })
  return { child, exited, url: () => ready(child) }
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

test('SIGTERM acknowledges what was taken, and exits 0', async () => {
  const { child, exited, url } = await run({ DATA_DIR: folder() })
  const client = await connect(await url())
  client.send('EVENT', alice.sign({ created_at: 1_700_000_000 }))
  expect((await client.next('OK'))[2]).toBe(true)
  child.kill('SIGTERM')
  expect(await exited).toBe(0)
})

test('its port also answers NIP-11, health and metrics', async () => {
  const { url } = await run({ DATA_DIR: folder() })
  const base = (await url()).replace('ws:', 'http:')
  const information = await fetch(base, { headers: { accept: 'application/nostr+json' } })
  expect(information.headers.get('content-type')).toBe('application/nostr+json')
  expect(information.headers.get('access-control-allow-origin')).toBe('*')
  expect(await information.json()).toMatchObject({ supported_nips: [1, 9, 11, 40, 42, 70, 77] })
  expect((await fetch(`${base}healthz`)).status).toBe(200)
  expect(await (await fetch(`${base}metrics`)).text()).toContain('understudy_relay_connections')
  expect((await fetch(`${base}nothing`)).status).toBe(404)
})

test('a bad variable is named in one line, and it exits 2', async () => {
  const { child, exited } = await run({ DATA_DIR: folder(), PORT: 'many' })
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stderr! })) lines.push(line)
  expect(await exited).toBe(2)
  expect(lines).toEqual([expect.stringMatching(/^PORT: /)])
})
