import type { CommandDef } from 'citty'
import type { Io } from './command.ts'
import { deployContracts } from './commands/deploy.ts'
import { execute } from './execute.ts'

// npm run deploy:contracts. No command of the binary: it deploys the contracts of the checkout that it lies in.
const io: Io = {
  env: process.env,
  cwd: process.cwd(),
  now: Date.now,
  say: (line) => void process.stderr.write(`${line}\n`),
  print: (text) => void process.stdout.write(`${text}\n`),
}
process.exitCode = await execute(deployContracts(io) as CommandDef, process.argv.slice(2), io)
