/** Stands for a public git host: serves the bare repositories of a folder, read-only. Usage: `main.js <folder>`; HOST and PORT. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serveRepositories } from '@understudy/git/serve'

const host = serveRepositories({ root: process.argv[2] ?? '.', maxConcurrent: 16 })
const server = createServer((request, response) => {
  host.handle(request, response).catch(() => response.destroy())
})
server.once('error', (error) => {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
})
server.listen(Number(process.env.PORT ?? 0), process.env.HOST ?? '127.0.0.1', () => {
  const { address, port } = server.address() as AddressInfo
  process.stdout.write(`${JSON.stringify({ msg: 'ready', url: `http://${address}:${port}` })}\n`)
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close()
    server.closeAllConnections()
    void host.close().then(() => process.exit(0))
  })
}
