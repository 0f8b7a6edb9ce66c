import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { rulesAt } from '@understudy/chain/state'
import { parseCoordinate } from '@understudy/protocol/app'
import { epochAt } from '@understudy/protocol/epoch'
import type { EventTemplate } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import {
  type BuildRecipe,
  isReleasePath,
  type ReleaseFile,
  releaseTemplates,
} from '@understudy/protocol/release'
import { signerOf } from '@understudy/relays/signer'
import { command, type Io } from '../command.ts'
import { Failure, UsageFailure } from '../failure.ts'
import { newestRelease } from '../history.ts'
import {
  appArgs,
  appOf,
  chainArgs,
  findApp,
  keyArgs,
  openChain,
  openTheirRelays,
  relayArgs,
  secretOf,
} from '../network.ts'
import { publish } from '../publish.ts'
import { readBuild, readCommit } from '../repository.ts'

export const release = (io: Io) =>
  command(io, {
    name: 'release',
    description: 'Sign a commit as the newest release of an app and publish it',
    args: {
      ...appArgs,
      repo: { type: 'string', description: 'Git checkout (default: here)', valueHint: 'folder' },
      commit: { type: 'string', description: 'Commit (default: HEAD)', valueHint: 'revision' },
      entry: {
        type: 'string',
        description: 'File that a visitor opens first (default: index.html)',
        valueHint: 'path',
      },
      build: {
        type: 'string',
        description: 'Release what this program makes of the commit, without network',
        valueHint: 'command',
      },
      output: {
        type: 'string',
        description: 'With --build: folder of the files (default: dist)',
        valueHint: 'folder',
      },
      'dry-run': { type: 'boolean', description: 'Show what would be released, and publish nothing' },
      ...chainArgs,
      ...relayArgs,
      keys: keyArgs.keys,
      'nostr-key-file': keyArgs['nostr-key-file'],
    },
    async run(args) {
      const id = appOf(args, io)
      const signer = signerOf(secretOf(args, io, 'nostr'))
      const repo = resolve(io.cwd, args.repo || '.')
      const recipe = recipeOf(args.build, args.output)
      const read = await readCommit(repo, args.commit || 'HEAD')
      const { commit, tree, branch } = read
      if (recipe) io.say(`building     ${recipe.command.join(' ')}, twice`)
      const files = recipe ? await readBuild(repo, commit, recipe) : read.files
      if (files.length === 0) throw new Failure('empty', `commit ${commit} has no files`, 'commit some first')
      const entry = entryOf(files, args.entry)

      const chain = await openChain(args, io)
      const app = await findApp(chain, id)
      const rules = rulesAt(app, Math.max(0, epochAt(app.schedule, chain.info.burnHeight)))!
      if (rules.releaseKey !== signer.pubkey) {
        throw new Failure(
          'not-release-key',
          `the rules name ${rules.releaseKey} as the release key; yours is ${signer.pubkey}`,
          'give the right --nostr-key-file',
        )
      }
      const { d, pubkey } = partsOf(app.coordinate)
      const relays = await openTheirRelays(args, io)
      try {
        const previous = await newestRelease(relays, app.coordinate, rules.releaseKey)
        const seq = Math.max((previous?.seq ?? 0) + 1, rules.minSeq, 1)
        const draft = {
          app: app.id,
          d,
          coordinate: app.coordinate,
          commit,
          tree,
          seq,
          entry,
          files,
          build: recipe,
        }
        const { snapshot, newest, manifest } = releaseTemplates(draft, Math.floor(io.now() / 1_000))
        const hash = createHash('sha256').update(manifest).digest('hex')
        const data = { app: app.id, commit, tree, entry, files: files.length, manifestBytes: manifest.length }
        if (previous?.commit === commit && previous.entry === entry && previous.manifest === hash) {
          return {
            lines: [`commit ${commit} is release ${previous.seq} already; nothing was published`],
            data: { ...data, seq: previous.seq, eventId: previous.eventId, published: false },
          }
        }
        const summary = [
          `release      ${seq}${previous ? `, after ${previous.commit}` : ', the first'}`,
          `commit       ${commit}`,
          `files        ${files.length}, entered by ${entry}`,
        ]
        if (args['dry-run']) {
          return { lines: [...summary, 'nothing was published'], data: { ...data, seq, published: false } }
        }
        for (const line of summary) io.say(line)
        const event = await publish(relays, signer, snapshot, io)
        await publish(relays, signer, newest, io)
        // A release key that is not the repository's own cannot speak for its refs.
        if (pubkey === signer.pubkey) {
          await publish(
            relays,
            signer,
            refsTemplate(d, branch ?? 'refs/heads/main', commit, newest.created_at),
            io,
          )
        }
        return {
          lines: [...summary, `event        ${event.id}`],
          data: { ...data, seq, eventId: event.id, published: true },
        }
      } finally {
        relays.close()
      }
    },
  })

/** Program and arguments stand between spaces: no shell, so no quotes. */
function recipeOf(command: string | undefined, output: string | undefined): BuildRecipe | undefined {
  if (!command) {
    if (output) throw new UsageFailure('--output: only with --build')
    return undefined
  }
  const folder = (output || 'dist').replace(/^\.?\/+|\/+$/g, '')
  if (!isReleasePath(`/${folder}`)) throw new UsageFailure(`--output: ${output} is no folder of the commit`)
  return { command: command.split(/\s+/).filter(Boolean), output: folder }
}

/** NIP-34 repository state: where the released branch is. */
function refsTemplate(d: string, branch: string, commit: string, createdAt: number): EventTemplate {
  return {
    kind: kinds.repositoryState,
    created_at: createdAt,
    tags: [
      ['d', d],
      [branch, commit],
      ['HEAD', `ref: ${branch}`],
    ],
    content: '',
  }
}

function partsOf(coordinate: string): { d: string; pubkey: string } {
  const parts = parseCoordinate(coordinate)
  if (!parts.ok) throw new Error(`the chain holds a malformed coordinate: ${coordinate}`)
  return parts.value
}

/** The file that a visitor opens first: the one asked for, else index.html, README.md, or the first of all. */
export function entryOf(files: readonly ReleaseFile[], wish: string | undefined): string {
  const has = (path: string) => files.some((file) => file.path === path)
  if (wish !== undefined) {
    const path = wish.startsWith('/') ? wish : `/${wish}`
    if (isReleasePath(path) && has(path)) return path
    throw new UsageFailure(`--entry: ${wish} is no file of the commit`)
  }
  const first = files.map((file) => file.path).sort()[0]!
  return ['/index.html', '/README.md'].find(has) ?? first
}
