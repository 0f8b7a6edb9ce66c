import { isHex32, maxEventBytes, type Parsed, parsed, refused } from '@understudy/protocol/event'
import type { Filter } from '@understudy/relays/filter'

/** Longest frame that we read, bytes. */
export const maxFrameBytes = 2 * maxEventBytes
export const maxFilters = 16
/** Most values in one list of a filter. */
export const maxFilterValues = 1_000
export const maxSubscriptionIdLength = 64

/** What a client says (NIP-01). The event is not looked into yet. */
export type Frame =
  | { readonly type: 'EVENT'; readonly event: unknown }
  | { readonly type: 'REQ'; readonly id: string; readonly filters: Parsed<Filter[]> }
  | { readonly type: 'CLOSE'; readonly id: string }
  | { readonly type: 'AUTH'; readonly event: unknown }
  | {
      readonly type: 'NEG-OPEN'
      readonly id: string
      readonly filter: Parsed<Filter>
      readonly message: Uint8Array
    }
  | { readonly type: 'NEG-MSG'; readonly id: string; readonly message: Uint8Array }
  | { readonly type: 'NEG-CLOSE'; readonly id: string }

const types: ReadonlySet<unknown> = new Set(['REQ', 'CLOSE', 'NEG-OPEN', 'NEG-MSG', 'NEG-CLOSE'])

export function parseFrame(text: string): Parsed<Frame> {
  let frame: unknown
  try {
    frame = JSON.parse(text)
  } catch {
    return refused('not JSON')
  }
  if (!Array.isArray(frame)) return refused('expected a list')
  const [type, first, ...rest] = frame as unknown[]
  if (type === 'EVENT' || type === 'AUTH') return parsed({ type, event: first })
  if (!types.has(type)) return refused('expected EVENT, REQ, CLOSE, AUTH or NEG-…')
  if (typeof first !== 'string' || first === '' || first.length > maxSubscriptionIdLength)
    return refused(`expected a subscription id of 1 to ${maxSubscriptionIdLength} characters`)
  const id = first
  switch (type) {
    case 'REQ':
      return parsed({ type, id, filters: parseFilters(rest) })
    case 'NEG-OPEN':
    case 'NEG-MSG': {
      const hex = rest[type === 'NEG-OPEN' ? 1 : 0]
      if (typeof hex !== 'string' || !/^(?:[0-9a-f]{2})+$/i.test(hex))
        return refused('expected a message as hex')
      const message = Buffer.from(hex, 'hex')
      return parsed(
        type === 'NEG-MSG' ? { type, id, message } : { type, id, filter: parseFilter(rest[0]), message },
      )
    }
    default:
      return parsed({ type: type as 'CLOSE' | 'NEG-CLOSE', id })
  }
}

function parseFilters(inputs: readonly unknown[]): Parsed<Filter[]> {
  if (inputs.length === 0 || inputs.length > maxFilters) return refused(`expected 1 to ${maxFilters} filters`)
  const filters: Filter[] = []
  for (const input of inputs) {
    const filter = parseFilter(input)
    if (!filter.ok) return filter
    filters.push(filter.value)
  }
  return parsed(filters)
}

const isKind = (value: unknown) =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= 65_535
const isTagValue = (value: unknown) => typeof value === 'string' && value.length <= 1_024
const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0

/** A key that we do not know is refused rather than ignored: ignoring one would answer too much. */
export function parseFilter(input: unknown): Parsed<Filter> {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    return refused('a filter is an object')
  const entries = Object.entries(input)
  if (entries.length > 32) return refused('a filter with more than 32 keys')
  for (const [key, value] of entries) {
    const isValue =
      key === 'ids' || key === 'authors'
        ? isHex32
        : key === 'kinds'
          ? isKind
          : /^#[a-zA-Z]$/.test(key)
            ? isTagValue
            : undefined
    if (isValue) {
      if (!Array.isArray(value) || value.length > maxFilterValues)
        return refused(`${key}: expected a list of at most ${maxFilterValues}`)
      if (!value.every(isValue)) return refused(`${key}: holds a value that cannot be one`)
    } else if (key === 'since' || key === 'until' || key === 'limit') {
      if (!isCount(value)) return refused(`${key}: expected a whole number`)
    } else return refused(`${key.slice(0, 20)}: unsupported in a filter`)
  }
  return parsed(input as Filter)
}
