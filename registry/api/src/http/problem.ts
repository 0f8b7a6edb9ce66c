import type { ContentfulStatusCode } from 'hono/utils/http-status'

/** What a caller is told instead of an answer. */
export class Problem extends Error {
  readonly status: ContentfulStatusCode
  /** Short, stable, for programs. */
  readonly code: string

  constructor(status: ContentfulStatusCode, code: string, message: string) {
    super(message)
    this.name = 'Problem'
    this.status = status
    this.code = code
  }
}

const awayCodes = /^(08|53|57P|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ENOENT$)/
const awayMessages = /Connection terminated|timeout exceeded|Client has encountered a connection error/

/** Whether an error means that the database cannot be reached now (rather than that we asked something wrong). */
function isAway(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { readonly code?: unknown }
    if ((typeof code === 'string' && awayCodes.test(code)) || awayMessages.test(at.message)) return true
    if (at instanceof AggregateError && at.errors.some(isAway)) return true
  }
  return false
}

/** The problem that an error is told as. Only a `Problem` speaks for itself. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (isAway(error))
    return new Problem(503, 'database-away', 'the database cannot be reached; try again soon')
  return new Problem(500, 'internal', 'something went wrong here')
}
