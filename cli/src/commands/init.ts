import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { validateStacksAddress } from '@stacks/transactions'
import { parseConfig } from '@understudy/client/config'
import { envFields } from '@understudy/host/config'
import { nodeEnv } from '@understudy/node/config'
import { isHex32 } from '@understudy/protocol/event'
import { z } from 'zod'
import { parseList } from '../amount.ts'
import { command, type Io } from '../command.ts'
import { type DeployFile, deployFiles, marks } from '../deploy/files.ts'
import type { Settings } from '../deploy/settings.ts'
import { Failure, UsageFailure } from '../failure.ts'
import { chainArgs, relayArgs } from '../network.ts'

const text = (description: string, valueHint: string) => ({ type: 'string', description, valueHint }) as const

/** `kept`: it differs from what would be written, and `--force` was not given. */
type Fate = 'written' | 'unchanged' | 'kept'

const run = promisify(execFile)

export const init = (io: Io) =>
  command(io, {
    name: 'init',
    description: 'Make a master repository one that others can fork and deploy as a mirror',
    args: {
      repo: text('Git checkout (default: here)', 'folder'),
      app: text('The app: 30617:<pubkey>:<identifier> (APP)', 'coordinate'),
      'release-key': text('Nostr key that signs releases (default: the app’s own)', 'key'),
      'repository-url': text('Where the repository is on the web (default: its origin)', 'url'),
      api: text('API that draws the badges (API_URL; default: no badges)', 'url'),
      force: { type: 'boolean', description: 'Overwrite files that were changed' },
      'dry-run': { type: 'boolean', description: 'Show what would be written, and write nothing' },
      ...relayArgs,
      ...chainArgs,
    },
    async run(args) {
      const repo = resolve(io.cwd, args.repo || '.')
      if (!existsSync(repo)) throw new Failure('no-folder', `${repo} does not exist`, 'give --repo')
      const settings = await settingsOf(args, io, repo)
      const done: { path: string; fate: Fate; diff: string[] }[] = []
      for (const file of deployFiles(settings)) {
        const path = join(repo, file.path)
        const before = readExisting(path)
        const after = merged(before, file)
        const ours = before === undefined || file.merge === 'lines' || !changes(before, file)
        const fate: Fate = before === after ? 'unchanged' : ours || args.force ? 'written' : 'kept'
        const diff = fate === 'unchanged' ? [] : await differences(before ?? '', after)
        done.push({ path: file.path, fate, diff })
        if (fate !== 'written' || args['dry-run']) continue
        mkdirSync(dirname(path), { recursive: true })
        writeFileSync(path, after)
      }
      const kept = done.filter(({ fate }) => fate === 'kept')
      const word = (fate: Fate) => (args['dry-run'] && fate === 'written' ? 'would write' : fate)
      return {
        lines: [
          ...done.flatMap(({ path, fate, diff }) => [
            `${word(fate).padEnd(12)} ${path}`,
            ...(fate === 'kept' || args['dry-run'] ? diff.map((line) => `  ${line}`) : []),
          ]),
          ...(kept.length > 0
            ? [`${kept.length} were changed since and left as they are; --force overwrites them`]
            : []),
          ...(args['dry-run'] ? ['nothing was written'] : []),
        ],
        data: { repo, ...settings, dryRun: args['dry-run'] === true, files: done },
      }
    },
  })

const knownSchema = z.object({
  coordinate: z.string().optional(),
  releaseKey: z.string().optional(),
  relays: z.array(z.string()).optional(),
  stacksUrl: z.string().optional(),
  deployer: z.string().optional(),
  repository: z.string().optional(),
  api: z.string().optional(),
})

/** What the command line says, else what the repository's `understudy.json` has said before, else the environment. */
async function settingsOf(
  args: {
    readonly app?: string | undefined
    readonly 'release-key'?: string | undefined
    readonly relays?: string | undefined
    readonly 'stacks-url'?: string | undefined
    readonly deployer?: string | undefined
    readonly 'repository-url'?: string | undefined
    readonly api?: string | undefined
  },
  io: Io,
  repo: string,
): Promise<Settings> {
  const known = knownSettings(join(repo, 'understudy.json'))
  const coordinate = args.app || known.coordinate || io.env.APP
  if (!coordinate)
    throw new UsageFailure(
      'no app is named',
      'give --app 30617:<pubkey>:<identifier>; understudy app register prints it',
    )
  const relays = args.relays || known.relays?.join(',') || io.env.RELAYS
  if (!relays) throw new UsageFailure('no relay is named', 'give --relays, or set RELAYS')
  const deployer = args.deployer || known.deployer || io.env.DEPLOYER
  if (!deployer || !validateStacksAddress(deployer))
    throw new UsageFailure(
      `--deployer: ${deployer ?? 'nobody'} is not a Stacks address`,
      'give --deployer, or set DEPLOYER',
    )
  const usual = envFields(nodeEnv).find(({ name }) => name === 'STACKS_API_URL')!.fallback
  const stacksUrl = args['stacks-url'] || known.stacksUrl || io.env.STACKS_API_URL || usual
  if (!/^https?:\/\/[^\s]+$/.test(stacksUrl))
    throw new UsageFailure(`--stacks-url: ${stacksUrl} is not an http(s) URL`)
  const releaseKey = args['release-key'] || known.releaseKey || coordinate.split(':')[1]
  if (!isHex32(releaseKey)) throw new UsageFailure(`--release-key: ${releaseKey} is not a public key`)
  const config = parseConfig({ coordinate, releaseKey, relays: parseList(relays) })
  if (!config.ok) throw new UsageFailure(config.reason.replace('understudy.json: ', ''))
  const repository = args['repository-url'] || known.repository || (await originOf(repo))
  const api = (args.api || known.api || io.env.API_URL)?.replace(/\/+$/, '')
  for (const [option, url] of [
    ['repository-url', repository],
    ['api', api],
  ]) {
    if (url && !/^https?:\/\/[^\s()]+$/.test(url))
      throw new UsageFailure(`--${option}: ${url} is not an http(s) URL`)
  }
  return {
    ...config.value,
    stacksUrl,
    deployer,
    ...(repository ? { repository } : {}),
    ...(api ? { api } : {}),
  }
}

function knownSettings(file: string): z.infer<typeof knownSchema> {
  const text = readExisting(file)
  try {
    return knownSchema.parse(JSON.parse(text ?? '{}'))
  } catch (cause) {
    throw new Failure('bad-settings', `${file} is no JSON of the settings`, 'mend or remove it', { cause })
  }
}

function readExisting(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** The part of a README between our marks, marks included. */
function blockIn(text: string): readonly [start: number, end: number] | undefined {
  const start = text.indexOf(marks[0])
  const end = text.indexOf(marks[1], start)
  return start < 0 || end < 0 ? undefined : [start, end + marks[1].length]
}

/** Whether writing the file would undo something that somebody else wrote. */
function changes(before: string, file: DeployFile): boolean {
  return file.merge === 'block' ? blockIn(before) !== undefined : true
}

function merged(before: string | undefined, { text, merge }: DeployFile): string {
  if (merge === 'lines') {
    const there = new Set(before?.split('\n'))
    const missing = text.split('\n').filter((line) => line !== '' && !there.has(line))
    const start =
      before === undefined || before === '' || before.endsWith('\n') ? (before ?? '') : `${before}\n`
    return start + missing.map((line) => `${line}\n`).join('')
  }
  if (merge === 'block') {
    if (before === undefined || before === '') return text
    const block = blockIn(before)
    if (block) return before.slice(0, block[0]) + text.trimEnd() + before.slice(block[1])
    // After the title, where badges stand.
    const title = /^# .*\n/m.exec(before)
    const at = title ? title.index + title[0].length : 0
    return `${before.slice(0, at)}${at > 0 ? '\n' : ''}${text}${before.slice(at).startsWith('\n') ? '' : '\n'}${before.slice(at)}`
  }
  return text
}

/** Lines that come and go, as git shows them. */
async function differences(before: string, after: string): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'understudy-diff-'))
  try {
    writeFileSync(join(folder, 'before'), before)
    writeFileSync(join(folder, 'after'), after)
    const args = ['diff', '--no-index', '--no-color', '--unified=1', 'before', 'after']
    const { stdout } = await run('git', args, { cwd: folder }).catch((cause: { stdout?: string }) => {
      // git answers 1 where they differ.
      if (typeof cause.stdout === 'string' && cause.stdout !== '') return { stdout: cause.stdout }
      throw new Failure('no-git', 'git is needed to show what differs', 'install git', { cause })
    })
    return stdout
      .split('\n')
      .slice(4)
      .filter((line) => line !== '')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The web address of a checkout's origin, where it has one. */
async function originOf(repo: string): Promise<string | undefined> {
  try {
    const { stdout } = await run('git', ['-C', repo, 'remote', 'get-url', 'origin'])
    const origin = stdout.trim().replace(/\.git$/, '')
    const scp = /^git@([\w.-]+):([^\s]+)$/.exec(origin)
    if (scp) return `https://${scp[1]}/${scp[2]}`
    return /^https:\/\/[^\s()@]+$/.test(origin) ? origin : undefined
  } catch {
    return undefined
  }
}
