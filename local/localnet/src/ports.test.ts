import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { bind, choosePorts } from './ports.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ports-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const any = [{ name: 'api', address: '127.0.0.1', preferred: 0 }]

test('a second start gets the ports of the first', async () => {
  const first = await choosePorts(folder, any)
  const second = await choosePorts(folder, any)
  expect(second.ports).toEqual(first.ports)
  expect(second.moves).toEqual([])
})

test('a port that is busy moves, and the new one is remembered', async () => {
  const { ports } = await choosePorts(folder, any)
  const squatter = createServer().listen(ports.get('api'), '127.0.0.1')
  await once(squatter, 'listening')
  const moved = await choosePorts(folder, any)
  expect(moved.moves).toEqual([{ name: 'api', from: ports.get('api'), to: moved.ports.get('api') }])
  squatter.close()
  await once(squatter, 'close')
  expect((await choosePorts(folder, any)).ports).toEqual(moved.ports)
})

test('two programs never get the same port of one address', async () => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  const wish = (name: string) => ({ name, address: '127.0.0.1', preferred: port })
  const { ports } = await choosePorts(folder, [wish('one'), wish('two')])
  expect(ports.get('one')).not.toBe(ports.get('two'))
})

test('an address that is not this machine’s cannot be bound', async () => {
  expect(await bind('192.0.2.1', 0)).toBeUndefined()
  await expect(choosePorts(folder, [{ name: 'x', address: '192.0.2.1', preferred: 0 }])).rejects.toThrow(
    '192.0.2.1',
  )
})
