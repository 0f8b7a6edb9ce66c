import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { z } from 'zod'
import { program } from './folders.ts'

const failureSchema = z.object({ error: z.object({ message: z.string(), fix: z.string().optional() }) })

/** Runs `understudy` commands as a person would, and reads their JSON. */
export interface Cli {
  run<T>(schema: z.ZodType<T>, args: readonly string[], keys?: string): Promise<T>
}

/**
 * @param logFile what the commands say on stderr
 * @param signal ends the commands that run
 */
export function createCli(env: Readonly<Record<string, string>>, logFile: string, signal?: AbortSignal): Cli {
  const script = program('cli/dist/main.js')
  return {
    run(schema, args, keys) {
      appendFileSync(logFile, `$ understudy ${args.join(' ')}\n`)
      return new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [script, ...args, '--json'], {
          env: {
            PATH: process.env.PATH,
            HOME: process.env.HOME,
            ...env,
            ...(keys ? { UNDERSTUDY_KEYS: keys } : {}),
          },
          stdio: ['ignore', 'pipe', 'pipe'],
          timeout: 300_000,
          signal,
        })
        let output = ''
        child.stdout.on('data', (chunk: Buffer) => {
          output += chunk.toString()
        })
        child.stderr.on('data', (chunk: Buffer) => appendFileSync(logFile, chunk))
        child.once('error', reject)
        child.once('close', (code) => {
          const fail = (why: string) =>
            reject(new Error(`understudy ${args.slice(0, 2).join(' ')}: ${why}; read ${logFile}`))
          let read: unknown
          try {
            read = JSON.parse(output)
          } catch {
            return fail(`it ended with code ${code}`)
          }
          const failure = failureSchema.safeParse(read)
          if (failure.success) return fail(failure.data.error.message)
          const result = schema.safeParse(read)
          if (code === 0 && result.success) resolve(result.data)
          else fail(result.error ? z.prettifyError(result.error) : `it ended with code ${code}`)
        })
      })
    },
  }
}
