import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { own } from './folders.ts'
import { backoff, createSupervisor, readyUrl, type Supervisor } from './supervisor.ts'

let folder: string
let supervisor: Supervisor
const deaths: { name: string; how: string; waitMs: number | null }[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'supervisor-'))
  deaths.length = 0
  supervisor = createSupervisor({
    logDir: join(folder, 'logs'),
    backoffMs: 10,
    graceMs: 500,
    random: () => 0,
    onDeath: (name, how, waitMs) => deaths.push({ name, how, waitMs }),
  })
})

afterEach(async () => {
  await supervisor.stop()
  rmSync(folder, { recursive: true, force: true })
})

function script(source: string): string {
  const file = join(folder, `${Math.random().toString(36).slice(2)}.mjs`)
  writeFileSync(file, source)
  return file
}

const ready = `console.log(JSON.stringify({ msg: 'ready', url: 'http://here:' + process.pid }))\n`
const forever = 'setInterval(() => {}, 1000)\n'

const alive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (holds()) return
    await delay(25)
  }
  throw new Error(`never: ${what}`)
}

test('a program is ready once it says so, and its environment is nothing but its own', async () => {
  process.env.PORT_OF_SOMEBODY = '1'
  const source = `console.log(process.env.PORT_OF_SOMEBODY, process.env.MINE)\n${ready}${forever}`
  const started = supervisor.start({ name: 'one', script: script(source), env: { MINE: 'mine' } })
  expect(await started.ready()).toBe(`http://here:${started.pid()}`)
  await started.stop()
  expect(readFileSync(started.logFile, 'utf8')).toContain('undefined mine\n')
})

test('a program that is killed is started again and becomes ready again', async () => {
  const started = supervisor.start({ name: 'one', script: script(ready + forever) })
  const first = await started.ready()
  started.kill('SIGKILL')
  await until(() => started.restarts() === 1 && started.pid() !== undefined, 'a new start')
  expect(await started.ready()).not.toBe(first)
  expect(deaths).toEqual([{ name: 'one', how: 'by SIGKILL', waitMs: 8 }])
})

test('the wait between two starts doubles up to ten seconds', () => {
  expect([1, 2, 3, 4].map((n) => backoff(n, 100, () => 1))).toEqual([100, 200, 400, 800])
  expect(backoff(30, 100, () => 1)).toBe(10_000)
  expect(backoff(30, 100, () => 0)).toBe(7_500)
})

test('a program that never becomes ready is given up, and the error names its log', async () => {
  const started = supervisor.start({ name: 'one', script: script('process.exit(1)\n') })
  await expect(started.ready()).rejects.toThrow(`with code 1); read ${started.logFile}`)
  expect(deaths.at(-1)?.waitMs).toBeNull()
})

test('a bad configuration (exit code 2) is given up at once', async () => {
  const started = supervisor.start({ name: 'one', script: script('process.exit(2)\n') })
  await expect(started.ready()).rejects.toThrow('with code 2')
  expect(deaths).toHaveLength(1)
})

test('stopping ends a program that ignores SIGTERM, and what it started', async () => {
  const grandchild = script(`process.on('SIGTERM', () => {})\n${forever}`)
  const source = `
    import { spawn } from 'node:child_process'
    process.on('SIGTERM', () => {})
    const child = spawn(process.execPath, [${JSON.stringify(grandchild)}], { stdio: 'ignore' })
    console.log(JSON.stringify({ msg: 'ready', url: String(child.pid) }))
    ${forever}`
  const started = supervisor.start({ name: 'one', script: script(source) })
  const below = Number(await started.ready())
  const pid = started.pid()!
  await supervisor.stop()
  await until(() => !alive(pid) && !alive(below), 'both ended')
  expect(() => supervisor.start({ name: 'two', script: script(forever) })).toThrow('being stopped')
})

test('what others lean on is stopped after them', async () => {
  const trace = join(folder, 'trace')
  const source = (name: string) => `
    import { appendFileSync } from 'node:fs'
    process.on('SIGTERM', () => { appendFileSync(${JSON.stringify(trace)}, '${name} '); process.exit(0) })
    ${ready}${forever}`
  const base = supervisor.start({ name: 'base', script: script(source('base')), base: true })
  const top = supervisor.start({ name: 'top', script: script(source('top')) })
  await Promise.all([base.ready(), top.ready()])
  await supervisor.stop()
  expect(readFileSync(trace, 'utf8')).toBe('top base ')
})

test('no program outlives a supervisor that is killed', async () => {
  const program = script(ready + forever)
  const main = script(`
    import { createSupervisor } from ${JSON.stringify(own('supervisor.js'))}
    const supervisor = createSupervisor({ logDir: ${JSON.stringify(join(folder, 'orphans'))} })
    const started = supervisor.start({ name: 'one', script: ${JSON.stringify(program)} })
    await started.ready()
    console.log(started.pid())`)
  const parent = spawn(process.execPath, [main], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(parent.stdout, 'data')) as [Buffer]
  const pid = Number(line.toString())
  expect(alive(pid)).toBe(true)
  parent.kill('SIGKILL')
  await until(() => !alive(pid), 'the orphan ended')
})

test('only a line of JSON with msg ready says that a program is ready', () => {
  expect(readyUrl('{"level":30,"msg":"ready","url":"ws://a:1"}')).toBe('ws://a:1')
  expect(readyUrl('{"msg":"not ready","url":"x"}')).toBeUndefined()
  expect(readyUrl('{"msg":"ready"')).toBeUndefined()
  expect(readyUrl('ready')).toBeUndefined()
})
