import type { TreeBlob } from '@understudy/protocol/challenge'
import { isObjectId, type Parsed, parsed, refused } from '@understudy/protocol/event'
import { runGit } from './command.ts'

/** Most files in one commit. A few kilobytes of nested trees can name billions of them. */
const maxBlobs = 200_000
/** Most bytes that `git ls-tree` may answer. */
const maxListing = 64 * 1024 * 1024

/** The commit that a name (branch, tag, `HEAD`, object id) stands for in a local repository, or `undefined`. */
export async function commitOf(dir: string, name: string): Promise<string | undefined> {
  if (name.startsWith('-')) return undefined
  const { code, stdout } = await runGit(dir, ['rev-parse', '--verify', '--quiet', `${name}^{commit}`])
  const oid = stdout.toString('utf8').trim()
  return code === 0 && isObjectId(oid) ? oid : undefined
}

/** Whether a branch or tag of the repository leads to the commit. One that is merely lying about does not count. */
export async function hasCommit(dir: string, commit: string): Promise<boolean> {
  if ((await commitOf(dir, commit)) !== commit) return false
  const { code, stdout, stderr } = await runGit(dir, ['for-each-ref', '--count=1', '--contains', commit])
  if (code !== 0) throw new Error(`git for-each-ref: ${stderr.trim()}`)
  return stdout.length > 0
}

/** Id of the commit's tree. Throws when the repository has no such commit. */
export async function treeOf(dir: string, commit: string): Promise<string> {
  if (!isObjectId(commit)) throw new Error('not an object id')
  const { code, stdout, stderr } = await runGit(dir, ['rev-parse', '--verify', `${commit}^{tree}`])
  if (code !== 0) throw new Error(`no tree of ${commit}: ${stderr.trim()}`)
  return stdout.toString('utf8').trim()
}

/**
 * Every file of the commit, sorted by path (code units): regular files, executables and symbolic links (whose bytes are where
 * they point); submodules are no files. Throws when the repository has no such commit.
 */
export async function blobsOf(dir: string, commit: string): Promise<Parsed<TreeBlob[]>> {
  if (!isObjectId(commit)) throw new Error('not an object id')
  const args = ['ls-tree', '-r', '-z', '--full-tree', commit]
  const listing = await runGit(dir, args, { maxBytes: maxListing }).catch((error: Error) => error)
  if (listing instanceof Error) {
    if (listing.message.includes('answered more')) return refused('the commit has too many files')
    throw listing
  }
  if (listing.code !== 0) throw new Error(`git ls-tree: ${listing.stderr.trim()}`)
  const blobs: TreeBlob[] = []
  for (const line of new TextDecoder().decode(listing.stdout).split('\0')) {
    const found = /^\d+ (\w+) ([0-9a-f]+)\t(.+)$/s.exec(line)
    if (found?.[1] === 'blob') blobs.push({ oid: found[2]!, path: found[3]! })
    if (blobs.length > maxBlobs) return refused(`the commit has more than ${maxBlobs} files`)
  }
  return parsed(blobs.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0)))
}
