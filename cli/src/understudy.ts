import { type CommandDef, defineCommand, renderUsage, runCommand } from 'citty'
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
import { Failure, UsageFailure } from './failure.ts'
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

/**
 * Runs a command line. Exit codes: 0 done, 1 it failed, 2 the command line is wrong or, where
 * something is verified, the data do not suffice. Every failure is one sentence on stderr, with the
 * fix where there is one; with `--json`, `{error: {code, message, fix}}` on stdout as well.
 */
export async function understudy(rawArgs: readonly string[], io: Io): Promise<number> {
  const root = commandsOf(io)
  const path = pathOf(root, rawArgs)
  const asked = rawArgs.some((arg) => arg === '--help' || arg === '-h')
  const leaf = path.at(-1)!
  if (asked || (leaf.subCommands && rawArgs.length === path.length - 1)) {
    io.print(await renderUsage(leaf, titleOf(path)))
    return asked ? 0 : 2
  }
  if (rawArgs.length === 1 && rawArgs[0] === '--version') {
    io.print(version)
    return 0
  }
  try {
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
