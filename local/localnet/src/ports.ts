import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

/** What wants a port, and where it listens. */
export interface PortWish {
  readonly name: string
  readonly address: string
  /** Taken when nothing is remembered and it is free; 0 for any. */
  readonly preferred: number
}

export interface PortMove {
  readonly name: string
  readonly from: number
  readonly to: number
}

/** Port by name. */
export type Ports = ReadonlyMap<string, number>

/**
 * A free port for every wish: the one that the data folder remembers, else the preferred one, else any. Remembers what it gave. Throws
 * when an address cannot be bound at all.
 */
export async function choosePorts(
  dataDir: string,
  wishes: readonly PortWish[],
): Promise<{ ports: Ports; moves: PortMove[] }> {
  const file = join(dataDir, 'ports.json')
  const remembered = readRemembered(file)
  const ports = new Map<string, number>()
  const moves: PortMove[] = []
  const taken = new Set<string>()
  for (const { name, address, preferred } of wishes) {
    const wanted = remembered[name] ?? preferred
    const free =
      wanted !== 0 && !taken.has(`${address}:${wanted}`) && (await bind(address, wanted)) !== undefined
    const port = free ? wanted : await anyPort(address)
    if (!free && wanted !== 0) moves.push({ name, from: wanted, to: port })
    taken.add(`${address}:${port}`)
    ports.set(name, port)
  }
  writeFileSync(file, `${JSON.stringify({ ...remembered, ...Object.fromEntries(ports) }, undefined, 2)}\n`)
  return { ports, moves }
}

function readRemembered(file: string): Record<string, number> {
  try {
    const read = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    return Object.fromEntries(
      Object.entries(read).flatMap(([name, port]) =>
        typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65_536 ? [[name, port]] : [],
      ),
    )
  } catch {
    return {}
  }
}

async function anyPort(address: string): Promise<number> {
  const port = await bind(address, 0)
  if (port === undefined) throw new Error(`cannot listen on ${address}`)
  return port
}

/** Listens for a moment; the port, or undefined when that is impossible. */
export function bind(address: string, port: number): Promise<number | undefined> {
  return new Promise((settle) => {
    const server = createServer()
    server.once('error', () => settle(undefined))
    server.listen({ host: address, port, exclusive: true }, () => {
      const bound = server.address()
      server.close(() => settle(typeof bound === 'object' && bound ? bound.port : undefined))
    })
  })
}
