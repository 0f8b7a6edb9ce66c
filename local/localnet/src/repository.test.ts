import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { git } from './git.ts'
import { commitSecond, countFiles, createMaster, fork, requirePublic, syncFork } from './repository.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'repository-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const config = {
  coordinate: `30617:${'a'.repeat(64)}:x`,
  releaseKey: 'b'.repeat(64),
  relays: ['ws://127.0.0.1:1'],
}

test('the demo app has two releases, and carries what it needs to survive', async () => {
  const { checkout, forge, entry } = await createMaster(folder, config, undefined)
  expect(entry).toBe('/index.html')
  expect(JSON.parse(readFileSync(join(checkout, 'understudy.json'), 'utf8'))).toEqual(config)
  await fork(forge, 'good')
  await fork(forge, 'stale')
  const first = await git(checkout, 'rev-parse', 'HEAD')
  await commitSecond(checkout, entry, config, undefined)
  await syncFork(forge, 'good')
  const second = await git(checkout, 'rev-parse', 'HEAD')
  expect(await git(checkout, 'rev-parse', 'HEAD~1')).toBe(first)
  expect(await git(checkout, 'diff', '--name-only', first, second)).toBe('index.html\nplays/tonight.json')
  expect(await git(join(forge, 'good.git'), 'rev-parse', 'main')).toBe(second)
  expect(await git(join(forge, 'stale.git'), 'rev-parse', 'main')).toBe(first)
})

test('a repository of somebody else is copied, not changed, and its page learns to survive', async () => {
  const theirs = join(folder, 'theirs')
  mkdirSync(theirs)
  execFileSync('git', ['init', '--quiet', '--initial-branch', 'trunk'], { cwd: theirs })
  writeFileSync(join(theirs, 'index.html'), '<html><head></head><body>theirs</body></html>')
  writeFileSync(join(theirs, '.gitignore'), '*.json\n')
  await git(theirs, 'add', '--all')
  await git(theirs, 'commit', '--quiet', '-m', 'Theirs')
  const { checkout, entry } = await createMaster(join(folder, 'data'), config, theirs)
  expect(await git(checkout, 'rev-parse', 'HEAD')).toBe(await git(theirs, 'rev-parse', 'HEAD'))
  await commitSecond(checkout, entry, config, theirs)
  expect(await countFiles(checkout)).toBe(5)
  expect(await git(checkout, 'show', 'HEAD:index.html')).toContain(
    '<script type="module" src="./understudy.js">',
  )
  expect(readFileSync(join(theirs, 'index.html'), 'utf8')).not.toContain('understudy')
  expect(existsSync(join(theirs, 'understudy.json'))).toBe(false)
})

test.each([
  ['https://127.0.0.1/app.git', 'not an IP address'],
  ['https://[::1]/app.git', 'not an IP address'],
  ['https://me:secret@host.example/app.git', 'credentials'],
  ['file:///etc', 'file:// is not allowed'],
])('%s is not cloned', async (url, reason) => {
  await expect(requirePublic(url)).rejects.toThrow(reason)
})
