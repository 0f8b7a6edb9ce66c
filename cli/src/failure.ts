/** An expected failure: one sentence that says what is wrong and, where there is one, the fix. */
export class Failure extends Error {
  readonly code: string
  readonly fix: string | undefined

  constructor(code: string, message: string, fix?: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'Failure'
    this.code = code
    this.fix = fix
  }
}

/** The command line itself is wrong: exit code 2. */
export class UsageFailure extends Failure {
  constructor(message: string, fix?: string) {
    super('usage', message, fix)
    this.name = 'UsageFailure'
  }
}
