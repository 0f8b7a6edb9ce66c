/** Delay and fault proxies in one process. Usage: `main.js <links.json>`. */
import { readFileSync } from 'node:fs'
import { delayBetween } from '../delays/delay.ts'
import { openDelayProxy } from '../delays/proxy.ts'
import { openTamperingProxy } from '../faults/tampering.ts'
import { linksSchema } from './links.ts'

const links = linksSchema.parse(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')))

const proxies = await Promise.all([
  ...links.tampering.map(({ listen, target, paths }) =>
    openTamperingProxy({ address: listen.host, port: listen.port, target, paths }),
  ),
  ...links.delays.map(({ listen, target }) =>
    openDelayProxy({
      address: listen.host,
      port: listen.port,
      target,
      delayMs: (source) => delayBetween(links.places, source, listen.host),
    }),
  ),
])

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(
    signal,
    () => void Promise.all(proxies.map((proxy) => proxy.close())).then(() => process.exit(0)),
  )
}
process.stdout.write(`${JSON.stringify({ msg: 'ready', url: '' })}\n`)
