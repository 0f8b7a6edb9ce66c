import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { appId } from './app.ts'
import {
  type EventTemplate,
  isHex32,
  isObjectId,
  type NostrEvent,
  type Parsed,
  parsed,
  refused,
  tag,
} from './event.ts'
import { kinds } from './kinds.ts'

/** Above this many bytes of `path` tags the manifest travels as a file that mirrors serve. */
export const maxInlineManifestBytes = 60_000
/** Largest manifest file that anyone fetches, bytes. */
export const maxManifestBytes = 16 * 1024 * 1024
/** Where a mirror serves a manifest file, by its sha256. */
export const manifestPath = (hash: string) => `/.well-known/understudy/manifest/${hash}`

/** One file of a release: absolute path (`/index.html`) and the sha256 of its bytes, hex. */
export interface ReleaseFile {
  readonly path: string
  readonly sha256: string
}

/** A program that makes a release's files from its commit, without network. */
export interface BuildRecipe {
  /** Program and arguments; no shell. */
  readonly command: readonly string[]
  /** Folder of the files, relative to the commit's root. */
  readonly output: string
}

export interface Release {
  /** Id of the snapshot event (5128), or of the 35128 that repeats it. */
  readonly eventId: string
  readonly kind: number
  /** Release key, hex. */
  readonly pubkey: string
  readonly app: string
  readonly commit: string
  readonly tree: string
  /** 1 for the first release, then previous + 1. */
  readonly seq: number
  /** sha256 of the manifest's bytes. NIP-5A `x`, aggregate. */
  readonly manifest: string
  /** Bytes of the manifest. */
  readonly manifestBytes: number
  /** Absent when the manifest is a file. */
  readonly files?: readonly ReleaseFile[]
  /** Path that a visitor opens first. */
  readonly entry: string
  /** How the files are made from the commit; absent when they are the commit's own. */
  readonly build?: BuildRecipe
  /** Seconds since 1970, as the maintainer says; decides nothing. */
  readonly createdAt: number
}

/**
 * The manifest's bytes: one line `<sha256> <path>\n` per file, lines sorted by code unit. Its sha256 is NIP-5A's
 * aggregate hash.
 */
export function encodeManifest(files: readonly ReleaseFile[]): Uint8Array {
  const lines = files.map((file) => `${file.sha256} ${file.path}\n`).sort()
  return utf8ToBytes(lines.join(''))
}

/** Reads a manifest file back; refuses bytes that hash to something else, bad lines, doubled paths. */
export function decodeManifest(bytes: Uint8Array, hash: string): Parsed<ReleaseFile[]> {
  if (bytes.length > maxManifestBytes) return refused(`manifest larger than ${maxManifestBytes} bytes`)
  if (bytesToHex(sha256(bytes)) !== hash) return refused('manifest does not hash to what the release says')
  const files: ReleaseFile[] = []
  const paths = new Set<string>()
  for (const line of new TextDecoder().decode(bytes).split('\n')) {
    if (line === '') continue
    const file = { sha256: line.slice(0, 64), path: line.slice(65) }
    if (line[64] !== ' ' || !isReleaseFile(file) || paths.has(file.path))
      return refused('manifest has a bad line')
    paths.add(file.path)
    files.push(file)
  }
  return parsed(files)
}

function isReleaseFile(file: ReleaseFile): boolean {
  return /^[0-9a-f]{64}$/.test(file.sha256) && isReleasePath(file.path)
}

/** Absolute, normalised, at most 1,024 characters, no control characters, no `..`. */
export function isReleasePath(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return /^\/[^\u0000-\u001f\u007f]{1,1023}$/.test(path) && !/\/(\.{0,2})(\/|$)/.test(path)
}

export interface ReleaseDraft {
  readonly app: string
  readonly d: string
  readonly coordinate: string
  readonly commit: string
  readonly tree: string
  readonly seq: number
  readonly entry: string
  readonly files: readonly ReleaseFile[]
  readonly build?: BuildRecipe | undefined
}

/** Template of the snapshot (5128) and of the newest-release pointer (35128), with the manifest's bytes. */
export function releaseTemplates(
  draft: ReleaseDraft,
  createdAt: number,
): { snapshot: EventTemplate; newest: EventTemplate; manifest: Uint8Array } {
  const manifest = encodeManifest(draft.files)
  const hash = bytesToHex(sha256(manifest))
  const inline = draft.files.map((file) => ['path', file.path, file.sha256])
  const small = JSON.stringify(inline).length <= maxInlineManifestBytes
  const tags = [
    ['d', draft.d],
    ['a', draft.coordinate],
    ['x', hash, 'aggregate'],
    ['commit', draft.commit],
    ['tree', draft.tree],
    ['seq', String(draft.seq)],
    ['entry', draft.entry],
    ...(draft.build ? [['build', draft.build.output, ...draft.build.command]] : []),
    ...(small ? inline : []),
    ['manifest', hash, String(manifest.length)],
  ]
  const of = (kind: number): EventTemplate => ({ kind, created_at: createdAt, tags, content: '' })
  return { snapshot: of(kinds.releaseSnapshot), newest: of(kinds.release), manifest }
}

/** `build`, output, program, arguments: at most 64 of up to 1,024 characters each. */
function isBuildTag([, output = '', ...command]: readonly string[]): boolean {
  const short = command.every((part) => part.length > 0 && part.length <= 1_024 && !part.includes('\0'))
  return isReleasePath(`/${output}`) && command.length > 0 && command.length <= 64 && short
}

/** Reads a release event of either kind. The signature and the key's right to sign are the caller's to check. */
export function parseRelease(event: NostrEvent): Parsed<Release> {
  if (event.kind !== kinds.release && event.kind !== kinds.releaseSnapshot) return refused('not a release')
  const coordinate = tag(event, 'a')
  const [, hash, size] = event.tags.find((t) => t[0] === 'manifest') ?? []
  const commit = tag(event, 'commit') ?? ''
  const tree = tag(event, 'tree') ?? ''
  const seq = tag(event, 'seq') ?? ''
  const entry = tag(event, 'entry') ?? '/index.html'
  if (!coordinate) return refused('a: missing')
  if (!isObjectId(commit)) return refused('commit: not a git object id')
  if (!isObjectId(tree)) return refused('tree: not a git object id')
  if (!/^[1-9]\d{0,8}$/.test(seq)) return refused('seq: not a positive integer')
  if (!isHex32(hash) || !/^\d{1,9}$/.test(size ?? '')) return refused('manifest: missing or malformed')
  if (!isReleasePath(entry)) return refused('entry: not a path')
  const build = event.tags.find((t) => t[0] === 'build')
  if (build && !isBuildTag(build)) return refused('build: not a folder and a command')
  const files = event.tags.flatMap((t) => (t[0] === 'path' ? [{ path: t[1] ?? '', sha256: t[2] ?? '' }] : []))
  if (files.length > 0) {
    const read = decodeManifest(encodeManifest(files), hash!)
    if (!read.ok) return read
  }
  return parsed({
    eventId: event.id,
    kind: event.kind,
    pubkey: event.pubkey,
    app: appId(coordinate),
    commit,
    tree,
    seq: Number(seq),
    manifest: hash!,
    manifestBytes: Number(size),
    ...(files.length > 0 ? { files } : {}),
    entry,
    ...(build ? { build: { output: build[1]!, command: build.slice(2) } } : {}),
    createdAt: event.created_at,
  })
}
