import { type NostrEvent, type Parsed, parsed, refused } from '@understudy/protocol/event'
import { decodeManifest, manifestPath, maxManifestBytes, type Release } from '@understudy/protocol/release'
import type { Relays } from '@understudy/relays/relays'
import type { AppConfig } from './config.ts'
import { type Discovery, discover, readDiscovery } from './discovery.ts'
import { type Fetched, type FetchOptions, fetchVerified } from './fetch-verified.ts'
import { type Source, SourceHealth } from './source.ts'
import { verify } from './verify.ts'

/** Keeps a discovery across restarts: a browser's cache, a file. */
export interface DiscoveryMemory {
  load(): Promise<Discovery | undefined>
  save(discovery: Discovery): Promise<void>
}

export interface OpenOptions {
  readonly config: AppConfig
  /** Where the app normally lives, without a trailing slash. */
  readonly master: string
  readonly relays: Pick<Relays, 'query'>
  readonly memory?: DiscoveryMemory
  readonly fetch?: typeof fetch
  /** ms since any fixed moment */
  readonly now?: () => number
  readonly hedgeMs?: number
  readonly timeoutMs?: number
}

/** Largest file that is loaded, bytes. */
const maxFileBytes = 64 * 1024 * 1024

/** An app that survives its master: every byte is of the signed release, whoever sent it. */
export class OpenApp {
  readonly release: Release
  /** Path to sha256 (hex) of every file of the release. */
  readonly files: ReadonlyMap<string, string>
  /** Master first. */
  readonly sources: readonly Source[]
  #fetch: FetchOptions
  #health: SourceHealth

  constructor(
    release: Release,
    files: ReadonlyMap<string, string>,
    sources: readonly Source[],
    fetchOptions: FetchOptions,
    health: SourceHealth,
  ) {
    this.release = release
    this.files = files
    this.sources = sources
    this.#fetch = fetchOptions
    this.#health = health
  }

  /** The release's path for what a visitor asks: `/` and folders mean their `index.html`. */
  resolve(path: string): string | undefined {
    if (path === '/') return this.release.entry
    if (this.files.has(path)) return path
    const index = `${path.replace(/\/$/, '')}/index.html`
    return this.files.has(index) ? index : undefined
  }

  /** Verified bytes of a path, or every source that was tried and why it failed; undefined when the release has no such file. */
  async load(path: string): Promise<Fetched | undefined> {
    const file = this.resolve(path)
    const hash = file && this.files.get(file)
    if (!hash) return undefined
    return fetchVerified(this.#health.order(this.sources, this.#fetch.now()), file, hash, this.#fetch)
  }
}

/** Finds the newest release and the mirrors, from relays or else from memory, and fetches the manifest. */
export async function openApp(options: OpenOptions): Promise<Parsed<OpenApp>> {
  const { config, memory } = options
  const found = await discover(options.relays, config)
  const remembered = found.ok ? undefined : await recall(memory)
  const discovery = found.ok ? found.value : remembered
  if (!discovery) return found.ok ? refused('nothing found') : found
  const read = readDiscovery(discovery, config)
  if (!read.ok) return read
  const { release, mirrors } = read.value
  const now = options.now ?? (() => performance.now())
  const health = new SourceHealth()
  const fetchOptions: FetchOptions = {
    // Called as a bare function: a browser's fetch must not be called as a method.
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    now,
    hedgeMs: options.hedgeMs ?? 500,
    timeoutMs: options.timeoutMs ?? 10_000,
    maxBytes: maxFileBytes,
    onResult: (source, result) => {
      if (result.ok) health.succeeded(source, result.ms)
      else health.failed(source, result.reason, now())
    },
  }
  const sources = [
    { url: options.master, name: 'master' },
    ...mirrors.map((mirror) => ({ url: mirror.web, name: mirror.name })),
  ]
  const files = await manifestOf(release, sources, fetchOptions)
  if (!files.ok) return files
  if (found.ok) await memory?.save(discovery)
  return parsed(new OpenApp(release, files.value, sources, fetchOptions, health))
}

/** What was remembered, its signatures checked again: a cache can be written by others. */
async function recall(memory: DiscoveryMemory | undefined): Promise<Discovery | undefined> {
  const discovery = await memory?.load()
  const genuine = (event: NostrEvent) => verify(event)
  if (!discovery || !genuine(discovery.release)) return undefined
  return { release: discovery.release, mirrors: discovery.mirrors.filter(genuine) }
}

async function manifestOf(
  release: Release,
  sources: readonly Source[],
  options: FetchOptions,
): Promise<Parsed<ReadonlyMap<string, string>>> {
  const listed = release.files ? parsed([...release.files]) : await fetchManifest(release, sources, options)
  if (!listed.ok) return listed
  return parsed(new Map(listed.value.map((file) => [file.path, file.sha256])))
}

async function fetchManifest(release: Release, sources: readonly Source[], options: FetchOptions) {
  // A master need not serve manifests and its lack of one says nothing of its health: hence no `onResult`.
  const { onResult: _, ...quiet } = options
  const limited = { ...quiet, maxBytes: maxManifestBytes }
  const fetched = await fetchVerified(sources, manifestPath(release.manifest), release.manifest, limited)
  if (!fetched.ok) return refused(`no source has the manifest ${release.manifest.slice(0, 12)}`)
  return decodeManifest(fetched.bytes, release.manifest)
}
