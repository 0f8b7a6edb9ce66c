import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gitEnv } from '@understudy/git/command'
import { openObjects } from '@understudy/git/objects'
import { prepareRepository } from '@understudy/git/repository'
import { createMetrics } from '@understudy/host/metrics'
import { appId, coordinateOf } from '@understudy/protocol/app'
import type { NostrEvent } from '@understudy/protocol/event'
import { releaseTemplates } from '@understudy/protocol/release'
import { Hono } from 'hono'
import { writeAccepted } from './accepted.ts'
import { createFiles } from './files.ts'
import { createListener } from './listener.ts'
import { createPipeline } from './pipeline.ts'
import { prepareRelease, prunePrepared } from './preparation.ts'
import { checkServed } from './readiness.ts'
import { createServe } from './serve.ts'
import { createSite } from './site.ts'

/** For tests and benches: what a page loads, besides itself. */
const assets = ['/app.js', '/style.css', '/data/words.json', '/about/index.html', '/large.bin'] as const
const paths = ['/index.html', ...assets]
const largeBytes = 30_000

/** A file of a release. Every one says at its start and its end which release it is of. */
function textOf(path: string, seq: number): string {
  const mark = `<release ${seq}>`
  return `${mark} ${path} ${'.'.repeat(path === '/large.bin' ? largeBytes : 2_000)} ${mark}`
}

const sha256 = (bytes: string) => createHash('sha256').update(bytes).digest('hex')
const releaseKey = 'b1'.repeat(32)
const coordinate = coordinateOf('aa'.repeat(32), 'sample')

export interface SampleSite {
  readonly url: string
  /** Announces the next release; waits until it is served, and gives how long that took, ms. */
  next(): Promise<number>
  serving(): number
  close(): Promise<void>
}

/** For tests and benches: the node's pipeline and server over a real repository of so many releases; only chain and relays are left out. */
export async function startSample(dir: string, releases: number): Promise<SampleSite> {
  const gitDir = join(dir, 'repository.git')
  const events = sampleReleases(gitDir, releases)
  const vantage = { schemes: ['https:'], resolve: async () => [], admit: () => false }
  const repository = await prepareRepository({
    dir: gitDir,
    url: 'https://fork.understudy.test/a.git',
    vantage,
  })
  const objects = openObjects(gitDir)
  const files = createFiles({ objects, dir: join(dir, 'files'), smallBytes: 20_000 })
  const cacheDir = join(dir, 'prepared')
  const site = createSite()
  const errors: unknown[] = []
  const onError = (error: unknown) => errors.push(error)
  const serve = createServe(files, onError)
  const metrics = createMetrics('node')
  const server = createServer(createListener({ site, serve, own: new Hono(), metrics, onError }))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  let say: (event: NostrEvent) => void = () => {}
  let onServed = () => {}
  let followed = () => {}
  const following = new Promise<void>((resolve) => {
    followed = resolve
  })
  const pipeline = createPipeline({
    coordinate,
    rules: {
      read: async () => ({
        releaseKey,
        minSeq: 0,
        grace: 6,
        epoch: 0,
        quorum: 2,
        members: { releaseKeys: new Set([releaseKey]), attesters: new Set(), mirrors: new Set() },
      }),
    },
    relays: {
      subscribe(_, { onEvent, onCaughtUp }) {
        say = onEvent
        onCaughtUp?.([])
        followed()
        return { close() {} }
      },
    },
    site,
    prepare: (signed) => prepareRelease(signed, { repository, objects, files, cacheDir }),
    check: (prepared, as) => checkServed(prepared, as, { url, random: Math.random, sample: 2 }),
    async onSwitch() {
      const kept = site.kept()
      await writeAccepted(join(dir, 'releases.json'), kept)
      await files.prune(kept.flatMap((one) => [...one.files.values()]))
      await prunePrepared(cacheDir, kept)
      onServed()
    },
    random: Math.random,
    log: {
      info() {},
      warn: (...about: unknown[]) => errors.push(about),
      error: (...about: unknown[]) => errors.push(about),
    },
  })
  pipeline.start()
  await following
  return {
    url,
    serving: () => site.current()?.release.seq ?? 0,
    async next() {
      const event = events.shift()
      if (!event) throw new Error('no release is left')
      const since = performance.now()
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve, reject) => {
        onServed = resolve
        timer = setTimeout(() => reject(new Error(`not served: ${JSON.stringify(errors)}`)), 60_000)
        say(event)
      }).finally(() => clearTimeout(timer))
      return performance.now() - since
    },
    async close() {
      await pipeline.stop()
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
      await objects.close()
      if (errors.length > 0) throw new Error('the sample was not well', { cause: errors })
    },
  }
}

/** Events of releases 1 to `count`, and a bare repository with a commit for each. */
function sampleReleases(gitDir: string, count: number): NostrEvent[] {
  mkdirSync(gitDir, { recursive: true })
  const git = (args: readonly string[], input?: string) =>
    execFileSync('git', [`--git-dir=${gitDir}`, ...args], {
      env: gitEnv(gitDir),
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      ...(input === undefined ? {} : { input }),
    })
  git(['init', '--quiet', '--bare', '--initial-branch=main'])
  const data = (text: string) => `data ${Buffer.byteLength(text)}\n${text}\n`
  const commits = Array.from({ length: count }, (_, at) => {
    const changed = paths.map((path) => `M 100644 inline ${path.slice(1)}\n${data(textOf(path, at + 1))}`)
    const from = at === 0 ? '' : `from :${at}\n`
    const who = `committer Ada <ada@example.org> ${1_700_000_000 + at} +0000\n`
    return `commit refs/heads/main\nmark :${at + 1}\n${who}${data('release')}${from}${changed.join('')}\n`
  })
  git(['fast-import', '--quiet'], commits.join(''))
  const lines = git(['log', '--reverse', '--format=%H %T', 'main']).trim().split('\n')
  return lines.map((line, at) => {
    const [commit, tree] = line.split(' ') as [string, string]
    const seq = at + 1
    const files = paths.map((path) => ({ path, sha256: sha256(textOf(path, seq)) }))
    const { snapshot } = releaseTemplates(
      { app: appId(coordinate), d: 'sample', coordinate, commit, tree, seq, entry: '/index.html', files },
      1_700_000_000 + at,
    )
    return { ...snapshot, id: seq.toString(16).padStart(64, '0'), pubkey: releaseKey, sig: '' }
  })
}

export interface Visits {
  readonly pages: number
  readonly answers: number
  /** What went wrong, at most a few of them spelled out. */
  readonly failed: number
  readonly mixed: number
  readonly faults: readonly string[]
  /** Of each answer, ms. */
  readonly latencies: readonly number[]
}

/** So many visitors at once, each with one request in flight: they open the page, load what it names, and begin again until told to end. */
export async function visit(url: string, visitors: number, ended: () => boolean): Promise<Visits> {
  const agent = new Agent({ keepAlive: true, maxSockets: visitors })
  const { hostname, port } = new URL(url)
  const latencies: number[] = []
  const faults: string[] = []
  const counts = { pages: 0, failed: 0, mixed: 0 }

  function get(path: string, headers: Record<string, string>) {
    const since = performance.now()
    return new Promise<{ status: number; text: string; cookie: string | undefined; release: string }>(
      (resolve, reject) => {
        const asked = request({ agent, hostname, port, path, headers, timeout: 30_000 }, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            latencies.push(performance.now() - since)
            resolve({
              status: response.statusCode ?? 0,
              text: Buffer.concat(chunks).toString('latin1'),
              cookie: response.headers['set-cookie']?.[0]?.split(';')[0],
              release: String(response.headers['x-understudy-release']),
            })
          })
        })
        asked.on('error', reject)
        asked.on('timeout', () => asked.destroy(new Error('no answer within 30 s')))
        asked.end()
      },
    )
  }

  function judge(path: string, status: number, text: string, seq: string | undefined): void {
    if (status !== 200 || seq === undefined) {
      counts.failed++
      faults.push(`${path}: status ${status} ${text.slice(0, 100)}`)
      return
    }
    const whole = textOf(path === '/' ? '/index.html' : path, Number(seq))
    if (text === whole) return
    counts.mixed++
    faults.push(`${path}: ${text.slice(0, 40)} where ${seq} was opened`)
  }

  async function visitor(): Promise<void> {
    let cookie: string | undefined
    while (!ended()) {
      try {
        const page = await get('/', {
          accept: 'text/html',
          'sec-fetch-dest': 'document',
          ...(cookie ? { cookie } : {}),
        })
        cookie = page.cookie ?? cookie
        const seq = /<release (\d+)>/.exec(page.text)?.[1]
        judge('/', page.status, page.text, seq)
        for (const path of assets) {
          const { status, text } = await get(path, {
            'sec-fetch-dest': 'empty',
            ...(cookie ? { cookie } : {}),
          })
          judge(path, status, text, seq)
        }
        counts.pages++
      } catch (error) {
        counts.failed++
        faults.push(String(error))
      }
    }
  }

  await Promise.all(Array.from({ length: visitors }, visitor))
  agent.destroy()
  return { ...counts, answers: latencies.length, faults: faults.slice(0, 5), latencies }
}
