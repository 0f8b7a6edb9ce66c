import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '@understudy/client/config'
import { envFields, parseEnv } from '@understudy/host/config'
import { nodeEnv } from '@understudy/node/config'
import { validate } from 'dockerfile-utils'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { imageValues, localOnly } from './deploy/settings.ts'
import { understudy } from './understudy.ts'
import { version } from './version.ts'

const coordinate = `30617:${'a'.repeat(64)}:playbill`
const network = [
  ...['--app', coordinate, '--relays', 'wss://relay.example,wss://other.example'],
  ...['--deployer', 'ST000000000000000000002AMW42H', '--repository-url', 'https://git.example/you/playbill'],
  ...['--api', 'https://registry.example'],
]
/** What an operator fills in. */
const operator = {
  REPOSITORY_URL: 'https://git.example/me/playbill.git',
  PUBLIC_URL: 'https://mirror.example',
  STX_ADDRESS: 'ST000000000000000000002AMW42H',
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'init-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function init(...args: string[]) {
  const out: string[] = []
  const err: string[] = []
  const code = await understudy(['init', ...args], {
    env: {},
    cwd: folder,
    now: () => 1_700_000_000_000,
    say: (line) => err.push(line),
    print: (text) => out.push(text),
  })
  return { code, out: out.join('\n'), err: err.join('\n') }
}

const file = (path: string) => readFileSync(join(folder, path), 'utf8')
const write = (path: string, text: string) => writeFileSync(join(folder, path), text)

/** Runs a tool of the system; one that is missing fails with the line that installs it. */
function tool(name: string, args: string[], install: string, env: Record<string, string> = {}) {
  const run = spawnSync(name, args, { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env } })
  if (run.error) throw new Error(`${name} is not installed; on Debian: apt-get install ${install}`)
  return { code: run.status, said: `${run.stdout}${run.stderr}` }
}

describe('what init writes', () => {
  beforeEach(async () => {
    write('README.md', '# Playbill\n\nTonight.\n')
    expect(await init(...network)).toMatchObject({ code: 0, err: '' })
  })

  test('understudy.json is what apps read', () => {
    expect(parseConfig(JSON.parse(file('understudy.json')))).toMatchObject({
      ok: true,
      value: { coordinate },
    })
  })

  test('the Dockerfile is free of lint, runs as nobody special, and checks its health', () => {
    const text = file('Dockerfile')
    expect(validate(text)).toEqual([])
    expect(text).toMatch(/^USER node$/m)
    expect(text).toMatch(/^HEALTHCHECK .*\/healthz/m)
    expect(text).toContain(`understudy@${version}`)
    const check = /--eval", "(.*)"\]$/m.exec(text)![1]!
    const dead = spawnSync(process.execPath, ['--eval', check], { env: { ...process.env, PORT: '9' } })
    expect(dead.status).toBe(1)
  })

  test('docker-compose reads the compose file, with a filled-in .env beside it', () => {
    const filled = Object.entries(operator).map(([name, value]) => `${name}=${value}\n`)
    write('.env', file('.env.example') + filled.join(''))
    const { code, said } = tool('docker-compose', ['config'], 'docker-compose')
    expect(said).toContain('PUBLIC_URL: https://mirror.example')
    expect(code, said).toBe(0)
    const { services } = parseYaml(said) as { services: { node: { environment: Record<string, string> } } }
    expect(parseEnv(nodeEnv, services.node.environment)).toMatchObject({ ok: true, value: { PORT: 8080 } })
  })

  test('Caddy takes the Caddyfile', () => {
    const args = ['validate', '--adapter', 'caddyfile', '--config', 'deploy/Caddyfile']
    const env = {
      PUBLIC_URL: operator.PUBLIC_URL,
      HOME: folder,
      XDG_DATA_HOME: folder,
      XDG_CONFIG_HOME: folder,
    }
    const { code, said } = tool('caddy', args, 'caddy', env)
    expect(code, said).toBe(0)
    expect(said).toContain('Valid configuration')
  })

  test('systemd takes the unit without a word, and finds little to attack', () => {
    const verified = tool('systemd-analyze', ['verify', 'deploy/understudy.service'], 'systemd')
    expect(verified.code, verified.said).toBe(0)
    expect(verified.said).not.toContain('understudy.service')
    const args = ['security', '--offline=true', '--threshold=30', '--no-pager', 'deploy/understudy.service']
    const exposed = tool('systemd-analyze', args, 'systemd')
    expect(exposed.code, exposed.said).toBe(0)
  })

  test('app.json and heroku.yml are what Heroku documents', () => {
    const variable = z.strictObject({
      description: z.string(),
      required: z.boolean(),
      value: z.string().optional(),
    })
    const schema = z.strictObject({
      name: z.string().max(30),
      description: z.string().max(140),
      repository: z.url(),
      keywords: z.array(z.string()),
      stack: z.literal('container'),
      formation: z.record(z.string(), z.strictObject({ quantity: z.int(), size: z.string() })),
      env: z.record(z.string(), variable),
    })
    const app = schema.parse(JSON.parse(file('app.json')))
    const given = Object.entries(app.env).map(([name, { value }]) => [name, value])
    expect(parseEnv(nodeEnv, { ...Object.fromEntries(given), ...operator })).toMatchObject({ ok: true })
    const build = z.strictObject({ build: z.strictObject({ docker: z.strictObject({ web: z.string() }) }) })
    expect(build.parse(parseYaml(file('heroku.yml'))).build.docker.web).toBe('Dockerfile')
  })

  test('render.yaml is what Render documents', () => {
    const variable = z.union([
      z.strictObject({ key: z.string(), value: z.string() }),
      z.strictObject({ key: z.string(), sync: z.literal(false) }),
    ])
    const service = z.strictObject({
      type: z.literal('web'),
      name: z.string(),
      runtime: z.literal('docker'),
      dockerfilePath: z.string(),
      plan: z.string(),
      healthCheckPath: z.string().startsWith('/'),
      envVars: z.array(variable),
    })
    const { services } = z
      .strictObject({ services: z.array(service).length(1) })
      .parse(parseYaml(file('render.yaml')))
    const unset = services[0]!.envVars.filter((row) => 'sync' in row).map(({ key }) => key)
    expect(unset.sort()).toEqual(Object.keys(operator).sort())
  })

  test('each variable stands in the schema, the files and the documents', async () => {
    const fields = envFields(nodeEnv)
    const rows = fields.map(
      ({ name, purpose, required, fallback }) =>
        `| \`${name}\` | ${required ? 'yes' : ''} | ${fallback ? `\`${fallback}\`` : ''} | ${purpose} |`,
    )
    const table = [
      '# Variables of a node',
      '',
      'Made from `node/src/config.ts`, like every file that `understudy init` writes.',
      '',
      '| variable | needed | default | |',
      '|---|---|---|---|',
      ...rows,
      '',
    ]
    await expect(table.join('\n')).toMatchFileSnapshot('../../docs/environment.md')
    const example = file('.env.example')
    for (const { name } of fields) expect(example, name).toMatch(new RegExp(`^(# )?${name}=`, 'm'))
    const platforms = fields.filter(({ name }) => !(name in imageValues) && !localOnly.has(name))
    for (const { name } of platforms) {
      expect(Object.keys(JSON.parse(file('app.json')).env)).toContain(name)
      expect(file('render.yaml'), name).toMatch(new RegExp(`(key: |# )${name}\\b`))
    }
    for (const name of Object.keys(imageValues)) {
      expect(file('Dockerfile')).toContain(`${name}=`)
      expect(file('compose.yaml')).toContain(`${name}:`)
      expect(file('deploy/understudy.service')).toContain(`${name}=`)
    }
    const operating = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8')
    for (const { name, required } of fields) if (required) expect(operating, name).toContain(name)
    expect(fields.filter(({ required }) => required).length).toBeLessThanOrEqual(6)
  })

  test('the README keeps its words and gets badges and buttons below its title', async () => {
    const readme = file('README.md')
    expect(readme).toMatch(/^# Playbill\n\n<!-- understudy:begin -->\n/)
    expect(readme).toMatch(/<!-- understudy:end -->\n\nTonight\.\n$/)
    expect(readme).toContain('https://render.com/deploy?repo=https://git.example/you/playbill')
    expect(readme).toContain('/backup-servers.svg')
  })

  test('git ignores what is the operator’s own', () => {
    expect(file('.gitignore').split('\n')).toEqual(['.env', 'data/', ''])
  })

  test('a second run, without options, changes nothing', async () => {
    const { code, out } = await init('--json')
    expect(code).toBe(0)
    const { files } = JSON.parse(out) as { files: { fate: string }[] }
    expect(new Set(files.map(({ fate }) => fate))).toEqual(new Set(['unchanged']))
  })

  test('a file that was changed is kept, its difference shown; --force overwrites it', async () => {
    write('Dockerfile', file('Dockerfile').replace('USER node', 'USER root'))
    const kept = await init()
    expect(kept.code).toBe(0)
    expect(kept.out).toMatch(/kept {9}Dockerfile/)
    expect(kept.out).toContain('  -USER root')
    expect(file('Dockerfile')).toContain('USER root')
    await init('--force')
    expect(file('Dockerfile')).toContain('USER node')
  })

  test('other settings show as a difference, and are followed with --force', async () => {
    await init('--relays', 'wss://new.example', '--force')
    for (const path of ['understudy.json', '.env.example', 'app.json', 'render.yaml'])
      expect(file(path), path).toContain('wss://new.example')
  })
})

test('--dry-run shows everything and writes nothing', async () => {
  const { code, out } = await init(...network, '--dry-run')
  expect(code).toBe(0)
  expect(out).toContain('would write  Dockerfile')
  expect(() => file('Dockerfile')).toThrow()
})

test('without an app, and with an unreadable understudy.json, it says what to do', async () => {
  const { code, err } = await init()
  expect(code).toBe(2)
  expect(err).toContain('fix: give --app')
  write('understudy.json', 'x')
  expect((await init(...network)).err).toContain('fix: mend or remove it')
})

test('the version is that of the package', () => {
  const { version: packed } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  expect(version).toBe(packed)
})
