import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Objects, openObjects } from '@understudy/git/objects'
import { type SampleRepository, sampleRepository } from '@understudy/git/sample'
import type { Release } from '@understudy/protocol/release'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type BuildParts, buildCommit, createBuilder, manifestOf } from './build.ts'
import { createFiles, type Files } from './files.ts'
import { isolation } from './sandbox.ts'

vi.setConfig({ testTimeout: 120_000 })

/** A site generator as people have them: reads sources, writes pages and a bundle. */
const generator = `
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
mkdirSync('dist/assets', { recursive: true })
for (const name of readdirSync('pages')) {
  const text = readFileSync('pages/' + name, 'utf8')
  writeFileSync('dist/' + name.replace('.md', '.html'), '<!doctype html><p>' + text + '</p>')
}
writeFileSync('dist/assets/built.json', JSON.stringify({ at: Number(process.env.SOURCE_DATE_EPOCH), cwd: process.cwd() }))
cpSync('logo.svg', 'dist/assets/logo.svg')
`
const recipe = { command: ['node', 'build.mjs'], output: 'dist' }
let home: string
let source: SampleRepository
let objects: Objects
let files: Files
let parts: BuildParts

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'understudy-builds-'))
  source = sampleRepository()
  const gitDir = join(source.dir, '.git')
  objects = openObjects(gitDir)
  files = createFiles({ objects, dir: join(home, 'files') })
  parts = { gitDir, objects, hidden: home }
})

afterAll(async () => {
  await objects.close()
  source.remove()
  rmSync(home, { recursive: true, force: true })
})

const commitOf = (script: string) =>
  source.commit({
    'build.mjs': script,
    'pages/index.md': 'Hello',
    'pages/about.md': 'About',
    'logo.svg': '<svg/>',
  })

/** A release of what the commit builds to, but for what the test changes. */
async function releaseOf(commit: string, change: (files: Map<string, string>) => void = () => {}) {
  const built = await buildCommit(commit, recipe, parts)
  if (!built.ok) throw new Error(built.reason)
  await built.value.remove()
  const signed = new Map(built.value.files.map((file) => [file.path, file.sha256]))
  change(signed)
  const listed = [...signed].map(([path, sha256]) => ({ path, sha256, size: 0 }))
  return { commit, manifest: manifestOf({ files: listed }), files: listed } as unknown as Release
}

const build = (release: Release) => createBuilder({ ...parts, files })(release, recipe)

test('what is built is what was signed, and is served from the disk', async () => {
  const commit = commitOf(generator)
  const made = await build(await releaseOf(commit))
  if (!made.ok) throw new Error(made.reason)
  expect(made.value.map(({ path }) => path)).toEqual([
    '/about.html',
    '/assets/built.json',
    '/assets/logo.svg',
    '/index.html',
  ])
  const content = await files.content(made.value.at(-1)!)
  expect('bytes' in content && Buffer.from(content.bytes).toString()).toBe('<!doctype html><p>Hello</p>')
  await files.layOut(made.value)
  rmSync(join(home, 'files', made.value[0]!.sha256))
  await expect(files.layOut(made.value)).rejects.toThrow(/no longer on disk/)
})

test('a build that is not reproducible is refused, file by file', async () => {
  const commit = commitOf(
    `${generator}\nwriteFileSync('dist/assets/id.txt', 'build ' + process.hrtime.bigint() + Math.random())
    writeFileSync('dist/' + process.hrtime.bigint() + '.js', '')`,
  )
  const made = await build(await releaseOf(commit))
  if (made.ok) throw new Error('expected a refusal')
  expect(made.reason).toMatch(/the build is not what was signed/)
  expect(made.reason).toMatch(/\/assets\/id\.txt changes with every build, from byte \d+ on/)
  expect(made.reason).toMatch(/\.js is made by one build and not by the next/)
  expect(made.reason).not.toMatch(/index\.html/)
})

test('a list that names other bytes, more files or fewer is refused, file by file', async () => {
  const release = await releaseOf(commitOf(generator), (signed) => {
    signed.set('/index.html', 'f'.repeat(64))
    signed.set('/more.html', 'e'.repeat(64))
    signed.delete('/about.html')
  })
  const made = await build(release)
  if (made.ok) throw new Error('expected a refusal')
  expect(made.reason).toMatch(/\/index\.html \(\d+ bytes\) hashes to [0-9a-f]{12}…, signed was ffffffffffff…/)
  expect(made.reason).toMatch(/\/more\.html is signed and was not made/)
  expect(made.reason).toMatch(/\/about\.html is not in the signed list/)
})

test('a build reaches no network, sees no key, and inherits no variable', async () => {
  writeFileSync(join(home, 'node.key'), 'secret of the node')
  process.env.UNDERSTUDY_TEST_SECRET = 'secret of the shell'
  const server = createServer((_, response) => response.end('reached')).listen(0, '127.0.0.1')
  await new Promise((listening) => server.once('listening', listening))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const spy = `
    import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
    const attempt = async (what) => { try { return await what() } catch (error) { return 'refused: ' + (error.cause?.code ?? error.code) } }
    mkdirSync('dist')
    writeFileSync('dist/seen.json', JSON.stringify({
      network: await attempt(async () => (await fetch(${JSON.stringify(url)})).text()),
      key: await attempt(async () => readFileSync(${JSON.stringify(join(home, 'node.key'))}, 'utf8')),
      env: Object.keys(process.env),
    }))`
  const built = await buildCommit(commitOf(spy), recipe, parts)
  server.close()
  delete process.env.UNDERSTUDY_TEST_SECRET
  if (!built.ok) throw new Error(built.reason)
  const seen = JSON.parse(readFileSync(built.value.pathOf(built.value.files[0]!), 'utf8'))
  await built.value.remove()
  expect(seen.env).not.toContain('UNDERSTUDY_TEST_SECRET')
  const { nameSpaces } = await isolation()
  expect(seen.network).toMatch(nameSpaces ? /^refused: ECONNREFUSED|^refused: ENETUNREACH/ : /reached/)
  expect(seen.key).toMatch(nameSpaces ? /^refused: ENOENT/ : /secret of the node/)
})

test('a build that needs the network, hangs, or leaves no or a strange output fails and says why', async () => {
  const fails = async (script: string, timeoutMs = 60_000) => {
    const built = await buildCommit(commitOf(script), recipe, { ...parts, timeoutMs })
    if (built.ok) throw new Error('expected a failure')
    return built.reason
  }
  const { nameSpaces } = await isolation()
  if (nameSpaces)
    expect(await fails(`await fetch('https://192.0.2.1/')`)).toMatch(/build failed: node build.mjs ended/)
  expect(await fails(`throw new Error('no such page')`)).toMatch(/no such page/)
  expect(await fails(`setInterval(() => {}, 1000)`, 1_500)).toMatch(/took longer than 1.5 s/)
  expect(await fails('')).toBe('the build left no output folder')
  const link = `import { mkdirSync, symlinkSync } from 'node:fs'; mkdirSync('dist'); symlinkSync('/etc/passwd', 'dist/a')`
  expect(await fails(link)).toBe('the build made /a, which is neither file nor folder')
})
