import { Cl } from '@stacks/transactions'
import { claim, claimRange, rangeSize, sweep } from '@understudy/chain/calls'
import { verifyLog } from '@understudy/chain/log'
import { projectChain } from '@understudy/chain/state'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type App,
  accounts,
  contracts,
  foreigner,
  type Network,
  openNetwork,
  type Tree,
  terms,
  treeOf,
} from './network.ts'

const { operator, neighbour, stranger } = accounts

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

const payouts = (size: number): Tree =>
  treeOf(Array.from({ length: size }, (_, at) => [at % 2 ? operator : neighbour, BigInt(at + 1)]))

function payableApp(tree: Tree, allocated = tree.allocated): App {
  const app = network.openApp()
  network.deposit(app, terms.budget)
  network.mineTo(app.end(0))
  expect(network.settleWith({ ...network.messageOf(app, 0, tree), allocated }).outcome).toBe('ok')
  network.mineTo(network.burnHeight + terms.challenge)
  return app
}

const range = (app: App, tree: Tree, start: number) =>
  network.send(claimRange(contracts, { app: app.id, epoch: 0, leaves: tree.leaves, start }), stranger)
const single = (app: App, tree: Tree, at: number) =>
  network.send(
    claim(contracts, { app: app.id, epoch: 0, leaf: tree.leaves[at]!, proof: tree.proof(at) }),
    stranger,
  )
const total = (tree: Tree, from: number, to: number) =>
  tree.leaves.slice(from, to).reduce((sum, leaf) => sum + leaf.amount, 0n)

describe('claim-range', () => {
  it('pays trees of every shape to the last leaf', { timeout: 120_000 }, () => {
    for (const size of [1, 2, 3, 5, 63, 64, 65, 127, 128, 129, 130, 255, 256, 257, 300, 385]) {
      const tree = payouts(size)
      const app = payableApp(tree)
      const before = network.balance(operator) + network.balance(neighbour)
      for (let start = 0; start < size; start += rangeSize) {
        const due = total(tree, start, start + rangeSize)
        expect(range(app, tree, start)).toMatchObject({ outcome: 'ok', value: Cl.uint(due) })
      }
      expect(network.balance(operator) + network.balance(neighbour) - before).toBe(tree.allocated)
      expect(network.poolOf(app)).toMatchObject({ owed: 0n, paid: tree.allocated })
    }
  })

  it('skips what was paid, and is refused where nothing is left', () => {
    const tree = payouts(200)
    const app = payableApp(tree)
    single(app, tree, 3)
    single(app, tree, 130)
    const due = total(tree, 0, 128) - tree.leaves[3]!.amount
    expect(range(app, tree, 0)).toMatchObject({ outcome: 'ok', value: Cl.uint(due) })
    expect(range(app, tree, 0).outcome).toBe('ERR_CLAIMED')
    expect(single(app, tree, 5).outcome).toBe('ERR_CLAIMED')
    expect(single(app, tree, 131).outcome).toBe('ok')
    expect(range(app, tree, 128).outcome).toBe('ok')
    expect(network.poolOf(app)).toMatchObject({ owed: 0n, paid: tree.allocated })
  })

  it('skips recipients that cannot be paid and pays the others', () => {
    const tree = treeOf([
      [contracts.pool, 1_000n],
      [operator, 20n],
      [foreigner, 1_000n],
      [neighbour, 30n],
    ])
    const app = payableApp(tree)
    expect(range(app, tree, 0)).toMatchObject({ outcome: 'ok', value: Cl.uint(50) })
    expect(network.poolOf(app)).toMatchObject({ owed: 2_000n, paid: 50n })
  })

  it('never pays more than was allocated', () => {
    const tree = payouts(4)
    const app = payableApp(tree, 8n)
    // 1 and 3 in the order of the list (leaves 0, 2, 1, 3), then 2, and 4 no more.
    expect(range(app, tree, 0)).toMatchObject({ outcome: 'ok', value: Cl.uint(6) })
    expect(network.poolOf(app)).toMatchObject({ owed: 2n, paid: 6n })
  })

  it('never pays more than single claims left', () => {
    const tree = payouts(4)
    const app = payableApp(tree, 6n)
    expect(single(app, tree, 3).outcome).toBe('ok')
    expect(range(app, tree, 0)).toMatchObject({ outcome: 'ok', value: Cl.uint(1) })
    expect(network.poolOf(app)).toMatchObject({ owed: 1n, paid: 5n })
  })

  it('refuses another tree, too few places, and money that is not payable', () => {
    const tree = payouts(130)
    const app = network.openApp()
    network.deposit(app, terms.budget)
    network.mineTo(app.end(0))
    expect(range(app, tree, 0).outcome).toBe('ERR_NOT_SETTLED')
    network.settleWith(network.messageOf(app, 0, tree))
    expect(range(app, tree, 0).outcome).toBe('ERR_NOT_PAYABLE')
    network.mineTo(network.burnHeight + terms.challenge)
    expect(range(app, payouts(131), 0).outcome).toBe('ERR_PROOF')
    expect(range(app, payouts(2), 0).outcome).toBe('ERR_PROOF')
    const call = claimRange(contracts, { app: app.id, epoch: 0, leaves: tree.leaves, start: 0 })
    const [id, epoch, leaves, proof] = call.functionArgs
    const cut = leaves!.type === 'list' ? Cl.list(leaves!.value.slice(0, 127)) : leaves!
    const nothing = Cl.list(Array.from({ length: 128 }, () => Cl.none()))
    for (const places of [cut, nothing, Cl.list([])])
      expect(network.send({ ...call, functionArgs: [id!, epoch!, places, proof!] }, stranger).outcome).toBe(
        'ERR_PROOF',
      )
    network.mineTo(network.burnHeight + terms.claimPeriod)
    network.send(sweep(contracts, { app: app.id, epoch: 0 }), stranger)
    expect(range(app, tree, 0).outcome).toBe('ERR_SWEPT')
    expect(() => claimRange(contracts, { app: app.id, epoch: 0, leaves: tree.leaves, start: 64 })).toThrow()
  })

  it('is in the log leaf by leaf', () => {
    const tree = payouts(140)
    const app = payableApp(tree)
    single(app, tree, 1)
    range(app, tree, 0)
    range(app, tree, 128)
    const events = verifyLog(network.entries).filter((event) => event.app === app.id)
    const { claims, paid } = projectChain(events).apps.get(app.id)!.settlements.get(0)!
    expect(claims.size).toBe(140)
    expect(paid).toBe(tree.allocated)
    expect(claims.get(77)).toMatchObject({ amount: 78n, recipient: operator, mirror: 78 })
  })
})
