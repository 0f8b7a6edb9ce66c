import * as z from 'zod/mini'
import { maxEventBytes, type Parsed, parsed, refused } from './event.ts'

export const hex32 = z.string().check(z.regex(/^[0-9a-f]{64}$/, 'expected 32 bytes as lower-case hex'))
export const hex64 = z.string().check(z.regex(/^[0-9a-f]{128}$/, 'expected 64 bytes as lower-case hex'))
/** A git object id: SHA-1 (40 digits) or SHA-256 (64). */
export const objectId = z.string().check(z.regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/, 'expected a git object id'))

/** Runs a schema and turns its first issue into one readable reason. */
export function check<T>(schema: z.ZodMiniType<T>, input: unknown): Parsed<T> {
  const result = z.safeParse(schema, input)
  if (result.success) return parsed(result.data)
  const issue = result.error.issues[0]
  return refused(`${issue?.path.join('.') || 'value'}: ${issue?.message ?? 'invalid'}`)
}

/**
 * A JSON document under a schema, refused above `limit` characters, so that a hostile one is never parsed. `read`: what the schema accepts, by
 * hand, where there are tens of thousands; undefined is for the schema to judge.
 */
export function parseJson<T>(
  schema: z.ZodMiniType<T>,
  text: string,
  limit = maxEventBytes,
  read?: (input: unknown) => T | undefined,
): Parsed<T> {
  if (text.length > limit) return refused(`larger than ${limit} bytes`)
  try {
    const input: unknown = JSON.parse(text)
    const value = read?.(input)
    return value === undefined ? check(schema, input) : parsed(value)
  } catch {
    return refused('not JSON')
  }
}
