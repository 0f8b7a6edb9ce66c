import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { understudy } from './understudy.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cli-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Runs a command line with nothing of this machine's environment but what is given. */
async function run(args: readonly string[], env: Record<string, string> = {}) {
  const out: string[] = []
  const err: string[] = []
  const code = await understudy(args, {
    env: { UNDERSTUDY_KEYS: join(folder, 'keys'), ...env },
    cwd: folder,
    now: () => 1_700_000_000_000,
    say: (line) => err.push(line),
    print: (text) => out.push(text),
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

const app = `30617:${'a'.repeat(64)}:playbill`
const chain = {
  STACKS_API_URL: 'http://127.0.0.1:9',
  DEPLOYER: 'ST000000000000000000002AMW42H',
  RELAYS: 'ws://127.0.0.1:9',
}

describe('usage', () => {
  test('without a command it lists them and exits 2; with --help it exits 0', async () => {
    const bare = await run([])
    expect(bare.code).toBe(2)
    expect(bare.out).toContain('release')
    expect((await run(['--help'])).code).toBe(0)
  })

  test.each([
    [['app', 'register', '--help'], '--attesters'],
    [['release', '--help'], '--commit'],
    [['mirror', 'register', '--help'], '--node-key'],
    [['fund', '--help'], '--amount'],
    [['claim', '--help'], '--recipient'],
    [['status', '--help'], 'APP'],
    [['verify', 'epoch', '--help'], '--explain'],
    [['bundle', 'epoch', '--help'], '--out'],
    [['keys', 'show', '--help'], '--secret'],
    [['init', '--help'], '--dry-run'],
    [['mirror', 'expect', '--help'], '--network'],
    [['mirror', 'rewards', '--help'], '--wait'],
    [['app', 'rules', 'change', '--help'], '--from'],
    [['node', '--help'], 'environment'],
    [['node', '--help'], '--state-only'],
  ])('%j explains itself', async (args, word) => {
    const { code, out } = await run(args)
    expect(code).toBe(0)
    expect(out).toContain(word)
  })

  test.each([
    [['frobnicate'], 'unknown command frobnicate\n  fix: known are: init, doctor, app'],
    [['fnud', '--app', app], 'unknown command fnud\n  fix: did you mean: understudy fund?'],
    [['deploy', '--help'], 'unknown command deploy'],
    [['mirror', 'add-bnod'], 'unknown command add-bnod\n  fix: did you mean: understudy mirror add-bond?'],
    [['fund', '--app', app], 'Missing required argument: --amount'],
    [['attester', '--state-only'], 'unknown option --state-only'],
    [['activate'], 'no app is named'],
    [
      ['fund', '--app', app, '--amount', '1stx', '--amout', '2'],
      'unknown option --amout\n  fix: did you mean --amount?',
    ],
    [['fund', '--app', app, '--amount', 'lots'], '--amount: lots is not an amount'],
    [['fund', '--app', app, '--amount', '0'], '--amount: nothing is no deposit'],
    [['fund', '--app', 'playbill', '--amount', '1stx'], 'playbill is not an app'],
    [['fund', '--app', app, '--amount', '1stx', 'more'], 'unexpected argument more'],
    [['claim', '--app', app, '--epoch', 'x'], '--epoch: x is not a whole number'],
    [['claim', '--app', app, '--api', 'here'], '--api: here is not a URL'],
    [
      ['mirror', 'register', '--app', app, '--node-key', 'k', '--endpoint', 'https://a'],
      '--node-key: k is not',
    ],
    [
      ['mirror', 'register', '--app', app, '--node-key', 'b'.repeat(64), '--endpoint', 'ftp://a'],
      '--endpoint: ftp://a is not an http(s) URL',
    ],
    [['status', app, '--deployer', 'me'], '--deployer: me is not a Stacks address'],
    [['status', app, '--stacks-url', 'file:///etc'], '--stacks-url: file:///etc is not an http(s) URL'],
    [['status'], 'no app is named'],
    [['node', '--port', '1'], 'unknown option --port'],
  ])('%j is refused with exit code 2', async (args, message) => {
    await run(['keys', 'new'])
    const { code, err } = await run(args, chain)
    expect(err).toContain(`error: ${message}`)
    expect(code).toBe(2)
  })

  test('what is not named is asked for by option and by variable', async () => {
    const { code, err } = await run(['status', app])
    expect(code).toBe(2)
    expect(err).toContain('fix: give --stacks-url, or set STACKS_API_URL')
  })

  test('with --json a failure is JSON as well', async () => {
    const { code, out } = await run(['status', app, '--json'], chain)
    expect(code).toBe(1)
    expect(JSON.parse(out)).toEqual({
      error: {
        code: 'no-chain',
        message: 'http://127.0.0.1:9 does not answer',
        fix: 'is --stacks-url right?',
      },
    })
  })
})

describe('keys', () => {
  test('new keys are readable by their owner alone, and never shown unless asked for', async () => {
    const made = await run(['keys', 'new', '--json'])
    const { nostr, testnet } = JSON.parse(made.out)
    const files = ['stacks', 'nostr'].map((name) => join(folder, 'keys', `${name}.key`))
    for (const file of files) expect(statSync(file).mode & 0o777).toBe(0o600)
    const shown = await run(['keys', 'show', '--json'])
    expect(JSON.parse(shown.out)).toMatchObject({ nostr, testnet })
    const secrets = files.map((file) => readFileSync(file, 'utf8').trim())
    for (const secret of secrets) expect(made.out + made.err + shown.out + shown.err).not.toContain(secret)
    const asked = await run(['keys', 'show', '--secret', '--json'])
    expect(JSON.parse(asked.out)).toMatchObject({ stacksSecret: secrets[0], nostrSecret: secrets[1] })
  })

  test('a key is never replaced', async () => {
    await run(['keys', 'new'])
    const before = readFileSync(join(folder, 'keys/stacks.key'), 'utf8')
    const { code, err } = await run(['keys', 'new'])
    expect(code).toBe(1)
    expect(err).toContain('already holds a key')
    expect(readFileSync(join(folder, 'keys/stacks.key'), 'utf8')).toBe(before)
  })

  test('a key that others can read is refused, and the fix is named', async () => {
    await run(['keys', 'new'])
    chmodSync(join(folder, 'keys/stacks.key'), 0o644)
    const { code, err } = await run(['keys', 'show'])
    expect(code).toBe(1)
    expect(err).toContain(`fix: close it with: chmod 600 ${join(folder, 'keys/stacks.key')}`)
  })

  test('a file that holds no key is refused without showing what it holds', async () => {
    await run(['keys', 'new'])
    writeFileSync(join(folder, 'keys/nostr.key'), 'correct horse battery staple')
    const { code, err } = await run(['keys', 'show'])
    expect(code).toBe(1)
    expect(err).toContain('holds no key')
    expect(err).not.toContain('horse')
  })

  test('a missing key names the command that makes one', async () => {
    const { err } = await run(['fund', '--app', app, '--amount', '1stx'], chain)
    expect(err).toContain('fix: make one with: understudy keys new')
  })
})

describe('release', () => {
  test('outside a repository it says so', async () => {
    await run(['keys', 'new'])
    const { code, err } = await run(['release', '--app', app], chain)
    expect(code).toBe(1)
    expect(err).toContain('is not a git repository')
  })

  test('a repository without a commit has nothing to release', async () => {
    await run(['keys', 'new'])
    execFileSync('git', ['init', '--quiet'], { cwd: folder })
    const { err } = await run(['release', '--app', app], chain)
    expect(err).toContain('HEAD is no commit of')
  })

  test.each([
    [
      'is not reproducible',
      `writeFileSync('dist/a.txt', String(Math.random()))`,
      /\/a\.txt changes with every build/,
    ],
    ['fails', `throw new Error('no such template')`, /no such template/],
    ['makes nothing', '', /is no file|no files|output folder/],
  ])('a build that %s is not signed', async (_, script, why) => {
    await run(['keys', 'new'])
    const git = (...args: string[]) =>
      execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org', ...args], {
        cwd: folder,
      })
    git('init', '--quiet')
    const made = script ? `mkdirSync('dist');${script}` : ''
    writeFileSync(join(folder, 'build.mjs'), `import { mkdirSync, writeFileSync } from 'node:fs';${made}`)
    git('add', 'build.mjs')
    git('commit', '--quiet', '--message', 'one')
    const { code, err } = await run(['release', '--app', app, '--build', 'node build.mjs'], chain)
    expect(code).toBe(1)
    expect(err).toMatch(why)
    expect(err).toContain('fix: ')
  })
})
