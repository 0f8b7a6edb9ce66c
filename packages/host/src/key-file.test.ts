import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { decodeKey, readOrCreateKeyFile } from './key-file.ts'

let dir: string
let path: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'understudy-key-'))
  path = join(dir, 'keys', 'node.key')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test('a key is made once, for its owner alone, and read again', async () => {
  const secret = await readOrCreateKeyFile(path)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readFileSync(path, 'utf8')).toBe(`${Buffer.from(secret).toString('hex')}\n`)
  expect(await readOrCreateKeyFile(path)).toEqual(secret)
})

test('two that begin at once end with one key', async () => {
  const [a, b] = await Promise.all([readOrCreateKeyFile(path), readOrCreateKeyFile(path)])
  expect(a).toEqual(b)
})

test('a key that others may read, or that is none, is refused and never shown', async () => {
  await readOrCreateKeyFile(path)
  chmodSync(path, 0o640)
  await expect(readOrCreateKeyFile(path)).rejects.toThrow(/chmod 600/)
  chmodSync(path, 0o600)
  for (const text of ['', 'abc', '0'.repeat(64), 'f'.repeat(63)]) {
    writeFileSync(path, text)
    await expect(readOrCreateKeyFile(path)).rejects.toThrow(/^[^\n]*expected a key of 64 hex digits/)
  }
})

test('with a password the file holds the key encrypted (NIP-49), and only the password opens it', async () => {
  const secret = await readOrCreateKeyFile(path, 'correct horse')
  const text = readFileSync(path, 'utf8').trim()
  expect(text).toMatch(/^ncryptsec1/)
  expect(await readOrCreateKeyFile(path, 'correct horse')).toEqual(secret)
  expect(decodeKey(text, 'NODE_KEY', 'correct horse')).toEqual(secret)
  await expect(readOrCreateKeyFile(path, 'battery')).rejects.toThrow(/password is another/)
  await expect(readOrCreateKeyFile(path)).rejects.toThrow(/give its password/)
})
