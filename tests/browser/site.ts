import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = fileURLToPath(new URL('../../web/dist', import.meta.url))
const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
}

/** The built page as any static host serves it: below a path, beside a `config.json` that names the registry. */
export async function hostSite(
  below: string,
  config: object,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://host').pathname
    const name = path.startsWith(below) ? normalize(path.slice(below.length) || 'index.html') : '..'
    if (name === 'config.json')
      return response.setHeader('content-type', types['.json']!).end(JSON.stringify(config))
    const bytes = name.startsWith('..') ? undefined : await readFile(join(dist, name)).catch(() => undefined)
    if (!bytes) return response.writeHead(404).end()
    response.setHeader('content-type', types[extname(name)] ?? 'application/octet-stream').end(bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${below}`,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
