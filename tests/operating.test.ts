import { execFileSync, spawn } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { connect } from '@understudy/host/postgres'
import { type Network, startNetwork } from '@understudy/localnet/network'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installPacked, type Packed, plainEnv, publishedPackages } from './operator/packed.ts'

const folder = mkdtempSync(join(tmpdir(), 'understudy-operating-'))
/** Stands for a checkout of the project: `npm start` keeps its network below it. */
const checkout = join(folder, 'checkout')
let packed: Packed
let starting: Promise<Network>

beforeAll(async () => {
  mkdirSync(checkout)
  // Both mostly wait, for blocks and for the registry. Epoch 0 begins once the mirror below can be bonded.
  starting = startNetwork({ dataDir: join(checkout, '.understudy'), ports: 'any', lead: 60 })
  ;[packed] = await Promise.all([installPacked(folder), starting])
}, 600_000)

afterAll(async () => {
  await (await starting.catch(() => undefined))?.stop()
  rmSync(folder, { recursive: true, force: true })
}, 300_000)

/** The commands of docs/operating.md, block by block: a fence that says only `sh` is run. */
function commands(): string[] {
  const text = readFileSync(new URL('../docs/operating.md', import.meta.url), 'utf8')
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block!)
}

/** The end of what the mirror said. */
function nodeLog(): string {
  const path = join(checkout, 'my-mirror', 'node.log')
  return existsSync(path) ? readFileSync(path, 'utf8').slice(-5_000) : ''
}

interface Ran {
  readonly code: number | null
  /** What every block said. */
  readonly said: readonly string[]
  /** When every block began, ms since 1970. */
  readonly began: readonly number[]
}

/** Runs blocks in one shell, as somebody would who types them one after another; the first that fails ends it. */
function shell(blocks: readonly string[], timeoutMs: number): Promise<Ran> {
  const script = blocks.map((block, at) => `printf '\\n@@ ${at}\\n'\n${block}`).join('\n')
  const said: string[] = []
  const began: number[] = []
  return new Promise((resolve, reject) => {
    const child = spawn(
      'bash',
      ['-euo', 'pipefail', '-c', `trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n${script}`],
      {
        cwd: checkout,
        env: { ...plainEnv, HOME: folder, PATH: `${packed.bin}:${process.env.PATH}` },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    const timer = setTimeout(() => child.kill('SIGTERM'), timeoutMs)
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        if (/^@@ \d+$/.test(line)) {
          began.push(Date.now())
          said.push('')
        } else said[said.length - 1] += `${line}\n`
      })
    }
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, said, began })
    })
  })
}

describe('the published packages', () => {
  it('depend on each other by version, on nothing by git or path, and say their licence', () => {
    const packages = publishedPackages()
    const own = new Map(packages.map(({ file }) => [file.name, file.version]))
    expect(own.has('understudy')).toBe(true)
    for (const { file } of packages) {
      expect(file.license, file.name).toBe('MIT')
      for (const [name, range] of Object.entries(file.dependencies ?? {})) {
        expect(range, `${file.name}: ${name}`).toMatch(/^[\^~]?\d+\.\d+\.\d+(-[\w.]+)?$/)
        if (name === 'understudy' || name.startsWith('@understudy/'))
          expect(range, `${file.name}: ${name}`).toBe(own.get(name))
      }
    }
  })

  it('are installed without links or tests, and run', { timeout: 300_000 }, () => {
    for (const { file } of publishedPackages()) {
      const installed = join(packed.modules, file.name)
      expect(lstatSync(installed).isSymbolicLink(), file.name).toBe(false)
      expect(readdirSync(installed)).toContain('LICENSE')
      const inside = readdirSync(installed, { recursive: true }).map(String)
      expect(inside.filter((path) => /\.test\.|\.tsbuildinfo$/.test(path))).toEqual([])
    }
    const help = (...args: string[]) =>
      execFileSync(join(packed.bin, 'understudy'), [...args, '--help'], {
        cwd: folder,
        env: { ...plainEnv, HOME: folder },
        encoding: 'utf8',
        timeout: 60_000,
      })
    expect(help()).toContain('doctor')
    expect(help('node')).toContain('environment')
  })
})

describe('docs/operating.md, with the packed packages', () => {
  it('leads from a fork to the first passed probe and the first reward, every command to the letter', {
    timeout: 620_000,
  }, async () => {
    const blocks = commands()
    const { code, said, began } = await shell(blocks, 600_000)
    expect(code, `${blocks[said.length - 1]}: ${said.at(-1)}\n${code === 0 ? '' : nodeLog()}`).toBe(0)

    const blockOf = (command: string) => {
      const at = blocks.findIndex((block) => block.includes(command))
      expect(at, command).toBeGreaterThanOrEqual(0)
      return at
    }
    expect(said[blockOf('understudy mirror expect')]).toContain('A place of its own earns up to')
    expect(said[blockOf('understudy mirror register')]).toContain('A place of its own earns up to')
    expect(said[blockOf('understudy doctor')]).toContain('all is well')
    expect(said[blockOf('understudy mirror rewards\n')]).toMatch(/paid by 0x[0-9a-f]{64}/)

    const cloned = began[blockOf('git clone')]!
    const firstProbe = await firstPassed(await starting, said[blockOf('understudy mirror register')]!)
    const seconds = (firstProbe - cloned) / 1_000
    console.log(JSON.stringify({ docs: 'operating', cloneToFirstPassedProbeSeconds: seconds }))
    expect(firstProbe).toBeGreaterThan(cloned)
  })
})

/** When an attester first found the mirror that these lines registered to pass, ms since 1970. */
async function firstPassed(network: Network, registration: string): Promise<number> {
  const mirror = Number(/^mirror {7}(\d+)$/m.exec(registration)?.[1])
  const password = readFileSync(join(network.dataDir, 'postgres.password'), 'utf8').trim()
  const { postgres } = JSON.parse(readFileSync(join(network.dataDir, 'ports.json'), 'utf8')) as {
    postgres: number
  }
  const found = await Promise.all(
    [...network.attesters.keys()].map(async (name) => {
      const database = `understudy_${name.replace('-', '_')}`
      const pool = connect(`postgres://postgres:${password}@127.0.0.1:${postgres}/${database}`)
      try {
        const query =
          "select min(at)::float8 as ms from observations where mirror = $1 and outcome = 'passed'"
        const { rows } = await pool.query<{ ms: number | null }>(query, [mirror])
        return rows[0]?.ms ?? Number.POSITIVE_INFINITY
      } finally {
        await pool.end()
      }
    }),
  )
  return Math.min(...found)
}
