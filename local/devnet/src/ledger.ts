import type { SimnetEvent } from './simnet.ts'

/** What a principal sent and received of one asset: µSTX, token units, or a count of non-fungible tokens. */
export interface Position {
  readonly sent: bigint
  readonly received: bigint
}

export interface Ledger {
  record(event: SimnetEvent): void
  /** By asset: `STX`, or `<contract>::<token>`; simnet's own asset map loses the address of a contract. */
  fungible(principal: string): ReadonlyMap<string, Position>
  nonFungible(principal: string): ReadonlyMap<string, Position>
}

type Book = Map<string, Map<string, Position>>

export function createLedger(): Ledger {
  const fungible: Book = new Map()
  const nonFungible: Book = new Map()

  function move(book: Book, principal: unknown, asset: string, sent: bigint, received: bigint) {
    if (typeof principal !== 'string') return
    const positions = book.get(principal) ?? new Map<string, Position>()
    const before = positions.get(asset) ?? { sent: 0n, received: 0n }
    positions.set(asset, { sent: before.sent + sent, received: before.received + received })
    book.set(principal, positions)
  }

  return {
    record({ event, data }) {
      if (!/^(stx|ft|nft)_(transfer|mint|burn)_event$/.test(event)) return
      const book = event.startsWith('nft') ? nonFungible : fungible
      const asset = String(data.asset_identifier ?? 'STX')
      const amount = book === nonFungible ? 1n : BigInt(String(data.amount))
      move(book, data.sender, asset, amount, 0n)
      move(book, data.recipient, asset, 0n, amount)
    },
    fungible: (principal) => fungible.get(principal) ?? new Map(),
    nonFungible: (principal) => nonFungible.get(principal) ?? new Map(),
  }
}
