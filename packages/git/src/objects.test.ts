import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openObjects } from './objects.ts'
import { type SampleRepository, sampleRepository } from './sample.ts'

let source: SampleRepository
let dir: string
let oids: string[]

beforeAll(() => {
  source = sampleRepository()
  dir = join(source.dir, '.git')
  const files: Record<string, string> = {}
  for (let i = 0; i < 500; i++) files[`f${i}`] = `content ${i}\n`.repeat(i)
  source.commit(files)
  oids = Array.from({ length: 500 }, (_, i) => source.git('rev-parse', `HEAD:f${i}`))
}, 300_000)

afterAll(() => source.remove())

/** Ids of the `cat-file` processes that serve this repository. */
const servants = () =>
  spawnSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line.includes(`--git-dir=${dir}`) && line.includes('cat-file'))
    .map((line) => Number(line.trim().split(' ')[0]))

test('many reads at once come back whole and in their places, the empty object included', async () => {
  const objects = openObjects(dir)
  const read = await Promise.all(oids.map((oid) => objects.read(oid)))
  for (const [i, bytes] of read.entries())
    expect(Buffer.from(bytes).toString()).toBe(`content ${i}\n`.repeat(i))
  expect(servants()).toHaveLength(1)
  await objects.close()
  expect(servants()).toHaveLength(0)
})

test('a git that is killed is replaced, and nothing that was asked for is lost', async () => {
  const objects = openObjects(dir)
  await objects.read(oids[1]!)
  const [before] = servants()
  const reads = oids.map((oid) => objects.read(oid))
  process.kill(before!, 'SIGKILL')
  const read = await Promise.all(reads)
  expect(read.map((bytes) => bytes.length)).toEqual(oids.map((_, i) => `content ${i}\n`.length * i))
  await objects.close()
})

test('an absent object, a bad id and a large object are errors of that read alone', async () => {
  const objects = openObjects(dir, { maxBytes: 1_000 })
  const results = await Promise.allSettled([
    objects.read(oids[2]!),
    objects.read('0'.repeat(40)),
    objects.read(oids[400]!),
    objects.read('HEAD\n--all'),
    objects.read(oids[3]!),
  ])
  expect(results.map((r) => (r.status === 'fulfilled' ? r.value.length : r.reason.message))).toEqual([
    20,
    expect.stringMatching(/no object 0000/),
    expect.stringMatching(/more than 1000/),
    'not an object id',
    30,
  ])
  await objects.close()
  await expect(objects.read(oids[2]!)).rejects.toThrow('closed')
})
