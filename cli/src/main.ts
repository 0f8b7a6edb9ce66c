#!/usr/bin/env node
import { understudy } from './understudy.ts'

process.exitCode = await understudy(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  now: Date.now,
  say: (line) => void process.stderr.write(`${line}\n`),
  print: (text) => void process.stdout.write(`${text}\n`),
})
