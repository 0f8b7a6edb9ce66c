import { type NostrEvent, type Parsed, parsed, parseEvent, refused } from '@understudy/protocol/event'
import { parseJson } from '@understudy/protocol/schema'
import * as z from 'zod/mini'

/**
 * Where raw evidence lies for good: immutable blobs, each under the sha256 of its bytes. A folder today; any store that can put, get and
 * list (S3 and its kin) fits.
 */
export interface Archive {
  /** Stores the bytes durably (they survive a power cut once this resolves) and returns their address. Putting twice is putting once. */
  put(bytes: Uint8Array): Promise<string>
  /** Throws when the blob is missing, or is not what its address says. */
  get(address: string): Promise<Uint8Array>
  /** Every address, in no order that means anything. */
  list(): AsyncIterable<string>
}

/** One print of a contract, as the chain's API gave it. */
const printSchema = z.object({
  source: z.enum(['quorum', 'registry', 'pool']),
  txid: z.string().check(z.regex(/^0x[0-9a-f]{64}$/)),
  index: z.int().check(z.minimum(0)),
  hex: z.string().check(z.regex(/^(0x)?([0-9a-f]{2})+$/)),
})
export type Print = z.infer<typeof printSchema>

/** One line of a blob. */
export type ArchiveRecord = { readonly event: NostrEvent } | { readonly print: Print }
const recordSchema = z.union([z.object({ event: z.unknown() }), z.object({ print: printSchema })])

/** Longest line that is read back, characters: an event in its JSON escapes, or a print. */
const maxLine = 1_048_576

/** Records as JSON lines. */
export function encodeRecords(records: readonly ArchiveRecord[]): Uint8Array {
  return new TextEncoder().encode(records.map((record) => `${JSON.stringify(record)}\n`).join(''))
}

/** Reads a blob back, line by line. */
export function decodeRecords(bytes: Uint8Array): Parsed<ArchiveRecord>[] {
  const lines = new TextDecoder().decode(bytes).split('\n')
  return lines.flatMap((line) => (line === '' ? [] : [decodeRecord(line)]))
}

function decodeRecord(line: string): Parsed<ArchiveRecord> {
  const record = parseJson(recordSchema, line, maxLine)
  if (!record.ok) return refused(record.reason)
  if ('print' in record.value) return parsed(record.value)
  const event = parseEvent(record.value.event)
  return event.ok ? parsed({ event: event.value }) : event
}
