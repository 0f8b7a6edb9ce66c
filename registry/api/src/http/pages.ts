import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join, relative, sep } from 'node:path'

/** A file of the built web page. */
export interface PageFile {
  readonly body: Uint8Array<ArrayBuffer>
  readonly etag: string
  readonly type: string
  readonly cacheControl: string
}

/** The page by URL path. */
export type Pages = ReadonlyMap<string, PageFile>

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml; charset=utf-8',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.webp': 'image/webp',
  '.jpg': 'image/jpeg',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
  '.txt': 'text/plain; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
}

const maxPageBytes = 64 * 1024 * 1024

/**
 * Reads a built page into memory, so that no path of a request ever reaches the disk. `/x/` and `/x` also find `x/index.html` and
 * `x.html`. What the bundler named by its hash never changes. Throws above 64 MiB.
 */
export async function loadPages(dir: string): Promise<Pages> {
  const pages = new Map<string, PageFile>()
  let size = 0
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    size += (await stat(file)).size
    if (size > maxPageBytes) throw new Error(`WEB_DIR holds more than ${maxPageBytes} bytes`)
    const body = new Uint8Array(await readFile(file))
    const path = `/${relative(dir, file).split(sep).join('/')}`
    const hashed = /[-.][A-Za-z0-9_-]{8,}\.\w+$/.test(entry.name) && path.startsWith('/assets/')
    const page = {
      body,
      etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
      type: types[extname(entry.name)] ?? 'application/octet-stream',
      cacheControl: hashed ? 'public, max-age=31536000, immutable' : 'no-cache',
    }
    for (const name of namesOf(path)) if (name === path || !pages.has(name)) pages.set(name, page)
  }
  return pages
}

function namesOf(path: string): string[] {
  if (path.endsWith('/index.html')) {
    const folder = path.slice(0, -'index.html'.length)
    return [path, folder, ...(folder === '/' ? [] : [folder.slice(0, -1)])]
  }
  return path.endsWith('.html') ? [path, path.slice(0, -'.html'.length)] : [path]
}
