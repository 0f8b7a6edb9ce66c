import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { closeLedger, openLedger, saveState } from './ledger.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ledger-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('a second start finds what the first remembered', () => {
  const state = openLedger(folder, null, false)
  saveState(folder, { ...state, released: 2, entry: '/index.html' })
  closeLedger(folder)
  expect(openLedger(folder, null, false)).toMatchObject({ released: 2, entry: '/index.html' })
})

test('a folder that holds something else is left alone, even when asked to start afresh', () => {
  writeFileSync(join(folder, 'thesis.txt'), 'years of work')
  expect(() => openLedger(folder, null, true)).toThrow('holds something else')
  expect(existsSync(join(folder, 'thesis.txt'))).toBe(true)
})

test('a fresh start empties the folder', () => {
  saveState(folder, { ...openLedger(folder, null, false), released: 2 })
  writeFileSync(join(folder, 'ports.json'), '{}')
  expect(openLedger(folder, null, true).released).toBe(0)
  expect(existsSync(join(folder, 'ports.json'))).toBe(false)
})

test('the network of one repository is not that of another', () => {
  openLedger(folder, null, false)
  expect(() => openLedger(folder, '/srv/app', false)).toThrow('holds a network of the demo app')
})
