import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const root = new URL('../../', import.meta.url)

/** For tests: programs of this repository, each a process of its own. */
export function createPrograms() {
  const programs: ChildProcess[] = []
  return {
    /** Starts a built script with these settings and no others; resolves with the URL that it prints. */
    async start(script: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
      const child = spawn(process.execPath, [fileURLToPath(new URL(script, root)), ...args], {
        env: { PATH: process.env.PATH, ...env },
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      programs.push(child)
      for await (const line of createInterface({ input: child.stdout! })) {
        const { url } = JSON.parse(line) as { url?: string }
        if (url) return url
      }
      throw new Error(`${script} did not start; is it built?`)
    },
    async end(): Promise<void> {
      for (const child of programs) {
        if (child.exitCode !== null) continue
        const exit = once(child, 'exit')
        child.kill()
        await exit
      }
    },
  }
}
