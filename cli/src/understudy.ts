import { type CommandDef, defineCommand } from 'citty'
import type { Io } from './command.ts'
import { activateDeposits } from './commands/activate.ts'
import { accept, offer } from './commands/app/maintainer.ts'
import { appRegister } from './commands/app/register.ts'
import { releaseKey, rulesChange, rulesEnd, vetoEpoch } from './commands/app/rules.ts'
import { agreeToBond, putAttesterBond, withdrawAttesterBond } from './commands/attester-bond.ts'
import { backup, restore } from './commands/backup.ts'
import { bundleEpoch } from './commands/bundle.ts'
import { claimPayouts } from './commands/claim.ts'
import { doctor } from './commands/doctor.ts'
import { fundPool } from './commands/fund.ts'
import { init } from './commands/init.ts'
import { keysNew } from './commands/keys/new.ts'
import { keysShow } from './commands/keys/show.ts'
import { exitPool, requestToExit, sweepEpoch, takeDepositBack } from './commands/leave.ts'
import { mirrorAddBond, mirrorRetire, mirrorUnbond, mirrorWithdraw } from './commands/mirror/bond.ts'
import { mirrorExpect } from './commands/mirror/expect.ts'
import { mirrorRegister } from './commands/mirror/register.ts'
import { mirrorReplaceKey } from './commands/mirror/replace-key.ts'
import { mirrorRewards } from './commands/mirror/rewards.ts'
import { release } from './commands/release.ts'
import { run } from './commands/run.ts'
import { status } from './commands/status.ts'
import { verifyEpochCommand } from './commands/verify.ts'
import { execute } from './execute.ts'
import { version } from './version.ts'

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
      init: init(io) as CommandDef,
      doctor: doctor(io) as CommandDef,
      app: group('app', 'Register an app, and change its rules', {
        register: appRegister(io) as CommandDef,
        rules: group('rules', 'Announce other rules', { change: rulesChange(io), end: rulesEnd(io) }),
        'release-key': releaseKey(io),
        offer: offer(io),
        accept: accept(io),
        veto: vetoEpoch(io),
      }),
      release: release(io) as CommandDef,
      mirror: group('mirror', 'Register a mirror, and what becomes of its bond', {
        expect: mirrorExpect(io) as CommandDef,
        register: mirrorRegister(io) as CommandDef,
        rewards: mirrorRewards(io) as CommandDef,
        'replace-key': mirrorReplaceKey(io),
        'add-bond': mirrorAddBond(io),
        unbond: mirrorUnbond(io),
        retire: mirrorRetire(io),
        withdraw: mirrorWithdraw(io),
      }),
      fund: fundPool(io) as CommandDef,
      activate: activateDeposits(io) as CommandDef,
      'take-back': takeDepositBack(io),
      'request-exit': requestToExit(io),
      exit: exitPool(io),
      sweep: sweepEpoch(io),
      'attester-bond': group('attester-bond', 'Put a bond behind an attester', {
        agree: agreeToBond(io) as CommandDef,
        put: putAttesterBond(io),
        withdraw: withdrawAttesterBond(io),
      }),
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
