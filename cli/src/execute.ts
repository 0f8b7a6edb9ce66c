import { type CommandDef, defineCommand, renderUsage, runCommand } from 'citty'
import type { Io } from './command.ts'
import { Failure, UsageFailure } from './failure.ts'
import { nearest } from './nearest.ts'
import { version } from './version.ts'

/**
 * Runs a command line of these commands. Exit codes: 0 done, 1 it failed, 2 the command line is wrong or, where
 * something is verified, the data do not suffice. Every failure is one sentence on stderr, with the
 * fix where there is one; with `--json`, `{error: {code, message, fix}}` on stdout as well.
 */
export async function execute(root: CommandDef, rawArgs: readonly string[], io: Io): Promise<number> {
  const path = pathOf(root, rawArgs)
  const asked = rawArgs.some((arg) => arg === '--help' || arg === '-h')
  const leaf = path.at(-1)!
  const unknown = unknownCommand(path, rawArgs)
  if (!unknown && (asked || (leaf.subCommands && rawArgs.length === path.length - 1))) {
    io.print(await renderUsage(leaf, titleOf(path)))
    return asked ? 0 : 2
  }
  if (rawArgs.length === 1 && rawArgs[0] === '--version') {
    io.print(version)
    return 0
  }
  try {
    if (unknown) throw unknown
    await runCommand(root, { rawArgs: [...rawArgs] })
    return 0
  } catch (error) {
    const failure = failureOf(error)
    if (rawArgs.includes('--json')) {
      const { code, message, fix, data } = failure
      io.print(JSON.stringify({ error: { code, message, ...(fix ? { fix } : {}) }, ...data }))
    }
    io.say(`error: ${failure.message}`)
    if (failure.fix) io.say(`  fix: ${failure.fix}`)
    return failure.exitCode
  }
}

function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error
  // citty's own errors are all about the command line.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it colours the words of its messages
  const message = (error instanceof Error ? error.message : String(error)).replace(/\u001b\[\d+m/g, '')
  if (error instanceof Error && error.name === 'CLIError') return new UsageFailure(message, 'see --help')
  return new Failure('failed', message, undefined, { cause: error })
}

/** A word where a command must stand and none has that name. */
function unknownCommand(path: readonly CommandDef[], rawArgs: readonly string[]): Failure | undefined {
  const known = Object.keys((path.at(-1)!.subCommands as Record<string, CommandDef> | undefined) ?? {})
  const word = rawArgs[path.length - 1]
  if (known.length === 0 || word === undefined || word.startsWith('-')) return undefined
  const meant = nearest(word, known)
  const words = [...rawArgs.slice(0, path.length - 1), meant].join(' ')
  return new UsageFailure(
    `unknown command ${word}`,
    meant ? `did you mean: understudy ${words}?` : `known are: ${known.join(', ')}`,
  )
}

/** The commands that the words name, from the root on. */
function pathOf(root: CommandDef, rawArgs: readonly string[]): CommandDef[] {
  const path = [root]
  for (const word of rawArgs) {
    const subCommands = path.at(-1)!.subCommands as Record<string, CommandDef> | undefined
    const next = subCommands?.[word]
    if (!next) break
    path.push(next)
  }
  return path
}

/** What usage calls the command's parent: all the words before it. */
function titleOf(path: readonly CommandDef[]): CommandDef | undefined {
  const names = path.slice(0, -1).map((command) => (command.meta as { name: string }).name)
  return names.length === 0 ? undefined : defineCommand({ meta: { name: names.join(' '), version } })
}
