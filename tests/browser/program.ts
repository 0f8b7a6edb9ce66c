import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

export interface RunningProgram {
  readonly url: string
  stop(): Promise<void>
}

/** Starts `node <script> <args>` of this repository and waits until it names its URL. Rejects with its last lines when it ends first. */
export async function startProgram(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  timeoutMs = 60_000,
): Promise<RunningProgram> {
  const child = spawn(process.execPath, [script, ...args], {
    cwd: root,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const last: string[] = []
  const url = await new Promise<string>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${script} ${why}\n${last.join('\n')}`))
    const timer = setTimeout(() => fail(`was not ready in ${timeoutMs} ms`), timeoutMs)
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        last.push(line)
        if (last.length > 20) last.shift()
        const ready = readyUrl(line)
        if (ready) resolve(ready)
      })
    }
    child.once('error', (error) => fail(`did not start: ${error.message}`))
    child.once('exit', (code) => fail(`ended with code ${code}`))
    child.once('exit', () => clearTimeout(timer))
    void ended.then(() => clearTimeout(timer))
  })
  return {
    url: url.replace(/\/$/, ''),
    async stop() {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await ended
      clearTimeout(timer)
    },
  }
}

/** `{"msg":"ready","url":…}` in a log, or devnet's `{"url":…}`. */
function readyUrl(line: string): string | undefined {
  try {
    const { msg, url } = JSON.parse(line) as { msg?: unknown; url?: unknown }
    return typeof url === 'string' && (msg === undefined || msg === 'ready') ? url : undefined
  } catch {
    return undefined
  }
}
