import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Entry, openJournal } from './journal.ts'

let directory: string
let path: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'devnet-journal-'))
  path = join(directory, 'journal.jsonl')
})

afterEach(() => rmSync(directory, { recursive: true }))

const mine = (burnBlocks: number): Entry => ({ type: 'mine', burnBlocks, txids: [] })

test('an entry is in the file when its append resolves, many of them in the order of the calls', async () => {
  const { journal } = await openJournal(directory)
  const entries = Array.from({ length: 200 }, (_, i) => mine(i))
  await Promise.all(
    entries.map(async (entry, i) => {
      await journal.append(entry)
      expect(readFileSync(path, 'utf8').split('\n').length).toBeGreaterThan(i + 1)
    }),
  )
  await journal.close()
  expect((await openJournal(directory)).entries).toEqual(entries)
})

test('a torn last line is cut off, and what is appended afterwards is read back', async () => {
  const { journal } = await openJournal(directory)
  await journal.append(mine(1))
  await journal.close()
  appendFileSync(path, '{"type":"mi')
  const second = await openJournal(directory)
  expect(second.entries).toEqual([mine(1)])
  await second.journal.append(mine(2))
  await second.journal.close()
  expect((await openJournal(directory)).entries).toEqual([mine(1), mine(2)])
})

test('a line that is whole but wrong names itself and stops the start', async () => {
  writeFileSync(path, `${JSON.stringify(mine(1))}\n{"type":"mine","burnBlocks":-1,"txids":[]}\n`)
  await expect(openJournal(directory)).rejects.toThrow('line 2 of the journal is damaged')
})
