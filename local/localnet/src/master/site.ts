import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join, normalize, sep } from 'node:path'
import { contentType } from '@understudy/client/content-type'

/** The app as its maintainer serves it: the files of a checkout, `entry` at the root. */
export function createSite(root: string, entry: string): Server {
  return createServer((request, response) => {
    void (async () => {
      const file = await fileOf(root, entry, request.url ?? '/')
      if (!file || !(request.method === 'GET' || request.method === 'HEAD')) {
        response.writeHead(file ? 405 : 404, { 'content-type': 'text/plain' }).end('there is nothing here\n')
        return
      }
      response.writeHead(200, {
        'content-type': contentType(file.path),
        'content-length': file.size,
        'cache-control': 'no-cache',
        'access-control-allow-origin': '*',
      })
      if (request.method === 'HEAD') response.end()
      else createReadStream(file.path).pipe(response)
    })().catch(() => response.destroy())
  })
}

async function fileOf(root: string, entry: string, url: string) {
  let path: string
  try {
    path = decodeURIComponent(new URL(url, 'http://site').pathname)
  } catch {
    return undefined
  }
  const relative = normalize(path === '/' ? entry : path)
  if (relative.split(sep).some((part) => part === '..' || part === '.git')) return undefined
  for (const candidate of [join(root, relative), join(root, relative, 'index.html')]) {
    const found = await stat(candidate).catch(() => undefined)
    if (found?.isFile()) return { path: candidate, size: found.size }
  }
  return undefined
}
