import type { Stage } from './stages.ts'

/** Colour of a program's name in `--verbose`, the same on every start. */
const colours = [31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96]

export interface Terminal {
  stage(stage: Stage): void
  notice(line: string): void
  /** A line of a program's log. */
  log(name: string, line: string): void
  print(line: string): void
}

/** @param colour whether the terminal shows colours */
export function createTerminal(
  write: (text: string) => void,
  options: { readonly json: boolean; readonly colour: boolean; readonly now: () => number },
): Terminal {
  const startedAt = options.now()
  const paint = (code: number, text: string) => (options.colour ? `\u001b[${code}m${text}\u001b[0m` : text)
  const elapsed = () => `${((options.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s`
  const bigints = (_: string, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)
  const line = (text: string) => write(`${text}\n`)
  return {
    stage(stage) {
      if (options.json) line(JSON.stringify(stage, bigints))
      else line(`${paint(90, elapsed())}  ${paint(36, stage.stage.padEnd(11))}  ${stage.text}`)
    },
    notice(text) {
      if (options.json) line(JSON.stringify({ notice: text }))
      else line(`${paint(90, elapsed())}  ${paint(33, 'note'.padEnd(11))}  ${text}`)
    },
    log(name, text) {
      if (options.json) return
      const code = colours[[...name].reduce((sum, char) => sum + char.charCodeAt(0), 0) % colours.length]!
      line(`${paint(code, name.padEnd(11))} ${readable(text)}`)
    },
    print(text) {
      if (!options.json) line(text)
    },
  }
}

/** A line of JSON as its message and fields; anything else as it is. */
export function readable(line: string): string {
  if (!line.startsWith('{')) return line
  try {
    const { level, time: _, name: __, pid: ___, hostname: ____, msg, ...fields } = JSON.parse(line)
    const word = level >= 50 ? 'error: ' : level >= 40 ? 'warning: ' : ''
    const rest = Object.keys(fields).length > 0 ? ` ${JSON.stringify(fields)}` : ''
    return `${word}${msg ?? ''}${rest}`
  } catch {
    return line
  }
}
