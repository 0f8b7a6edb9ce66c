import { bodyWithin } from '@understudy/protocol/body'
import { type Parsed, parsed, refused } from '@understudy/protocol/event'
import { check } from '@understudy/protocol/schema'
import type * as z from 'zod/mini'

/** Longest wait for one answer, ms. */
const timeoutMs = 10_000
/** Largest answer that is read, bytes. */
const maxBytes = 4 * 1024 * 1024

/** GETs a JSON document under a schema. Every failure is a reason in words, with nothing thrown. */
export async function fetched<T>(url: string, schema: z.ZodMiniType<T>): Promise<Parsed<T>> {
  let text: string
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), credentials: 'omit' })
    if (response.status === 404) return refused('not found')
    if (!response.ok) return refused(`the server answered with an error (HTTP ${response.status})`)
    const body = await bodyWithin(response, maxBytes)
    if (!body) return refused('the answer is too large')
    text = new TextDecoder().decode(body)
  } catch (error) {
    const late = error instanceof Error && error.name === 'TimeoutError'
    return refused(late ? 'the server did not answer in time' : 'the server cannot be reached')
  }
  try {
    const answer = check(schema, JSON.parse(text))
    return answer.ok ? parsed(answer.value) : refused(`the answer makes no sense (${answer.reason})`)
  } catch {
    return refused('the answer is not JSON')
  }
}
