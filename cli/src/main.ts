#!/usr/bin/env node
import { envOfFolder } from './env.ts'
import { understudy } from './understudy.ts'

// The programs that `understudy node` and its like start read their configuration from here as well.
Object.assign(process.env, envOfFolder(process.cwd(), process.env))

process.exitCode = await understudy(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  now: Date.now,
  say: (line) => void process.stderr.write(`${line}\n`),
  print: (text) => void process.stdout.write(`${text}\n`),
})
