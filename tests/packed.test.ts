import { execFileSync } from 'node:child_process'
import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { installPacked, plainEnv, publishedPackages } from './operator/packed.ts'

const folder = mkdtempSync(join(tmpdir(), 'understudy-packed-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

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

  it('install in a folder of their own, without links, and run', { timeout: 300_000 }, async () => {
    const packed = await installPacked(folder)
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
