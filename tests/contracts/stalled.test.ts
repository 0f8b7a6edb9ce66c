import { Cl } from '@stacks/transactions'
import {
  attesterBondHash,
  bondAttester,
  changeRules,
  claim,
  sweep,
  veto,
  withdrawAttester,
} from '@understudy/chain/calls'
import { signHash } from '@understudy/protocol/sip018'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type App,
  accounts,
  attestersOf,
  chainId,
  contracts,
  type Network,
  openNetwork,
  stage,
  terms,
  treeOf,
} from './network.ts'

/**
 * Burn blocks that come while no Stacks blocks do. Simnet mines a Stacks block with each burn block, so the pool reads the Stacks height
 * through a function that can hold it; all else of the contract is as it stands.
 */

const { maintainer, operator, saver, stranger } = accounts
const { window, challenge, claimPeriod, budget } = terms
const attesters = attestersOf(3)

const held = `(define-data-var stalled (optional uint) none)
(define-private (stacks-height) (default-to stacks-block-height (var-get stalled)))
(define-public (stall (at (optional uint))) (ok (var-set stalled at)))`

let network: Network
beforeAll(async () => {
  const source = stage.sources['reward-pool']!
  stage.sources['reward-pool'] = `${held}\n${source.replaceAll('stacks-block-height', '(stacks-height)')}`
  try {
    network = await openNetwork()
  } finally {
    stage.sources['reward-pool'] = source
  }
})

/** Holds the Stacks height that the pool sees; returns it. */
function stall(height: number = network.simnet.stacksBlockHeight): number {
  network.simnet.callPublicFn(contracts.pool, 'stall', [Cl.some(Cl.uint(height))], stranger)
  return height
}

const payouts = treeOf([[operator, 70n]])

/** Settles an epoch as it ends; from then on no Stacks block comes. Returns their height. */
function settleAndStall(app: App, epoch: number): number {
  network.mineTo(app.end(epoch))
  const at = stall()
  expect(network.settleWith(network.messageOf(app, epoch, payouts)).outcome).toBe('ok')
  return at
}

describe('while no Stacks blocks come', () => {
  it('nothing is payable, swept or minted, and the maintainer may still object', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    const at = settleAndStall(app, 0)
    const payout = { app: app.id, epoch: 0, leaf: payouts.leaves[0]!, proof: payouts.proof(0) }
    const is = (name: string, ...more: number[]) =>
      network.read(contracts.pool, name, [Cl.bufferFromHex(app.id), ...more.map((n) => Cl.uint(n))])
    network.mineTo(app.end(0) + challenge + claimPeriod + window)
    for (const height of [at, at + challenge - 1]) {
      stall(height)
      expect(is('is-payable', 0)).toEqual(Cl.bool(false))
      expect(is('is-quiet')).toEqual(Cl.bool(false))
      expect(network.send(claim(contracts, payout), stranger).outcome).toBe('ERR_NOT_PAYABLE')
      expect(network.send(sweep(contracts, { app: app.id, epoch: 0 }), stranger).outcome).toBe(
        'ERR_CLAIMABLE',
      )
    }
    expect(network.deposit(app, 5n)).toMatchObject({ outcome: 'ok', value: Cl.uint(0) })
    stall(at + challenge)
    expect(is('is-payable', 0)).toEqual(Cl.bool(true))
    expect(is('is-quiet')).toEqual(Cl.bool(true))
    expect(network.send(sweep(contracts, { app: app.id, epoch: 0 }), stranger)).toMatchObject({
      value: Cl.uint(70),
    })

    const other = network.openApp()
    network.deposit(other, budget)
    settleAndStall(other, 0)
    network.mineTo(other.end(1))
    expect(network.send(veto(contracts, { app: other.id, epoch: 0 }), maintainer).outcome).toBe('ok')
  })

  it('a bond is kept that vouches for the last settlement', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    const { key, secret } = attesters[0]!
    const signature = signHash(attesterBondHash(contracts, { app: app.id, owner: saver }, chainId), secret)
    const put = bondAttester(contracts, saver, { app: app.id, key, amount: 9n, signature })
    expect(network.send(put, saver).outcome).toBe('ok')
    const rules = { ...terms, keys: [attesters[1]!.key], faults: 0 }
    expect(
      network.send(changeRules(contracts, { app: app.id, from: 3, terms: rules }), maintainer).outcome,
    ).toBe('ok')
    const unbond = () =>
      network.send(withdrawAttester(contracts, { app: app.id, key, amount: 9n }), saver).outcome

    const at = settleAndStall(app, 2)
    network.mineTo(app.end(2) + window + challenge)
    expect(unbond()).toBe('ERR_LISTED')
    stall(at + challenge - 1)
    expect(unbond()).toBe('ERR_LISTED')
    stall(at + challenge)
    expect(unbond()).toBe('ok')
  })
})
