/** The maintainer's own server, the one that will die. Usage: `main.js <folder> <entry>`; HOST and PORT. */
import type { AddressInfo } from 'node:net'
import { createSite } from './site.ts'

const [root = '.', entry = '/index.html'] = process.argv.slice(2)
const server = createSite(root, entry)
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
    server.close(() => process.exit(0))
    server.closeAllConnections()
  })
}
