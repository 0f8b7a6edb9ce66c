import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { attesterPlans, mirrorPlans, places } from '../places.ts'
import { delayBetween, oneWayMs } from './delay.ts'
import { openDelayProxy } from './proxy.ts'

let echo: Server
let target: { host: string; port: number }

beforeAll(async () => {
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    socket.pipe(socket)
  }).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  target = { host: '127.0.0.1', port: (echo.address() as AddressInfo).port }
})

afterAll(() => {
  echo.close()
})

async function roundTrip(socket: Socket): Promise<number> {
  const started = performance.now()
  socket.write('ping')
  await once(socket, 'data')
  return performance.now() - started
}

test('light in fibre takes 32.7 ms from Frankfurt to Ashburn, a detour more', () => {
  const [frankfurt, ashburn] = places
  expect(oneWayMs(frankfurt!, ashburn!) / 1.2).toBeCloseTo(32.7, 0)
})

test('addresses that stand nowhere have no delay, those of one place none to each other', () => {
  const [a] = attesterPlans
  const [near, , far] = mirrorPlans
  expect(delayBetween(places, '127.0.0.1', far!.address)).toBe(0)
  expect(delayBetween(places, a!.egress, near!.address)).toBe(0)
  expect(delayBetween(places, `::ffff:${a!.egress}`, far!.address)).toBeGreaterThan(30)
})

test('the measured round trip is never below the wanted one', async () => {
  const proxy = await openDelayProxy({ address: '127.0.0.1', port: 0, target, delayMs: () => 20 })
  const socket = connect(proxy.port, '127.0.0.1').setNoDelay(true)
  await once(socket, 'connect')
  const trips = []
  for (let i = 0; i < 10; i++) trips.push(await roundTrip(socket))
  // A timer of Node may fire up to a millisecond early.
  expect(Math.min(...trips)).toBeGreaterThanOrEqual(38)
  expect(Math.min(...trips)).toBeLessThan(80)
  socket.destroy()
  await proxy.close()
})

test('the delay depends on where the peer comes from', async () => {
  const delays: string[] = []
  const proxy = await openDelayProxy({
    address: '127.0.0.1',
    port: 0,
    target,
    delayMs: (source) => {
      delays.push(source)
      return 0
    },
  })
  const socket = connect({ port: proxy.port, host: '127.0.0.1', localAddress: '127.0.0.1' })
  await roundTrip(socket)
  expect(delays).toEqual(['127.0.0.1'])
  socket.destroy()
  await proxy.close()
})

test('ten megabytes arrive whole and in order, then the end', async () => {
  const proxy = await openDelayProxy({ address: '127.0.0.1', port: 0, target, delayMs: () => 5 })
  const sent = randomBytes(10 * 1024 * 1024)
  const socket = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.end(sent)
  const hash = createHash('sha256')
  for await (const chunk of socket) hash.update(chunk as Buffer)
  expect(hash.digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'))
  await proxy.close()
})

test('a target that is down looks down from afar', async () => {
  const dead = createServer().listen(0, '127.0.0.1')
  await once(dead, 'listening')
  const { port } = dead.address() as AddressInfo
  dead.close()
  await once(dead, 'close')
  const proxy = await openDelayProxy({
    address: '127.0.0.1',
    port: 0,
    target: { host: '127.0.0.1', port },
    delayMs: () => 0,
  })
  const socket = connect(proxy.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.resume()
  await once(socket, 'close')
  await proxy.close()
})
