import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { backUp, restore } from './backup.ts'
import { author, connect, startRelay } from './fixture.ts'
import { openStore } from './store.ts'

const alice = await author(1)
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-backup-'))
  cleanups.push(() => rmSync(dir, { recursive: true }))
  return dir
}

test('a copy made while the relay writes holds every event acknowledged before, and restores to a relay that goes on', async () => {
  const dir = folder()
  const [file, copy, restored] = ['relay.sqlite', 'copy.sqlite', 'restored.sqlite'].map((name) =>
    join(dir, name),
  ) as [string, string, string]
  const store = openStore(file)
  cleanups.push(() => store.close())
  const { url, stop } = await startRelay({ store })
  cleanups.push(stop)
  const client = await connect(url)
  cleanups.push(client.close)
  const release = alice.sign({ kind: 5128, content: 'deleted' })
  client.send('EVENT', release)
  client.send('EVENT', alice.sign({ kind: 5, tags: [['e', release.id]] }))
  const events = Array.from({ length: 400 }, (_, i) => alice.sign({ content: String(i) }))
  for (const event of events) client.send('EVENT', event)
  await client.until(() => client.frames.length > 150)
  const acknowledged = client.frames.filter((frame) => frame[2] === true).map((frame) => frame[1] as string)
  const made = backUp(file, copy)
  expect(made.ok && made.value).toBeGreaterThanOrEqual(acknowledged.length - 1)
  await client.until(() => client.frames.length === 402)

  expect(restore(copy, restored)).toEqual(made)
  const again = openStore(restored)
  cleanups.push(() => again.close())
  const missing = acknowledged.filter((id) => !again.has(id))
  expect(missing).toEqual([release.id])
  // Tombstones are part of it.
  expect(again.insert([{ event: release, json: JSON.stringify(release) }])).toEqual(['deleted'])
  const [next] = [alice.sign({ content: 'next' })]
  expect(again.insert([{ event: next, json: JSON.stringify(next) }])).toEqual(['stored'])
})

test('nothing that is there is overwritten, and nothing unsound is restored', () => {
  const dir = folder()
  const file = (name: string) => join(dir, name)
  const store = openStore(file('a'))
  const event = alice.sign({})
  store.insert([{ event, json: JSON.stringify(event) }])
  store.close()
  expect(backUp(file('none'), file('b'))).toMatchObject({
    ok: false,
    reason: expect.stringContaining('no such file'),
  })
  expect(backUp(file('a'), file('b'))).toEqual({ ok: true, value: 1 })
  expect(backUp(file('a'), file('b'))).toMatchObject({
    ok: false,
    reason: expect.stringContaining('already'),
  })
  expect(restore(file('b'), file('a'))).toMatchObject({
    ok: false,
    reason: expect.stringContaining('already'),
  })
  expect(restore(file('none'), file('c'))).toMatchObject({ ok: false })
  truncateSync(file('b'), 9_000)
  expect(restore(file('b'), file('c'))).toMatchObject({
    ok: false,
    reason: expect.stringContaining('not a sound copy'),
  })
  writeFileSync(file('text'), 'not a database')
  appendFileSync(file('text'), 'x'.repeat(5_000))
  expect(restore(file('text'), file('c'))).toMatchObject({
    ok: false,
    reason: expect.stringContaining('not a sound copy'),
  })
})
