import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { CloneVantage } from './clone-url.ts'
import { gitEnv } from './command.ts'
import { serveRepositories } from './serve.ts'

/** For tests: a real forge on loopback that serves bare repositories, and the vantage from which its name resolves. */
export interface SampleForge {
  /** Folder of the bare repositories. */
  readonly root: string
  readonly host: string
  readonly port: number
  readonly vantage: CloneVantage
  urlOf(name: string): string
  close(): Promise<void>
}

export async function sampleForge(host = 'forge.understudy.test'): Promise<SampleForge> {
  const root = mkdtempSync(join(tmpdir(), 'understudy-forge-'))
  const git = serveRepositories({ root })
  const server = createServer((req, res) => void git.handle(req, res))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  return {
    root,
    host,
    port,
    vantage: {
      schemes: ['https:', 'wss:', 'http:', 'ws:'],
      resolve: async (name) => (name === host ? ['127.0.0.1'] : []),
      admit: (address) => address === '127.0.0.1',
    },
    urlOf: (name) => `http://${host}:${port}/${name}.git`,
    async close() {
      server.closeAllConnections()
      await git.close()
      await new Promise((done) => server.close(done))
      rmSync(root, { recursive: true, force: true })
    },
  }
}

/** For tests: a repository with a work tree, whose commits are pushed to bare ones. */
export interface SampleRepository {
  readonly dir: string
  /** Writes the files (null removes one), commits all of them; gives the commit. */
  commit(files: Readonly<Record<string, string | Uint8Array | null>>): string
  /** Pushes every branch to the bare repository `<root>/<name>.git`, which is made when there is none. */
  push(root: string, name: string): void
  git(...args: string[]): string
  remove(): void
}

export function sampleRepository(format: 'sha1' | 'sha256' = 'sha1'): SampleRepository {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-repository-'))
  const env = {
    ...gitEnv(dir),
    GIT_AUTHOR_NAME: 'Ada',
    GIT_AUTHOR_EMAIL: 'ada@example.org',
    GIT_COMMITTER_NAME: 'Ada',
    GIT_COMMITTER_EMAIL: 'ada@example.org',
    GIT_AUTHOR_DATE: '1700000000 +0000',
    GIT_COMMITTER_DATE: '1700000000 +0000',
  }
  const run = (cwd: string, args: readonly string[]) =>
    execFileSync('git', [...args], { cwd, env, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 }).trim()
  const init = ['init', '--quiet', '--initial-branch=main', `--object-format=${format}`]
  run(dir, init)
  return {
    dir,
    git: (...args) => run(dir, args),
    commit(files) {
      for (const [path, content] of Object.entries(files)) {
        const at = join(dir, path)
        if (content === null) rmSync(at)
        else {
          mkdirSync(dirname(at), { recursive: true })
          writeFileSync(at, content)
        }
      }
      run(dir, ['add', '--all'])
      run(dir, ['commit', '--quiet', '--allow-empty', '--message', 'change'])
      return run(dir, ['rev-parse', 'HEAD'])
    },
    push(root, name) {
      const bare = join(root, `${name}.git`)
      if (!existsSync(bare)) run(dir, [...init, '--bare', bare])
      run(dir, ['push', '--quiet', '--force', '--all', bare])
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  }
}
