import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { blobsOf } from '@understudy/git/tree'
import { git } from '@understudy/localnet/git'
import type { TreeBlob } from '@understudy/protocol/challenge'
import type { EventTemplate } from '@understudy/protocol/event'
import { releaseTemplates } from '@understudy/protocol/release'

/** Where the maintainer works: a checkout, and `master.git` on the forge. */
export interface Studio {
  readonly checkout: string
  /** Commits the next release; pushes it, or keeps it from everybody. */
  release(createdAt: number, pushed?: boolean): Promise<{ seq: number; commit: string; event: EventTemplate }>
  blobsOf(commit: string): Promise<readonly TreeBlob[]>
}

export async function openStudio(
  checkout: string,
  forge: string,
  about: { readonly app: string; readonly d: string; readonly coordinate: string },
): Promise<Studio> {
  await git(forge, 'init', '--quiet', '--bare', '--initial-branch', 'main', 'master.git')
  await git(forge, 'clone', '--quiet', join(forge, 'master.git'), checkout)
  await git(checkout, 'symbolic-ref', 'HEAD', 'refs/heads/main')
  const drawing = '<path d="M0 0h1"/>'.repeat(2_000)
  let seq = 0
  return {
    checkout,
    async release(createdAt, pushed = true) {
      seq++
      const files = [
        ['index.html', `<h1>${seq}</h1><script src="app.js"></script>\n`],
        ['app.js', `console.log(${seq})\n`],
        ['same.css', 'h1 { color: red }\n'],
        ['picture.svg', `<svg xmlns="http://www.w3.org/2000/svg">${drawing}</svg>\n`],
      ] as const
      for (const [path, text] of files) writeFileSync(join(checkout, path), text)
      await git(checkout, 'add', '.')
      await git(checkout, 'commit', '--quiet', '-m', `Release ${seq}`)
      if (pushed) await git(checkout, 'push', '--quiet', 'origin', 'HEAD:refs/heads/main')
      const [commit, tree] = await Promise.all([
        git(checkout, 'rev-parse', 'HEAD'),
        git(checkout, 'rev-parse', 'HEAD^{tree}'),
      ])
      const hash = (text: string) => createHash('sha256').update(text).digest('hex')
      const list = files.map(([path, text]) => ({ path: `/${path}`, sha256: hash(text) }))
      const draft = { ...about, commit, tree, seq, entry: '/index.html', files: list }
      return { seq, commit, event: releaseTemplates(draft, createdAt).snapshot }
    },
    async blobsOf(commit) {
      const blobs = await blobsOf(join(checkout, '.git'), commit)
      if (!blobs.ok) throw new Error(blobs.reason)
      return blobs.value
    },
  }
}
