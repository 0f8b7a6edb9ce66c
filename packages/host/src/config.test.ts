import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { commonEnv, envDocs, parseEnv } from './config.ts'
import { readOrCreateKeyFile } from './key-file.ts'
import { createLog } from './log.ts'
import { runSteps } from './shutdown.ts'

const schema = z.object(commonEnv)
const good = {
  STACKS_API_URL: 'http://127.0.0.1:3999',
  DEPLOYER: 'ST3TVTE6MCZKCYFCWCK7X4NKMMM21H92FKESG9707',
  RELAYS: 'ws://127.0.0.1:1, wss://relay.example',
}

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

test('reads a good environment and fills in the rest', () => {
  const read = parseEnv(schema, { ...good, PORT: '', OTHER: 'x' })
  expect(read).toMatchObject({
    ok: true,
    value: { PORT: 0, RELAYS: ['ws://127.0.0.1:1', 'wss://relay.example'] },
  })
})

test('says what to set in one line for each bad variable', () => {
  const read = parseEnv(schema, { ...good, RELAYS: 'http://x', DEPLOYER: undefined, PORT: '70000' })
  if (read.ok) throw new Error('accepted')
  expect(read.problems).toHaveLength(3)
  expect(read.problems.join('\n')).toMatch(/DEPLOYER: is missing\. Principal/)
  expect(read.problems.join('\n')).toMatch(/RELAYS: expected ws:\/\/ or wss:\/\/ URLs/)
})

test('documents every variable, required ones uncommented', () => {
  const docs = envDocs(schema)
  for (const name of Object.keys(commonEnv)) expect(docs).toContain(`${name}=`)
  expect(docs).toMatch(/^DEPLOYER=$/m)
  expect(docs).toMatch(/^# LOG_LEVEL=info$/m)
})

test('makes a key once, for its owner only, and reads it back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'understudy-key-'))
  folders.push(folder)
  const path = join(folder, 'sub', 'node.key')
  const [first, second] = await Promise.all([readOrCreateKeyFile(path), readOrCreateKeyFile(path)])
  expect(second).toEqual(first)
  expect(await readOrCreateKeyFile(path)).toEqual(first)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect((await readFile(path, 'utf8')).trim()).toBe(Buffer.from(first).toString('hex'))
})

test('refuses a key that others may read, and a file that is no key', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'understudy-key-'))
  folders.push(folder)
  const path = join(folder, 'node.key')
  await readOrCreateKeyFile(path)
  await chmod(path, 0o644)
  await expect(readOrCreateKeyFile(path)).rejects.toThrow(/chmod 600/)
  await chmod(path, 0o600)
  await writeFile(path, 'not a key')
  await expect(readOrCreateKeyFile(path)).rejects.toThrow(/64 hex digits/)
})

test('cuts secrets out of the log', () => {
  const lines: string[] = []
  const log = createLog('test', 'info', { write: (line: string) => void lines.push(line) })
  log.info({ secretKey: 'hidden', account: { privateKey: 'hidden' }, address: 'shown' }, 'said')
  expect(lines.join()).not.toContain('hidden')
  expect(lines.join()).toContain('shown')
})

test('closes in order, and goes on past a step that fails or hangs', async () => {
  const closed: string[] = []
  const clean = await runSteps(
    createLog('test', 'silent'),
    [
      ['first', () => closed.push('first')],
      ['broken', () => Promise.reject(new Error('broken'))],
      ['hanging', () => new Promise(() => {})],
      ['last', async () => closed.push('last')],
    ],
    50,
  )
  expect(clean).toBe(false)
  expect(closed).toEqual(['first', 'last'])
})
