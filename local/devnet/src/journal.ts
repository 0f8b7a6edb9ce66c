import { closeSync, fdatasync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'

const hex = z.string().regex(/^[0-9a-f]+$/)
const txid = z.string().regex(/^0x[0-9a-f]{64}$/)

/** One line of the journal. */
const entrySchema = z.discriminatedUnion('type', [
  /** The chain's beginning, always first: a journal of another genesis would replay into another state. */
  z.object({ type: z.literal('genesis'), simnet: z.string(), time: z.number().int() }),
  /** A transaction entered the mempool. */
  z.object({ type: z.literal('transaction'), raw: hex }),
  /** Burn blocks without transactions, but for those of the first one's tenure. */
  z.object({ type: z.literal('mine'), burnBlocks: z.number().int().nonnegative(), txids: z.array(txid) }),
])

export type Entry = z.infer<typeof entrySchema>

/** An append-only file of entries, each durable before what it tells is shown to anyone. */
export interface Journal {
  /** Resolves when the entry is on disk. Entries become durable in the order of the calls. */
  append(entry: Entry): Promise<void>
  close(): Promise<void>
}

/** Forgets everything: a chain without a data directory. */
export const memoryJournal: Journal = {
  append: async () => {},
  close: async () => {},
}

const sync = promisify(fdatasync)

/**
 * Opens the journal in `directory` and returns what it holds.
 *
 * Only the last line can be torn, by a crash in the middle of a write that nobody was told about: it is cut off.
 *
 * @throws when any other line cannot be read
 */
export async function openJournal(directory: string): Promise<{ entries: Entry[]; journal: Journal }> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, 'journal.jsonl')
  const file = openSync(path, 'a+', 0o600)
  const content = readFileSync(path)
  const whole = content.lastIndexOf(0x0a) + 1
  if (whole < content.length) ftruncateSync(file, whole)
  const entries = content.subarray(0, whole).toString('utf8').split('\n').slice(0, -1).map(parseLine)

  let lines: string[] = []
  let flushed = Promise.resolve()
  let scheduled: Promise<void> | undefined

  /** Whatever is appended while one write is on its way to the disk shares the next (group commit). */
  function schedule(): Promise<void> {
    scheduled ??= flushed.then(async () => {
      scheduled = undefined
      const batch = lines.join('')
      lines = []
      writeWhole(file, Buffer.from(batch))
      await sync(file)
    })
    flushed = scheduled
    return scheduled
  }

  return {
    entries,
    journal: {
      append(entry) {
        lines.push(`${JSON.stringify(entry)}\n`)
        return schedule()
      },
      async close() {
        await flushed
        closeSync(file)
      },
    },
  }
}

function parseLine(line: string, index: number): Entry {
  try {
    return entrySchema.parse(JSON.parse(line))
  } catch (cause) {
    throw new Error(`line ${index + 1} of the journal is damaged`, { cause })
  }
}

function writeWhole(file: number, bytes: Buffer): void {
  let written = 0
  while (written < bytes.length) written += writeSync(file, bytes, written)
}
