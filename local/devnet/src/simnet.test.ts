import type { Cl } from '@stacks/transactions'
import { beforeAll, expect, test } from 'vitest'
import { ACCOUNTS, MINER } from './accounts.ts'
import { type Execution, type Heights, openSimnet, type Payload, type Simnet } from './simnet.ts'

const GENESIS = Date.UTC(2026, 0, 1)
const sender = ACCOUNTS[0]!.address
const counter = `${sender}.counter`
const SOURCE = `
  (define-data-var count uint u0)
  (define-read-only (get-count) (var-get count))
  (define-public (increment) (ok (var-set count (+ (var-get count) u1))))
`

let simnet: Simnet
let opened: Heights

beforeAll(async () => {
  simnet = await openSimnet(GENESIS, () => {})
  opened = simnet.heights()
  execute({ type: 'deploy', name: 'counter', source: SOURCE })
})

const operation = (payload: Payload) => ({ sender, fee: 10n, miner: MINER.address, payload })
const execute = (payload: Payload): Execution => simnet.execute(operation(payload))
const increment: Payload = { type: 'call', contractId: counter, functionName: 'increment', args: [] }

function count(): bigint {
  const read = simnet.readOnly(counter, 'get-count', [], sender)
  if (!read.ok) throw new Error(read.cause)
  return BigInt((read.value as ReturnType<typeof Cl.uint>).value)
}

test('the clock starts where it is pinned and counts blocks, not time', () => {
  expect(opened).toEqual({ stacks: 2, burn: 1, time: GENESIS / 1000 + 620 })
  const before = simnet.heights()
  execute(increment)
  expect(simnet.heights()).toEqual({
    stacks: before.stacks + 1,
    burn: before.burn,
    time: before.time + 10,
  })
  simnet.mineBurnBlock()
  const after = simnet.heights()
  expect(after).toMatchObject({ stacks: before.stacks + 2, burn: before.burn + 1 })
  // The block of the stand-in for sBTC is 10 s into its burn block.
  expect(after.time - opened.time + 10).toBe(600 * (after.burn - opened.burn))
})

test('a replaced call leaves its block and fee, and what came before it', () => {
  execute(increment)
  const before = { count: count(), balance: simnet.balance(sender), ...simnet.heights() }
  execute(increment)
  expect(count()).toBe(before.count + 1n)
  simnet.replaceLast(operation({ type: 'nothing' }))
  expect(count()).toBe(before.count)
  expect(simnet.balance(sender)).toBe(before.balance - 10n)
  expect(simnet.heights()).toEqual({
    stacks: before.stacks + 1,
    burn: before.burn,
    time: before.time + 10,
  })
})

test('hundreds of calls around replaced ones add up', () => {
  const before = count()
  for (let i = 0; i < 300; i++) {
    execute(increment)
    if (i % 60 === 0) simnet.replaceLast(operation({ type: 'nothing' }))
  }
  expect(count()).toBe(before + 295n)
})

test('a panic of the virtual machine costs its fee and leaves the chain usable', () => {
  const before = { count: count(), balance: simnet.balance(sender), ...simnet.heights() }
  // Names are checked before they come here, because simnet panics over this one.
  const panicked = execute({ type: 'deploy', name: 'a b', source: '(ok true)' })
  expect(panicked).toMatchObject({ ok: false, failed: expect.stringContaining('unreachable') })
  expect(simnet.balance(sender)).toBe(before.balance - 10n)
  expect(simnet.heights().stacks).toBe(before.stacks + 1)
  execute(increment)
  expect(count()).toBe(before.count + 1n)
})
