/** An expected failure: one sentence that says what is wrong and, where there is one, the fix. */
export class Failure extends Error {
  readonly code: string
  readonly fix: string | undefined
  /** What the program ends with. */
  readonly exitCode: number
  /** What `--json` prints beside the error. */
  readonly data: Readonly<Record<string, unknown>>

  constructor(
    code: string,
    message: string,
    fix?: string,
    options: { cause?: unknown; exitCode?: number; data?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'Failure'
    this.code = code
    this.fix = fix
    this.exitCode = options.exitCode ?? 1
    this.data = options.data ?? {}
  }
}

/** The command line itself is wrong: exit code 2. */
export class UsageFailure extends Failure {
  constructor(message: string, fix?: string) {
    super('usage', message, fix, { exitCode: 2 })
    this.name = 'UsageFailure'
  }
}
