import { Cl, cvToString } from '@stacks/transactions'
import { claim, fund } from '@understudy/chain/calls'
import { emptyRoot, merkleRoot, payoutLeafHash } from '@understudy/protocol/merkle'
import { type SettlementMessage, settlementHash } from '@understudy/protocol/settlement'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type App,
  accounts,
  attestersOf,
  chainId,
  contracts,
  foreigner,
  type Network,
  openNetwork,
  signaturesOf,
  type Tree,
  terms,
  treeOf,
} from './network.ts'

const { funder, operator, neighbour, stranger } = accounts
const { window, challenge, budget } = terms

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

/** An app with money, its epoch 0 just over. */
function endedApp(deposit = budget): App {
  const app = network.openApp()
  if (deposit > 0n) network.deposit(app, deposit)
  network.mineTo(app.end(0))
  return app
}

/** The same, settled with these payouts and past its challenge. */
function payableApp(tree: Tree): App {
  const app = endedApp()
  expect(network.settleWith(network.messageOf(app, 0, tree)).outcome).toBe('ok')
  network.mineTo(network.burnHeight + challenge)
  return app
}

function claimLeaf(app: App, tree: Tree, index: number, sender: string = stranger) {
  const payout = { app: app.id, epoch: 0, leaf: tree.leaves[index]!, proof: tree.proof(index) }
  return network.send(claim(contracts, payout), sender)
}

const payouts = treeOf([
  [operator, 40_000_000n],
  [neighbour, 30_000_000n],
  [operator, 20_000_000n],
])

describe('fund', () => {
  it('takes the deposit of anyone and mints a share per µSTX', () => {
    const app = network.openApp()
    const held = network.balance(contracts.pool)
    expect(network.deposit(app, 5_000_000n)).toMatchObject({ outcome: 'ok', value: Cl.uint(5_000_000) })
    expect(network.balance(contracts.pool) - held).toBe(5_000_000n)
    expect(network.poolOf(app)).toMatchObject({
      deposited: 5_000_000n,
      free: 5_000_000n,
      owed: 0n,
      paid: 0n,
      shares: 5_000_000n,
    })
    const shares = network.read(contracts.pool, 'get-shares', [
      Cl.bufferFromHex(app.id),
      Cl.principal(funder),
    ])
    expect(shares).toEqual(Cl.uint(5_000_000))
  })

  const attempts: readonly [
    string,
    { app?: string; amount?: bigint; rulesVersion?: number; minShares?: bigint },
  ][] = [
    ['ERR_UNKNOWN_APP', { app: '00'.repeat(32) }],
    ['ERR_RULES_VERSION', { rulesVersion: 0 }],
    ['ERR_RULES_VERSION', { rulesVersion: 2 }],
    ['ERR_AMOUNT', { amount: 0n, minShares: 0n }],
    ['ERR_MIN_SHARES', { minShares: 1_000_001n }],
  ]
  it.each(attempts)('answers %s to %o', (error, changes) => {
    const app = network.openApp()
    const deposit = { app: app.id, amount: 1_000_000n, rulesVersion: 1, minShares: 1_000_000n, ...changes }
    expect(network.send(fund(contracts, funder, deposit), funder).outcome).toBe(error)
  })

  it('keeps every app’s money apart', () => {
    const rich = network.openApp()
    const poor = network.openApp()
    network.deposit(rich, budget)
    network.mineTo(poor.end(0))
    expect(network.settleWith(network.messageOf(poor, 0, payouts)).outcome).toBe('ERR_OVER_FREE')
  })
})

describe('settle', () => {
  it('sets the money aside and moves none', () => {
    const app = endedApp()
    const held = network.balance(contracts.pool)
    expect(network.settleWith(network.messageOf(app, 0, payouts)).outcome).toBe('ok')
    expect(network.balance(contracts.pool)).toBe(held)
    expect(network.poolOf(app)).toMatchObject({ free: 10_000_000n, owed: 90_000_000n, paid: 0n })
    const row = network.read(contracts.pool, 'get-settlement', [Cl.bufferFromHex(app.id), Cl.uint(0)])
    expect(cvToString(row)).toContain('(signers (list true true false))')
  })

  it('hashes what is signed as the protocol does', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.nat(),
        fc.nat(20),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.bigInt(0n, 2n ** 128n - 1n),
        fc.nat(),
        (app, epoch, round, root, allocated, count) => {
          const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
          const inputs = '44'.repeat(32)
          const message = {
            pool: contracts.pool,
            app: hex(app),
            epoch,
            round,
            inputs,
            root: hex(root),
            allocated,
            count,
          }
          const onChain = network.read(contracts.pool, 'settlement-hash', [
            Cl.buffer(app),
            Cl.uint(epoch),
            Cl.uint(round),
            Cl.bufferFromHex(inputs),
            Cl.buffer(root),
            Cl.uint(allocated),
            Cl.uint(count),
          ])
          expect(onChain).toEqual(Cl.buffer(settlementHash(message, chainId)))
        },
      ),
      { numRuns: 50 },
    )
  })

  it('opens with the end of the epoch and closes two challenges before the window does', () => {
    const early = network.openApp()
    network.deposit(early, budget)
    network.mineTo(early.end(0) - 1)
    expect(network.settleWith(network.messageOf(early, 0, payouts)).outcome).toBe('ERR_TOO_EARLY')
    network.mineTo(early.end(0))
    expect(network.settleWith(network.messageOf(early, 0, payouts)).outcome).toBe('ok')

    const late = endedApp()
    const closes = late.end(0) + window - 2 * challenge
    network.mineTo(closes - 1)
    expect(network.settleWith(network.messageOf(late, 1, payouts)).outcome).toBe('ERR_TOO_EARLY')
    network.mineTo(closes)
    expect(network.settleWith(network.messageOf(late, 0, payouts)).outcome).toBe('ERR_TOO_LATE')
  })

  it('settles an epoch once, whatever the second settlement says', () => {
    const app = endedApp(2n * budget)
    const message = network.messageOf(app, 0, payouts)
    expect(network.settleWith(message).outcome).toBe('ok')
    expect(network.settleWith(message).outcome).toBe('ERR_SETTLED')
    const other = network.messageOf(app, 0, treeOf([[neighbour, 1n]]))
    expect(network.settleWith(other).outcome).toBe('ERR_SETTLED')
    expect(network.poolOf(app)).toMatchObject({ owed: 90_000_000n })
  })

  it('settles every epoch of its own', () => {
    const app = network.openApp()
    network.deposit(app, 2n * budget)
    for (const epoch of [0, 1]) {
      network.mineTo(app.end(epoch))
      expect(network.settleWith(network.messageOf(app, epoch, payouts)).outcome).toBe('ok')
    }
    expect(network.poolOf(app)).toMatchObject({ free: 20_000_000n, owed: 180_000_000n })
  })

  it('takes an epoch in which nobody earned anything', () => {
    const app = endedApp(0n)
    const nothing = treeOf([])
    expect(nothing.root).toBe(emptyRoot)
    expect(network.settleWith(network.messageOf(app, 0, nothing)).outcome).toBe('ok')
  })

  it('allocates no more than the budget', () => {
    const app = endedApp(2n * budget)
    const over = network.messageOf(app, 0, treeOf([[operator, budget + 1n]]))
    expect(network.settleWith(over).outcome).toBe('ERR_OVER_BUDGET')
    const all = network.messageOf(app, 0, treeOf([[operator, budget]]))
    expect(network.settleWith(all).outcome).toBe('ok')
  })

  it('allocates no more than the pool’s free money, what is owed not counted', () => {
    const app = network.openApp()
    network.deposit(app, 100_000_000n)
    network.mineTo(app.end(0))
    network.settleWith(network.messageOf(app, 0, payouts))
    network.mineTo(app.end(1))
    const over = network.messageOf(app, 1, treeOf([[operator, 10_000_001n]]))
    expect(network.settleWith(over).outcome).toBe('ERR_OVER_FREE')
    const rest = network.messageOf(app, 1, treeOf([[operator, 10_000_000n]]))
    expect(network.settleWith(rest).outcome).toBe('ok')
    expect(network.poolOf(app)).toMatchObject({ free: 0n })
  })

  const root = payouts.root
  const outcomes: readonly [string, Partial<SettlementMessage>][] = [
    ['money without a root', { root: emptyRoot }],
    ['money without leaves', { count: 0 }],
    ['a root without money', { allocated: 0n, count: 0, root }],
    ['leaves without money', { allocated: 0n, root: emptyRoot }],
    ['more leaves than µSTX', { allocated: 2n }],
    ['a short root', { root: root.slice(2) }],
  ]
  it.each(outcomes)('refuses %s', (_, changes) => {
    const app = endedApp()
    const message = { ...network.messageOf(app, 0, payouts), ...changes }
    expect(network.settleWith(message).outcome).toBe('ERR_OUTCOME')
  })

  it('refuses short inputs, a round that has not come and an unknown app', () => {
    const app = endedApp()
    const message = network.messageOf(app, 0, payouts)
    expect(network.settleWith({ ...message, inputs: '33'.repeat(31) }).outcome).toBe('ERR_INPUTS')
    expect(network.settleWith({ ...message, round: 1 }).outcome).toBe('ERR_ROUND')
    expect(network.settleWith({ ...message, app: '00'.repeat(32) }).outcome).toBe('ERR_UNKNOWN_EPOCH')
  })

  it('takes M of N signatures in their positions, whichever M', () => {
    for (const signing of [
      [true, true, false],
      [true, false, true],
      [false, true, true],
      [true, true, true],
    ]) {
      const message = network.messageOf(endedApp(), 0, payouts)
      expect(network.settleWith(message, signaturesOf(message, signing)).outcome).toBe('ok')
    }
  })

  it('takes a list that ends with the last signature', () => {
    const message = network.messageOf(endedApp(), 0, payouts)
    expect(network.settleWith(message, signaturesOf(message).slice(0, 2)).outcome).toBe('ok')
  })

  it.each([1, 5, 19])('asks a majority of %i attesters', (n) => {
    const m = (n + 1) / 2
    const app = network.openApp({ keys: attestersOf(n).map(({ key }) => key), faults: 0 })
    network.deposit(app, budget)
    network.mineTo(app.end(0))
    const message = network.messageOf(app, 0, payouts)
    const first = (k: number) => Array.from({ length: n }, (_, i) => i < k)
    expect(network.settleWith(message, signaturesOf(message, first(m - 1))).outcome).toBe('ERR_QUORUM')
    expect(network.settleWith(message, signaturesOf(message, first(m))).outcome).toBe('ok')
  })

  it('refuses signatures that are missing, misplaced, repeated, cut, forged or by strangers', () => {
    const app = endedApp()
    const message = network.messageOf(app, 0, payouts)
    const [a, b] = signaturesOf(message) as [string, string, null]
    const [, , c] = signaturesOf(message, [false, false, true]) as [null, null, string]
    const flipped = `${a.slice(0, 10)}${a[10] === '0' ? '1' : '0'}${a.slice(11)}`
    const outsiders = signaturesOf(message, [true, true, true, true, true])
    const outcome = (signatures: (string | null)[]) => network.settleWith(message, signatures).outcome
    expect(outcome([])).toBe('ERR_QUORUM')
    expect(outcome([a])).toBe('ERR_QUORUM')
    expect(outcome([null, b, null])).toBe('ERR_QUORUM')
    expect(outcome([b, a])).toBe('ERR_SIGNATURES')
    expect(outcome([a, a, a])).toBe('ERR_SIGNATURES')
    expect(outcome([a, b.slice(0, 126)])).toBe('ERR_SIGNATURES')
    expect(outcome([flipped, b])).toBe('ERR_SIGNATURES')
    expect(outcome([a, b, `${'00'.repeat(64)}00`])).toBe('ERR_SIGNATURES')
    expect(outcome([a, b, c, a])).toBe('ERR_SIGNATURES')
    expect(outcome(outsiders)).toBe('ERR_SIGNATURES')
    expect(outcome([a, null, c])).toBe('ok')
  })

  const elsewhere: readonly [string, (message: SettlementMessage) => SettlementMessage][] = [
    ['app', (message) => ({ ...message, app: '55'.repeat(32) })],
    ['epoch', (message) => ({ ...message, epoch: 1 })],
    ['round', (message) => ({ ...message, round: 1 })],
    ['pool', (message) => ({ ...message, pool: `${stranger}.reward-pool` })],
    ['inputs', (message) => ({ ...message, inputs: '55'.repeat(32) })],
    ['root', (message) => ({ ...message, root: '55'.repeat(32) })],
    ['amount', (message) => ({ ...message, allocated: message.allocated - 1n })],
    ['count', (message) => ({ ...message, count: 2 })],
  ]
  it.each(elsewhere)('refuses signatures over another %s', (_, change) => {
    const message = network.messageOf(endedApp(), 0, payouts)
    expect(network.settleWith(message, signaturesOf(change(message))).outcome).toBe('ERR_SIGNATURES')
  })

  it('refuses signatures for another chain', () => {
    const message = network.messageOf(endedApp(), 0, payouts)
    const signatures = signaturesOf(message, [true, true, false], 1)
    expect(network.settleWith(message, signatures).outcome).toBe('ERR_SIGNATURES')
  })
})

describe('claim', () => {
  it('pays the recipient, whoever sends it', () => {
    const app = payableApp(payouts)
    const before = network.balance(neighbour)
    const sender = network.balance(stranger)
    expect(claimLeaf(app, payouts, 1)).toMatchObject({ outcome: 'ok', value: Cl.uint(30_000_000) })
    expect(network.balance(neighbour) - before).toBe(30_000_000n)
    expect(network.balance(stranger)).toBe(sender)
    expect(network.poolOf(app)).toMatchObject({ owed: 60_000_000n, paid: 30_000_000n })
  })

  it('pays the mirror with the highest number that there may be', () => {
    const leaf = { ...payouts.leaves[0]!, mirror: 1_000_000_000 }
    const tree: Tree = {
      leaves: [leaf],
      root: merkleRoot([payoutLeafHash(leaf)]),
      allocated: leaf.amount,
      count: 1,
      proof: () => [],
    }
    expect(claimLeaf(payableApp(tree), tree, 0).outcome).toBe('ok')
  })

  it('pays every leaf once', () => {
    const app = payableApp(payouts)
    for (const index of [0, 1, 2]) expect(claimLeaf(app, payouts, index).outcome).toBe('ok')
    for (const index of [0, 1, 2]) expect(claimLeaf(app, payouts, index).outcome).toBe('ERR_CLAIMED')
    expect(network.poolOf(app)).toMatchObject({ owed: 0n, paid: 90_000_000n })
    const marked = network.read(contracts.pool, 'is-claimed', [
      Cl.bufferFromHex(app.id),
      Cl.uint(0),
      Cl.uint(0),
      Cl.uint(2),
    ])
    expect(marked).toEqual(Cl.bool(true))
  })

  it('waits until burn height and Stacks height have both grown by the challenge', () => {
    const app = endedApp()
    expect(claimLeaf(app, payouts, 0).outcome).toBe('ERR_NOT_SETTLED')
    network.settleWith(network.messageOf(app, 0, payouts))
    const settledAt = network.burnHeight
    network.simnet.mineEmptyStacksBlocks(challenge)
    expect(network.burnHeight).toBe(settledAt)
    expect(claimLeaf(app, payouts, 0).outcome).toBe('ERR_NOT_PAYABLE')
    network.mineTo(settledAt + challenge - 1)
    expect(claimLeaf(app, payouts, 0).outcome).toBe('ERR_NOT_PAYABLE')
    network.mineTo(settledAt + challenge)
    expect(claimLeaf(app, payouts, 0).outcome).toBe('ok')
  })

  it('refuses a leaf that differs in anything, and a proof of another leaf', () => {
    const app = payableApp(payouts)
    const leaf = payouts.leaves[0]!
    const proof = payouts.proof(0)
    const outcome = (changed: typeof leaf, steps = proof) =>
      network.send(claim(contracts, { app: app.id, epoch: 0, leaf: changed, proof: steps }), stranger).outcome
    expect(outcome({ ...leaf, index: 1 })).toBe('ERR_PROOF')
    expect(outcome({ ...leaf, index: 3 })).toBe('ERR_INDEX')
    expect(outcome({ ...leaf, mirror: 2 })).toBe('ERR_PROOF')
    expect(outcome({ ...leaf, recipient: stranger })).toBe('ERR_PROOF')
    expect(outcome({ ...leaf, amount: leaf.amount + 1n })).toBe('ERR_PROOF')
    expect(outcome(leaf, payouts.proof(1))).toBe('ERR_PROOF')
    expect(outcome(leaf, [])).toBe('ERR_PROOF')
    expect(
      outcome(
        leaf,
        proof.map((step) => ({ ...step, left: !step.left })),
      ),
    ).toBe('ERR_PROOF')
    expect(outcome(leaf)).toBe('ok')
  })

  it('refuses claims on an epoch without payouts', () => {
    const app = endedApp(0n)
    network.settleWith(network.messageOf(app, 0, treeOf([])))
    network.mineTo(network.burnHeight + challenge)
    expect(claimLeaf(app, payouts, 0).outcome).toBe('ERR_INDEX')
  })

  it('never pays more than was allocated, even where attesters signed a tree that holds more', () => {
    const app = endedApp(2n * budget)
    network.settleWith({ ...network.messageOf(app, 0, payouts), allocated: 60_000_000n })
    network.mineTo(network.burnHeight + challenge)
    expect(claimLeaf(app, payouts, 0).outcome).toBe('ok')
    expect(claimLeaf(app, payouts, 1).outcome).toBe('ERR_OVER_ALLOCATED')
    expect(claimLeaf(app, payouts, 2).outcome).toBe('ok')
  })

  it('refuses the pool itself and principals of another network', () => {
    const tree = treeOf([
      [contracts.pool, 1_000n],
      [foreigner, 1_000n],
      [operator, 1_000n],
    ])
    const app = payableApp(tree)
    expect(claimLeaf(app, tree, 0).outcome).toBe('ERR_RECIPIENT')
    expect(claimLeaf(app, tree, 1).outcome).toBe('ERR_RECIPIENT')
    expect(claimLeaf(app, tree, 2).outcome).toBe('ok')
  })

  it('does not take a leaf of one app or epoch for another’s', () => {
    const paid = payableApp(payouts)
    const other = payableApp(treeOf([[stranger, 1n]]))
    expect(claimLeaf(paid, payouts, 0).outcome).toBe('ok')
    expect(claimLeaf(other, payouts, 0).outcome).toBe('ERR_PROOF')
  })

  it('agrees with the protocol on leaves and roots of trees of 1 to 64 payouts', () => {
    for (const size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 16, 17, 31, 33, 63, 64]) {
      const tree = treeOf(
        Array.from({ length: size }, (_, i) => [i % 2 ? operator : neighbour, BigInt(i + 1)]),
      )
      for (const index of new Set([0, size >> 1, size - 1])) {
        const leaf = tree.leaves[index]!
        const tuple = Cl.tuple({
          index: Cl.uint(leaf.index),
          mirror: Cl.uint(leaf.mirror),
          recipient: Cl.principal(leaf.recipient),
          amount: Cl.uint(leaf.amount),
        })
        const proof = tree
          .proof(index)
          .map((step) => Cl.tuple({ hash: Cl.bufferFromHex(step.hash), left: Cl.bool(step.left) }))
        expect(network.read(contracts.pool, 'leaf-hash', [tuple])).toEqual(Cl.buffer(payoutLeafHash(leaf)))
        const root = network.read(contracts.pool, 'root-of', [tuple, Cl.list(proof)])
        expect(root).toEqual(Cl.bufferFromHex(tree.root))
      }
    }
  })
})

describe('money', () => {
  it('is conserved by any order of deposits, settlements and claims', { timeout: 240_000 }, () => {
    const amount = fc.bigInt(1n, 60_000_000n)
    const step = fc.oneof(
      fc.record({ do: fc.constant('fund' as const), amount }),
      fc.record({ do: fc.constant('settle' as const), amounts: fc.array(amount, { maxLength: 4 }) }),
      fc.record({ do: fc.constant('claim' as const), epoch: fc.nat(3), index: fc.nat(4) }),
      fc.record({ do: fc.constant('wait' as const), blocks: fc.integer({ min: 1, max: 40 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 30 }), (steps) => {
        const app = network.openApp()
        const outside = network.balance(contracts.pool)
        const trees = new Map<number, Tree>()
        const claimed = new Set<string>()
        let deposited = 0n
        let paid = 0n
        for (const action of steps) {
          if (action.do === 'wait') network.mineTo(network.burnHeight + action.blocks)
          if (action.do === 'fund' && network.deposit(app, action.amount).outcome === 'ok')
            deposited += action.amount
          if (action.do === 'settle') {
            const epoch = Math.floor((network.burnHeight - app.schedule.start) / app.schedule.length) - 1
            const tree = treeOf(action.amounts.map((value) => [operator, value]))
            if (epoch >= 0 && network.settleWith(network.messageOf(app, epoch, tree)).outcome === 'ok') {
              expect(trees.has(epoch)).toBe(false)
              expect(tree.allocated <= budget).toBe(true)
              trees.set(epoch, tree)
            }
          }
          if (action.do === 'claim') {
            const tree = trees.get(action.epoch)
            const leaf = tree?.leaves[action.index]
            if (!tree || !leaf) continue
            const payout = { app: app.id, epoch: action.epoch, leaf, proof: tree.proof(action.index) }
            if (network.send(claim(contracts, payout), stranger).outcome === 'ok') {
              const key = `${action.epoch}:${action.index}`
              expect(claimed.has(key)).toBe(false)
              claimed.add(key)
              paid += leaf.amount
            }
          }
          const allocated = [...trees.values()].reduce((sum, tree) => sum + tree.allocated, 0n)
          expect(allocated <= deposited).toBe(true)
          expect(network.balance(contracts.pool) - outside).toBe(deposited - paid)
          expect(network.poolOf(app)).toMatchObject({
            deposited,
            owed: allocated - paid,
            paid,
            free: deposited - allocated - network.poolOf(app).parked!,
          })
        }
      }),
      { numRuns: 15 },
    )
  })
})
