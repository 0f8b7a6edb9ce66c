import * as z from 'zod/mini'

const txidSchema = z.string().check(z.regex(/^0x[0-9a-f]{64}$/))
const text = z.string().check(z.maxLength(300))

const sentSchema = z.object({
  txid: txidSchema,
  /** What it was meant to do, for people. */
  title: text,
  sender: text,
  /** ms since 1970. */
  sentAt: z.int(),
  /** App id, 32 bytes hex. */
  app: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  /** What must be read back from the registry once it is confirmed. */
  expect: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('app') }),
    z.object({ kind: z.literal('mirror'), nodeKey: text }),
    /** What had been deposited in all when this was sent, and what this adds. */
    z.object({
      kind: z.literal('deposit'),
      before: z.string().check(z.regex(/^\d{1,39}$/)),
      amount: z.string().check(z.regex(/^\d{1,39}$/)),
    }),
    /** Something about the sender's deposit or mirrors: their page tells what became of it. */
    z.object({ kind: z.literal('account') }),
    /** A payment of an epoch, by the index of its leaf. */
    z.object({ kind: z.literal('claim'), epoch: z.int(), index: z.int() }),
  ]),
  fate: z.discriminatedUnion('state', [
    z.object({ state: z.literal('pending') }),
    z.object({ state: z.literal('confirmed'), height: z.int() }),
    z.object({ state: z.literal('failed'), why: text }),
  ]),
})

/** A transaction that this browser sent. */
export type Sent = z.infer<typeof sentSchema>
export type Fate = Sent['fate']

const key = 'understudy.sent'
const most = 20

/** Reads what this browser sent, newest first; a damaged store counts as empty. */
export function readSent(storage: Pick<Storage, 'getItem'>): Sent[] {
  try {
    const read = z.safeParse(z.array(sentSchema), JSON.parse(storage.getItem(key) ?? '[]'))
    return read.success ? read.data : []
  } catch {
    return []
  }
}

export function writeSent(storage: Pick<Storage, 'setItem'>, sent: readonly Sent[]): void {
  try {
    storage.setItem(key, JSON.stringify(sent.slice(0, most)))
  } catch {
    // A full or forbidden store: the list lives as long as the page.
  }
}
