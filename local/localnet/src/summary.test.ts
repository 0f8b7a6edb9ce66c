import { expect, test } from 'vitest'
import { lastLine, type Row, table } from './summary.ts'

const row: Row = {
  mirror: 'good-a',
  place: 'A Frankfurt, claimed (not falsified)',
  probes: '44/44',
  availability: '100.0 %',
  bond: '100000000',
  paid: '9500000',
  txid: '0xda28d6d97531…',
  why: '',
}

test('columns are as wide as their widest cell, numbers to the right', () => {
  const lines = table([row, { ...row, mirror: 'tamperer', paid: '0', why: 'wrong bytes' }])
  expect(lines).toHaveLength(4)
  expect(lines[2]).toContain('  9500000  ')
  expect(lines[3]).toContain('        0  ')
  expect(lines[3]!.endsWith('wrong bytes')).toBe(true)
  expect(lines[0]!.indexOf('settled by')).toBe(lines[2]!.indexOf('0xda'))
})

test('the last line is JSON with money as decimal strings', () => {
  const summary = {
    epoch: 0,
    rows: [row],
    mirrors: 5,
    paidMirrors: ['good-a'],
    attestations: 15,
    allocated: '30000000',
    paid: '30000000',
    claims: 6,
    settleTxid: '0xda',
  }
  const urls = { stacks: '', relay: '', forge: '', master: '', api: 'http://a', web: 'http://a/' }
  expect(JSON.parse(lastLine(summary, { ms: 83, source: 'good-b', files: 10 }, urls))).toEqual({
    epoch: 0,
    mirrors: 5,
    paidMirrors: ['good-a'],
    attestations: 15,
    allocated: '30000000',
    paid: '30000000',
    claims: 6,
    failoverMs: 83,
    settleTxid: '0xda',
    apiUrl: 'http://a',
    webUrl: 'http://a/',
  })
})
