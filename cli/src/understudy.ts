import { type CommandDef, defineCommand } from 'citty'
import type { Io } from './command.ts'
import { activateDeposits } from './commands/activate.ts'
import { appRegister } from './commands/app/register.ts'
import { backup, restore } from './commands/backup.ts'
import { bundleEpoch } from './commands/bundle.ts'
import { claimPayouts } from './commands/claim.ts'
import { fundPool } from './commands/fund.ts'
import { keysNew } from './commands/keys/new.ts'
import { keysShow } from './commands/keys/show.ts'
import { mirrorRegister } from './commands/mirror/register.ts'
import { release } from './commands/release.ts'
import { run } from './commands/run.ts'
import { status } from './commands/status.ts'
import { verifyEpochCommand } from './commands/verify.ts'
import { execute, version } from './execute.ts'

const group = (name: string, description: string, subCommands: Record<string, CommandDef>): CommandDef =>
  defineCommand({ meta: { name, description }, subCommands })

const commandsOf = (io: Io): CommandDef =>
  defineCommand({
    meta: {
      name: 'understudy',
      version,
      description: 'Keeps decentralized apps alive when their main server dies',
    },
    subCommands: {
      app: group('app', 'Register an app', { register: appRegister(io) as CommandDef }),
      release: release(io) as CommandDef,
      mirror: group('mirror', 'Register a mirror', { register: mirrorRegister(io) as CommandDef }),
      fund: fundPool(io) as CommandDef,
      activate: activateDeposits(io) as CommandDef,
      claim: claimPayouts(io) as CommandDef,
      status: status(io) as CommandDef,
      verify: group('verify', 'Compute what was paid again', { epoch: verifyEpochCommand(io) as CommandDef }),
      bundle: group('bundle', 'Write what a payout follows from', { epoch: bundleEpoch(io) as CommandDef }),
      keys: group('keys', 'Make and show keys', {
        new: keysNew(io) as CommandDef,
        show: keysShow(io) as CommandDef,
      }),
      backup: backup(io) as CommandDef,
      restore: restore(io) as CommandDef,
      node: run('node'),
      attester: run('attester'),
      api: run('api'),
    },
  })

/** Runs a command line of the binary. */
export const understudy = (rawArgs: readonly string[], io: Io): Promise<number> =>
  execute(commandsOf(io), rawArgs, io)
