import { expect, it } from 'vitest'
import { readSent, type Sent, writeSent } from './sent.ts'

class Shelf {
  held: string | null = null
  getItem = () => this.held
  setItem = (_: string, value: string) => {
    this.held = value
  }
}

const sent = (n: number): Sent => ({
  txid: `0x${String(n).padStart(64, '0')}`,
  title: 'Fund demo with 5 STX',
  sender: 'ST1',
  sentAt: n,
  app: 'ab'.repeat(32),
  expect: { kind: 'deposit', before: '0', amount: '5000000' },
  fate: { state: 'pending' },
})

it('gives back what was sent, and keeps the newest twenty', () => {
  const shelf = new Shelf()
  const all = Array.from({ length: 25 }, (_, n) => sent(n))
  writeSent(shelf, all)
  expect(readSent(shelf)).toEqual(all.slice(0, 20))
})

it('counts a damaged store as empty', () => {
  const shelf = new Shelf()
  for (const held of ['{', '7', '[{"txid":"javascript:"}]']) {
    shelf.held = held
    expect(readSent(shelf)).toEqual([])
  }
})
