import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { TreeBlob } from '@understudy/protocol/challenge'
import type { EventSigner, NostrEvent } from '@understudy/protocol/event'
import { releaseTemplates } from '@understudy/protocol/release'

/** A release: its signed event, its files, and the git objects that they are. */
export interface SimulatedRelease {
  readonly seq: number
  readonly commit: string
  readonly event: NostrEvent
  /** By path. */
  readonly files: ReadonlyMap<string, Uint8Array>
  readonly blobs: readonly TreeBlob[]
  readonly objects: ReadonlyMap<string, Uint8Array>
}

const hashOf = (bytes: Uint8Array) => bytesToHex(sha256(bytes))

export async function makeRelease(
  app: { readonly id: string; readonly d: string; readonly coordinate: string },
  seq: number,
  signer: EventSigner,
  createdAt: number,
): Promise<SimulatedRelease> {
  const texts: readonly (readonly [string, string])[] = [
    ['/app.js', `console.log(${seq})`],
    ['/index.html', `<!doctype html><h1>Release ${seq}</h1>`],
    ['/style.css', 'h1 { color: teal }'],
    ['/words.txt', `${'lorem '.repeat(40)}${seq}`],
  ]
  const files = new Map(texts.map(([path, text]) => [path, utf8ToBytes(text)]))
  const objects = new Map([...files.values()].map((bytes) => [hashOf(bytes).slice(0, 40), bytes]))
  const blobs = [...files].map(([path, bytes]) => ({ path: path.slice(1), oid: hashOf(bytes).slice(0, 40) }))
  const commit = hashOf(utf8ToBytes(`commit ${app.id} ${seq}`)).slice(0, 40)
  const tree = hashOf(utf8ToBytes(`tree ${app.id} ${seq}`)).slice(0, 40)
  const draft = {
    ...{ app: app.id, d: app.d, coordinate: app.coordinate, commit, tree, seq, entry: '/index.html' },
    files: [...files].map(([path, bytes]) => ({ path, sha256: hashOf(bytes) })),
  }
  const event = await signer.signEvent(releaseTemplates(draft, createdAt).snapshot)
  return { seq, commit, event, files, blobs, objects }
}
