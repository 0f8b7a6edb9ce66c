import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hashFiles } from '@understudy/git/manifest'
import { type Objects, openObjects } from '@understudy/git/objects'
import { prepareRepository, type Repository } from '@understudy/git/repository'
import {
  type SampleForge,
  type SampleRepository,
  sampleForge,
  sampleRepository,
} from '@understudy/git/sample'
import { blobsOf, treeOf } from '@understudy/git/tree'
import { coordinateOf } from '@understudy/protocol/app'
import { parseRelease, releaseTemplates } from '@understudy/protocol/release'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createFiles, type Files } from './files.ts'
import { prepareRelease, prunePrepared } from './preparation.ts'
import type { SignedRelease } from './releases.ts'

const coordinate = coordinateOf('aa'.repeat(32), 'demo')
let home: string
let forge: SampleForge
let source: SampleRepository
let repository: Repository
let objects: Objects
let files: Files
let commit: string

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'understudy-preparation-'))
  forge = await sampleForge()
  source = sampleRepository()
  commit = source.commit({ 'index.html': 'hello', 'copy.html': 'hello', 'large.bin': 'x'.repeat(5_000) })
  source.push(forge.root, 'fork')
  const dir = join(home, 'repository.git')
  repository = await prepareRepository({ dir, url: forge.urlOf('fork'), vantage: forge.vantage })
  objects = openObjects(dir)
  files = createFiles({ objects, dir: join(home, 'files'), smallBytes: 1_000, memoryBytes: 12 })
})

afterAll(async () => {
  await objects.close()
  await forge.close()
  source.remove()
  rmSync(home, { recursive: true, force: true })
})

async function sign(at: string, change: { entry?: string; tree?: string } = {}): Promise<SignedRelease> {
  const dir = join(source.dir, '.git')
  const reader = openObjects(dir)
  const blobs = await blobsOf(dir, at)
  const hashed = blobs.ok ? await hashFiles(blobs.value, reader) : blobs
  await reader.close()
  if (!hashed.ok) throw new Error(hashed.reason)
  const draft = { app: '', d: 'demo', coordinate, commit: at, tree: await treeOf(dir, at), seq: 1 }
  const { snapshot } = releaseTemplates({ ...draft, entry: '/index.html', files: hashed.value, ...change }, 1)
  const event = { ...snapshot, id: '0'.repeat(64), pubkey: 'b'.repeat(64), sig: '' }
  const release = parseRelease(event)
  if (!release.ok) throw new Error(release.reason)
  return { release: release.value, event }
}

const prepare = async (signed: SignedRelease) =>
  prepareRelease(signed, { repository, objects, files, cacheDir: join(home, 'prepared') })

const sha256 = (bytes: string) => createHash('sha256').update(bytes).digest('hex')

describe('a release', () => {
  test('is prepared with its files, those that are large on disk', async () => {
    const made = await prepare(await sign(commit))
    if (!made.ok) throw new Error(made.reason)
    expect([...made.prepared.files.keys()]).toEqual(['/copy.html', '/index.html', '/large.bin'])
    const large = made.prepared.files.get('/large.bin')!
    const content = await files.content(large)
    expect('path' in content && readFileSync(content.path, 'utf8')).toBe('x'.repeat(5_000))
    const small = await files.content(made.prepared.files.get('/index.html')!)
    expect('bytes' in small && Buffer.from(small.bytes).toString()).toBe('hello')
  })

  test('is prepared again from a cache that is whole, damaged or of something else', async () => {
    const signed = await sign(commit)
    const [name] = readdirSync(join(home, 'prepared'))
    const path = join(home, 'prepared', name!)
    const whole = readFileSync(path, 'utf8')
    const swapped = whole.replaceAll(sha256('hello'), sha256('other'))
    for (const content of [whole, whole.slice(0, 50), '[]', '{}', swapped]) {
      writeFileSync(path, content)
      expect(await prepare(signed)).toMatchObject({ ok: true })
      expect(JSON.parse(readFileSync(path, 'utf8'))).toHaveLength(3)
    }
  })

  test('whose large file was damaged on disk gets it laid out anew', async () => {
    const path = join(home, 'files', sha256('x'.repeat(5_000)))
    writeFileSync(path, 'y'.repeat(5_000))
    expect(await prepare(await sign(commit))).toMatchObject({ ok: true })
    expect(readFileSync(path, 'utf8')).toBe('x'.repeat(5_000))
  })

  test('with another tree, without its entry page, or without a fork that has it is not prepared', async () => {
    expect(await prepare(await sign(commit, { tree: '1'.repeat(40) }))).toMatchObject({ passing: false })
    expect(await prepare(await sign(commit, { entry: '/none.html' }))).toMatchObject({
      passing: false,
      reason: 'the release has no entry page',
    })
    const next = source.commit({ 'index.html': 'later' })
    expect(await prepare(await sign(next))).toEqual({
      ok: false,
      passing: true,
      reason: 'the fork lacks the commit',
    })
  })

  test('that is no longer kept leaves the disk', async () => {
    const made = await prepare(await sign(commit))
    if (!made.ok) throw new Error(made.reason)
    await prunePrepared(join(home, 'prepared'), [made.prepared])
    await files.prune(made.prepared.files.values())
    expect(readdirSync(join(home, 'prepared'))).toHaveLength(1)
    await prunePrepared(join(home, 'prepared'), [])
    await files.prune([])
    expect(readdirSync(join(home, 'prepared'))).toEqual([])
    expect(existsSync(join(home, 'files', sha256('x'.repeat(5_000))))).toBe(false)
  })
})

test('bytes that no longer hash to what they must are never given out', async () => {
  const oid = source.git('rev-parse', `${commit}:index.html`)
  const file = { path: '/index.html', oid, sha256: '0'.repeat(64), size: 5 }
  await expect(files.content(file)).rejects.toThrow(/no longer hashes/)
  await expect(files.layOut([{ ...file, size: 2_000 }])).rejects.toThrow(/does not hash/)
})

test('small files beyond the memory limit are read again', async () => {
  const counted = { reads: 0 }
  const counting: Objects = {
    ...objects,
    read: (oid) => {
      counted.reads++
      return objects.read(oid)
    },
  }
  const few = createFiles({ objects: counting, dir: join(home, 'few'), memoryBytes: 12 })
  const fileOf = (text: string) => {
    writeFileSync(join(home, 'blob'), text)
    const git = ['--git-dir', repository.dir, 'hash-object', '-w', join(home, 'blob')]
    const oid = execFileSync('git', git, { encoding: 'utf8' }).trim()
    return { path: `/${text}`, oid, sha256: sha256(text), size: text.length }
  }
  const [a, b, c] = ['aaaaa', 'bbbbb', 'ccccc'].map(fileOf) as [never, never, never]
  await Promise.all([few.content(a), few.content(a), few.content(b)])
  expect(counted.reads).toBe(2)
  await few.content(a)
  await few.content(c)
  await few.content(a)
  expect(counted.reads).toBe(3)
  await few.content(b)
  expect(counted.reads).toBe(4)
})
