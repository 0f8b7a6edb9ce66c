import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dial } from '@understudy/host/dial'
import type { Vantage } from '@understudy/host/vantage'
import { decodeManifest, manifestPath, maxManifestBytes, type Release } from '@understudy/protocol/release'
import type { ReleaseFiles } from './freshness.ts'

/** The files of releases: from the event itself, else from a manifest file that any server of the app may give. */
export interface Manifests {
  /** `sources`: base URLs, tried in turn. Undefined when none has it. */
  filesOf(release: Release, sources: readonly string[]): Promise<ReleaseFiles | undefined>
}

const maxKept = 64

export function createManifests(options: {
  readonly dir: string
  readonly vantage: Vantage
  readonly localAddress?: string
}): Manifests {
  const kept = new Map<string, ReadonlyMap<string, string>>()

  async function bytesOf(hash: string, sources: readonly string[]): Promise<Uint8Array | undefined> {
    const file = join(options.dir, hash)
    const stored = await readFile(file).catch(() => undefined)
    if (stored && decodeManifest(stored, hash).ok) return stored
    for (const source of sources) {
      const reply = await dial(source.replace(/\/$/, '') + manifestPath(hash), options.vantage, {
        maxBytes: maxManifestBytes,
        localAddress: options.localAddress,
      })
      if (!reply.ok || reply.status !== 200 || !decodeManifest(reply.body, hash).ok) continue
      await mkdir(options.dir, { recursive: true })
      await writeFile(`${file}.new`, reply.body)
      await rename(`${file}.new`, file)
      return reply.body
    }
    return undefined
  }

  return {
    async filesOf(release, sources) {
      const before = kept.get(release.manifest)
      if (before) return { release, files: before }
      let list = release.files
      if (!list) {
        const bytes = await bytesOf(release.manifest, sources)
        const read = bytes && decodeManifest(bytes, release.manifest)
        if (!read?.ok) return undefined
        list = read.value
      }
      const files = new Map(list.map((file) => [file.path, file.sha256]))
      if (kept.size >= maxKept) kept.delete(kept.keys().next().value!)
      kept.set(release.manifest, files)
      return { release, files }
    },
  }
}
