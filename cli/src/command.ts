import { type ArgsDef, type CommandDef, defineCommand, type ParsedArgs } from 'citty'
import { UsageFailure } from './failure.ts'
import { nearest } from './nearest.ts'

/** What a command needs of its surroundings; `main.ts` constructs it. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** ms since 1970. */
  readonly now: () => number
  /** Bytes free for a folder that may not exist yet; default: what its disk says. */
  readonly freeBytes?: (folder: string) => Promise<number>
  /** Progress, on stderr. */
  say(line: string): void
  /** Results, on stdout. */
  print(text: string): void
}

/** What a command found or did: lines for people, data for programs. */
export interface Result {
  readonly lines: readonly string[]
  readonly data: Readonly<Record<string, unknown>>
}

const commonArgs = {
  json: { type: 'boolean', description: 'Print the result as one JSON document' },
} as const satisfies ArgsDef

/** A command that refuses options it does not know and prints its result either way. */
export function command<const T extends ArgsDef>(
  io: Io,
  definition: {
    readonly name: string
    readonly description: string
    readonly args: T
    run(args: ParsedArgs<T>): Promise<Result>
  },
): CommandDef<T & typeof commonArgs> {
  const args = { ...definition.args, ...commonArgs }
  return defineCommand({
    meta: { name: definition.name, description: definition.description },
    args,
    async run(context) {
      refuseUnknown(context.rawArgs, args)
      const result = await definition.run(context.args as unknown as ParsedArgs<T>)
      if ((context.args as { json?: boolean }).json) io.print(JSON.stringify(result.data, replacer, 2))
      else for (const line of result.lines) io.print(line)
    },
  }) as CommandDef<T & typeof commonArgs>
}

/** Money as a decimal string: JSON numbers cannot hold it. */
const replacer = (_: string, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)

/** An option that is ignored is an order that is not carried out. */
export function refuseUnknown(rawArgs: readonly string[], args: ArgsDef): void {
  const known = new Map<string, string | undefined>()
  for (const [name, arg] of Object.entries(args)) {
    if (arg.type !== 'positional') known.set(name, arg.type)
  }
  const positionals = Object.values(args).filter((arg) => arg.type === 'positional').length
  let words = 0
  for (let at = 0; at < rawArgs.length; at++) {
    const raw = rawArgs[at]!
    if (!raw.startsWith('-') || raw === '-') {
      if (++words > positionals) throw new UsageFailure(`unexpected argument ${raw}`, 'see --help')
      continue
    }
    const [, name = '', value] = /^--?([^=]+)(=.*)?$/.exec(raw) ?? []
    const type = known.get(name)
    if (type === undefined) {
      const meant = nearest(name, [...known.keys()])
      throw new UsageFailure(`unknown option ${raw}`, meant ? `did you mean --${meant}?` : 'see --help')
    }
    if (type === 'boolean' || value !== undefined) continue
    if (rawArgs[at + 1] === undefined) throw new UsageFailure(`--${name} needs a value`, `--${name}=<value>`)
    at++
  }
}
