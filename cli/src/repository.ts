import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { runGit } from '@understudy/git/command'
import { hashFiles } from '@understudy/git/manifest'
import { openObjects } from '@understudy/git/objects'
import { blobsOf, commitOf, treeOf } from '@understudy/git/tree'
import { type Built, buildCommit, differences } from '@understudy/node/build'
import type { BuildRecipe, ReleaseFile } from '@understudy/protocol/release'
import { Failure } from './failure.ts'

/** A commit of a checkout, and the files that a release of it has. */
export interface ReleasedCommit {
  readonly commit: string
  readonly tree: string
  /** Full name of the branch that is checked out, or undefined. */
  readonly branch: string | undefined
  readonly files: readonly ReleaseFile[]
}

/** Reads a commit from git's objects: what lies in the working tree does not matter. */
export async function readCommit(repo: string, revision: string): Promise<ReleasedCommit> {
  const dir = await gitDirOf(repo)
  const commit = await commitOf(dir, revision)
  if (!commit) {
    throw new Failure('no-commit', `${revision} is no commit of ${repo}`, 'commit first, or give --commit')
  }
  const blobs = await blobsOf(dir, commit)
  if (!blobs.ok) throw new Failure('bad-tree', blobs.reason)
  const objects = openObjects(dir)
  try {
    const files = await hashFiles(blobs.value, objects)
    if (!files.ok) throw new Failure('bad-path', files.reason, 'rename it, and commit')
    const head = await runGit(dir, ['symbolic-ref', '-q', 'HEAD'])
    return {
      commit,
      tree: await treeOf(dir, commit),
      branch: head.stdout.toString('utf8').trim() || undefined,
      files: files.value,
    }
  } finally {
    await objects.close()
  }
}

/** Builds a commit twice, as mirrors will, and gives its files; throws when the two builds differ, saying in what. */
export async function readBuild(repo: string, commit: string, recipe: BuildRecipe): Promise<ReleaseFile[]> {
  const gitDir = await gitDirOf(repo)
  const objects = openObjects(gitDir)
  const made: Built[] = []
  try {
    while (made.length < 2) {
      const built = await buildCommit(commit, recipe, { gitDir, objects })
      if (!built.ok)
        throw new Failure('build-failed', built.reason, 'everything that it needs must be in the commit')
      made.push(built.value)
    }
    const found = await differences(made[0]!, made[1]!)
    if (found.length > 0) {
      throw new Failure(
        'not-reproducible',
        `two builds of ${commit} differ: ${found.slice(0, 20).join('; ')}`,
        'take times from SOURCE_DATE_EPOCH, and leave randomness out',
      )
    }
    return made[0]!.files.map(({ path, sha256 }) => ({ path, sha256 }))
  } finally {
    await objects.close()
    for (const one of made) await one.remove()
  }
}

async function gitDirOf(repo: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('git', ['-C', repo, 'rev-parse', '--absolute-git-dir'])
    return stdout.trim()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new Failure('no-git', 'git is not installed', 'install git', { cause })
    }
    throw new Failure(
      'no-repository',
      `${repo} is not a git repository`,
      'run it in a checkout, or give --repo',
      { cause },
    )
  }
}
