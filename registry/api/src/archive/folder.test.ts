import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Demo } from '../fixture.ts'
import { type Archive, decodeRecords, encodeRecords } from './archive.ts'
import { openFolderArchive } from './folder.ts'

let dir: string
let archive: Archive
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'understudy-archive-'))
  archive = await openFolderArchive(dir)
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const bytes = (text: string) => new TextEncoder().encode(text)

it('keeps a blob under the sha256 of its bytes, once', async () => {
  const address = await archive.put(bytes('abc'))
  expect(address).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  expect(await archive.put(bytes('abc'))).toBe(address)
  expect(await archive.get(address)).toEqual(Buffer.from('abc'))
  expect(await readdir(join(dir, 'ba'))).toEqual([`${address}.jsonl`])
})

it('lists what is complete, and nothing that a crash left half written', async () => {
  const address = await archive.put(bytes('xyz'))
  await writeFile(join(dir, address.slice(0, 2), 'half.draft'), 'x')
  await writeFile(join(dir, 'notes.txt'), 'x')
  const listed: string[] = []
  for await (const found of (await openFolderArchive(dir)).list()) listed.push(found)
  expect(listed).toContain(address)
  expect(listed.every((found) => /^[0-9a-f]{64}$/.test(found))).toBe(true)
})

it('refuses a blob that was changed on disk, and an address that is none', async () => {
  const address = await archive.put(bytes('honest'))
  await writeFile(join(dir, address.slice(0, 2), `${address}.jsonl`), 'forged')
  await expect(archive.get(address)).rejects.toThrow('was changed on disk')
  await expect(archive.get('../../etc/passwd')).rejects.toThrow('not an address')
})

it('reads back the records that were written, and says which lines are none', async () => {
  const demo = new Demo().register()
  const event = await demo.repository()
  const [print] = demo.chain.entries()
  const blob = Buffer.concat([
    encodeRecords([{ event }, { print: print! }]),
    bytes('{"event":{"id":"x"}}\n{\n'),
  ])
  expect(decodeRecords(blob)).toEqual([
    { ok: true, value: { event } },
    { ok: true, value: { print } },
    { ok: false, reason: expect.stringContaining('id') },
    { ok: false, reason: 'not JSON' },
  ])
})
