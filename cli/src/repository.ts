import { execFile, spawn } from 'node:child_process'
import { createHash, type Hash } from 'node:crypto'
import { promisify } from 'node:util'
import { isReleasePath, type ReleaseFile } from '@understudy/protocol/release'
import { Failure } from './failure.ts'

const execute = promisify(execFile)
const maxListing = 64 * 1024 * 1024

/** A commit of a checkout, and the files that a release of it has. */
export interface ReleasedCommit {
  readonly commit: string
  readonly tree: string
  /** Full name of the branch that is checked out, or undefined. */
  readonly branch: string | undefined
  readonly files: readonly ReleaseFile[]
  /** Paths that are no regular files: links and submodules are no part of a release. */
  readonly left: readonly string[]
}

async function git(repo: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await execute('git', ['-C', repo, ...args], { maxBuffer: maxListing })
    return stdout
  } catch (cause) {
    const { stderr, code } = cause as { stderr?: string; code?: unknown }
    if (code === 'ENOENT') throw new Failure('no-git', 'git is not installed', 'install git', { cause })
    throw new Failure('git', (stderr ?? String(cause)).trim().split('\n')[0] ?? 'git failed', undefined, {
      cause,
    })
  }
}

/** Reads a commit from git's objects: what lies in the working tree does not matter. */
export async function readCommit(repo: string, revision: string): Promise<ReleasedCommit> {
  await git(repo, 'rev-parse', '--git-dir').catch((cause: unknown) => {
    if (cause instanceof Failure && cause.code === 'no-git') throw cause
    throw new Failure(
      'no-repository',
      `${repo} is not a git repository`,
      'run it in a checkout, or give --repo',
      { cause },
    )
  })
  const commit = (
    await git(repo, 'rev-parse', '--verify', '--end-of-options', `${revision}^{commit}`).catch(
      (cause: unknown) => {
        throw new Failure(
          'no-commit',
          `${revision} is no commit of ${repo}`,
          'commit first, or give --commit',
          { cause },
        )
      },
    )
  ).trim()
  const tree = (await git(repo, 'rev-parse', `${commit}^{tree}`)).trim()
  const branch = (await git(repo, 'symbolic-ref', '-q', 'HEAD').catch(() => '')).trim() || undefined

  const entries = (await git(repo, 'ls-tree', '-r', '-z', '--full-tree', commit))
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const [, mode = '', oid = '', path = ''] = /^(\d+) \w+ ([0-9a-f]+)\t(.*)$/s.exec(line) ?? []
      return { mode, oid, path }
    })
  const regular = entries.filter((entry) => entry.mode.startsWith('100'))
  const odd = regular.find((entry) => !isReleasePath(`/${entry.path}`) || entry.path.includes('\ufffd'))
  if (odd)
    throw new Failure('bad-path', `${JSON.stringify(odd.path)} cannot be part of a release`, 'rename it')
  const hashes = await hashBlobs(
    repo,
    regular.map((entry) => entry.oid),
  )
  return {
    commit,
    tree,
    branch,
    files: regular.map((entry, at) => ({ path: `/${entry.path}`, sha256: hashes[at]! })),
    left: entries.filter((entry) => !regular.includes(entry)).map((entry) => entry.path),
  }
}

/** sha256 of each blob, hex, by one `git cat-file --batch`. */
function hashBlobs(repo: string, oids: readonly string[]): Promise<string[]> {
  if (oids.length === 0) return Promise.resolve([])
  return new Promise((resolve, reject) => {
    const child = spawn('git', ['-C', repo, 'cat-file', '--batch'], { stdio: ['pipe', 'pipe', 'ignore'] })
    const hashes: string[] = []
    let header = ''
    let hash: Hash | undefined
    /** Bytes of the object that are still to come, its final newline included. */
    let left = 0
    child.stdout.on('data', (chunk: Buffer) => {
      let at = 0
      while (at < chunk.length) {
        if (!hash) {
          const end = chunk.indexOf(0x0a, at)
          header += chunk.toString('latin1', at, end < 0 ? chunk.length : end)
          if (end < 0) return
          at = end + 1
          const size = /^[0-9a-f]+ blob (\d+)$/.exec(header)?.[1]
          if (size === undefined) {
            child.kill()
            reject(new Failure('git', `git has not got object ${header}`, 'run git fsck'))
            return
          }
          header = ''
          hash = createHash('sha256')
          left = Number(size) + 1
        }
        const part = chunk.subarray(at, at + left)
        at += part.length
        left -= part.length
        hash.update(left === 0 ? part.subarray(0, -1) : part)
        if (left === 0) {
          hashes.push(hash.digest('hex'))
          hash = undefined
        }
      }
    })
    child.once('error', reject)
    child.once('close', () => {
      if (hashes.length === oids.length) resolve(hashes)
      else reject(new Failure('git', 'git cat-file ended early', 'run git fsck'))
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(`${oids.join('\n')}\n`)
  })
}
