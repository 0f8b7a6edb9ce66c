import { Cl, cvToString } from '@stacks/transactions'
import {
  activate,
  changeRules,
  claim,
  exit,
  fund,
  requestExit,
  sweep,
  takeBack,
  veto,
} from '@understudy/chain/calls'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type App,
  accounts,
  contracts,
  type Network,
  openNetwork,
  type Tree,
  terms,
  treeOf,
} from './network.ts'

const { maintainer, funder, operator, neighbour, stranger } = accounts
const { window, challenge, budget } = terms

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

const wake = (app: App, whose: string, sender: string = stranger) =>
  network.send(activate(contracts, { app: app.id, funder: whose }), sender)
const unpark = (app: App, amount: bigint, sender: string = funder) =>
  network.send(takeBack(contracts, { app: app.id, amount }), sender)
const ask = (app: App, shares: bigint, sender: string = funder) =>
  network.send(requestExit(contracts, { app: app.id, shares }), sender)
const leave = (app: App, sender: string = funder, least = 0n) =>
  network.send(exit(contracts, { app: app.id, least }), sender)
const object = (app: App, epoch: number, sender: string = maintainer) =>
  network.send(veto(contracts, { app: app.id, epoch }), sender)
const collect = (app: App, epoch: number) => network.send(sweep(contracts, { app: app.id, epoch }), stranger)
const settleAs = (app: App, epoch: number, tree: Tree, round = 0) =>
  network.settleWith(network.messageOf(app, epoch, tree, round))
const pay = (app: App, epoch: number, tree: Tree, index: number) =>
  network.send(
    claim(contracts, { app: app.id, epoch, leaf: tree.leaves[index]!, proof: tree.proof(index) }),
    stranger,
  )
const sharesOf = (app: App, who: string) => {
  const value = network.read(contracts.pool, 'get-shares', [Cl.bufferFromHex(app.id), Cl.principal(who)])
  return BigInt(cvToString(value).slice(1))
}
const quiet = (app: App) =>
  network.read(contracts.pool, 'is-quiet', [Cl.bufferFromHex(app.id)]).type === 'true'
const one = (amount: bigint) => treeOf([[operator, amount]])

/** An epoch's end, and then the first block in which an epoch that nobody settles is final. */
const lapse = (app: App, epoch: number) => network.mineTo(app.end(epoch) + window)

/** Everything of this funder's out, two epochs after `epoch`, which runs. */
function leaveAfter(app: App, epoch: number, who: string = funder) {
  expect(ask(app, sharesOf(app, who), who).outcome).toBe('ok')
  lapse(app, epoch + 1)
  return leave(app, who)
}

describe('a quiet moment', () => {
  it('is before the first epoch ends, and then between what is final and the next end', () => {
    const app = network.openApp()
    expect(quiet(app)).toBe(true)
    network.mineTo(app.end(0) - 1)
    expect(quiet(app)).toBe(true)
    network.mineTo(app.end(0))
    expect(quiet(app)).toBe(false)
    network.mineTo(app.end(0) + window - 1)
    expect(quiet(app)).toBe(false)
    network.mineTo(app.end(0) + window)
    expect(quiet(app)).toBe(true)
    network.mineTo(app.end(1))
    expect(quiet(app)).toBe(false)
    expect(network.read(contracts.pool, 'is-quiet', [Cl.bufferFromHex('00'.repeat(32))])).toEqual(
      Cl.bool(false),
    )
  })

  it('comes as soon as what was settled is payable, not with the settlement', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(1n))
    network.mineTo(network.burnHeight + challenge - 1)
    expect(quiet(app)).toBe(false)
    network.mineTo(network.burnHeight + 1)
    expect(quiet(app)).toBe(true)
  })

  it('waits for the last settlement of a late round, and no longer', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    network.mineTo(app.end(0) + window - 2 * challenge - 1)
    expect(settleAs(app, 0, one(1n)).outcome).toBe('ok')
    expect(object(app, 0).outcome).toBe('ok')
    network.mineTo(app.end(0) + window - 1)
    expect(settleAs(app, 0, one(2n), 1).outcome).toBe('ok')
    network.mineTo(app.end(0) + window + challenge - 2)
    expect(quiet(app)).toBe(false)
    network.mineTo(app.end(0) + window + challenge)
    expect(quiet(app)).toBe(true)
  })

  it('waits for Stacks blocks as well as for burn blocks', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(1n))
    // A burn block never comes without a Stacks block here, so only the height that is waited for can be seen.
    const height = network.simnet.stacksBlockHeight
    expect(network.poolOf(app)['final-height']).toBe(BigInt(height + challenge))
    expect(network.poolOf(app)['final-burn']).toBe(BigInt(network.burnHeight + challenge))
  })
})

describe('a deposit while epochs are being settled', () => {
  it('waits uncounted, mints nothing, and is activated by anyone once all is quiet', () => {
    const app = network.openApp()
    network.deposit(app, 10n)
    network.mineTo(app.end(0))
    expect(network.deposit(app, 5n, neighbour)).toMatchObject({ outcome: 'ok', value: Cl.uint(0) })
    expect(network.poolOf(app)).toMatchObject({ deposited: 15n, free: 10n, parked: 5n, shares: 10n })
    expect(sharesOf(app, neighbour)).toBe(0n)
    expect(settleAs(app, 0, one(11n)).outcome).toBe('ERR_OVER_FREE')
    expect(wake(app, neighbour).outcome).toBe('ERR_NOT_QUIET')
    lapse(app, 0)
    expect(wake(app, neighbour)).toMatchObject({ outcome: 'ok', value: Cl.uint(5) })
    expect(network.poolOf(app)).toMatchObject({ deposited: 15n, free: 15n, parked: 0n, shares: 15n })
    expect(sharesOf(app, neighbour)).toBe(5n)
    expect(wake(app, neighbour).outcome).toBe('ERR_NOTHING_PARKED')
  })

  it('goes back to its funder at any time, whole and once', () => {
    const app = network.openApp()
    network.mineTo(app.end(0))
    network.deposit(app, 5n)
    network.deposit(app, 7n)
    const before = network.balance(funder)
    expect(unpark(app, 12n, stranger).outcome).toBe('ERR_NOTHING_PARKED')
    expect(unpark(app, 12n).outcome).toBe('ok')
    expect(network.balance(funder) - before).toBe(12n)
    expect(unpark(app, 12n).outcome).toBe('ERR_NOTHING_PARKED')
    expect(network.poolOf(app)).toMatchObject({ deposited: 12n, refunded: 12n, parked: 0n, free: 0n })
  })

  it('is not put under rules that were announced while it waited', () => {
    const app = network.openApp()
    network.mineTo(app.end(0))
    network.deposit(app, 5n)
    network.send(changeRules(contracts, { app: app.id, from: 5, terms }), maintainer)
    lapse(app, 0)
    expect(wake(app, funder).outcome).toBe('ERR_RULES_VERSION')
    // Its funder accepts them by depositing again, or takes it back.
    expect(network.deposit(app, 1n, neighbour, 2).outcome).toBe('ok')
    expect(unpark(app, 5n).outcome).toBe('ok')
  })

  it('is activated for the shares that its funder asked, or not', () => {
    const app = network.openApp()
    network.mineTo(app.end(0))
    const greedy = { app: app.id, amount: 5n, rulesVersion: 1, minShares: 6n }
    expect(network.send(fund(contracts, funder, greedy), funder).outcome).toBe('ok')
    lapse(app, 0)
    expect(wake(app, funder).outcome).toBe('ERR_MIN_SHARES')
    expect(unpark(app, 5n).outcome).toBe('ok')
  })

  it('refuses absurd amounts and demands', () => {
    const app = network.openApp()
    const ask128 = (amount: bigint, minShares: bigint) =>
      network.send(fund(contracts, funder, { app: app.id, amount, rulesVersion: 1, minShares }), funder)
        .outcome
    const most = 2n ** 128n - 1n
    expect(ask128(most, 0n)).toBe('ERR_AMOUNT')
    expect(ask128(0n, 0n)).toBe('ERR_AMOUNT')
    expect(ask128(10n ** 16n, 0n)).toBe('(err u1)')
    expect(ask128(1n, most)).toBe('ERR_MIN_SHARES')
    network.mineTo(app.end(0))
    expect(ask128(1n, most)).toBe('ERR_MIN_SHARES')
    expect(network.poolOf(app).deposited).toBe(0n)
  })
})

describe('leaving', () => {
  it('pays the part of what is left, two epochs after the request', () => {
    const app = network.openApp()
    network.deposit(app, 100n)
    network.deposit(app, 300n, neighbour)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(40n))
    network.mineTo(network.burnHeight + challenge)
    // Epoch 1 runs.
    expect(ask(app, 100n)).toMatchObject({ outcome: 'ok', value: Cl.uint(3) })
    network.mineTo(app.end(2) - 1)
    expect(leave(app).outcome).toBe('ERR_NOT_READY')
    network.mineTo(app.end(2))
    expect(leave(app).outcome).toBe('ERR_NOT_QUIET')
    lapse(app, 2)
    expect(leave(app)).toMatchObject({ outcome: 'ok', value: Cl.uint(90) })
    expect(leave(app).outcome).toBe('ERR_NOT_REQUESTED')
    expect(network.poolOf(app)).toMatchObject({ free: 270n, shares: 300n, refunded: 90n })
    // Requested in epoch 3.
    expect(leaveAfter(app, 4, neighbour)).toMatchObject({ outcome: 'ok', value: Cl.uint(270) })
    expect(network.poolOf(app)).toMatchObject({ free: 0n, shares: 0n, owed: 40n })
  })

  it('leaves the money at stake until it is done', () => {
    const app = network.openApp()
    network.deposit(app, 100n)
    ask(app, 100n)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(60n))
    lapse(app, 1)
    expect(leave(app)).toMatchObject({ outcome: 'ok', value: Cl.uint(40) })
  })

  it('takes a wish back, and replaces one by another that waits anew', () => {
    const app = network.openApp()
    network.deposit(app, 100n)
    ask(app, 100n)
    network.mineTo(app.end(0))
    expect(ask(app, 30n)).toMatchObject({ outcome: 'ok', value: Cl.uint(3) })
    lapse(app, 1)
    expect(leave(app).outcome).toBe('ERR_NOT_READY')
    lapse(app, 2)
    expect(leave(app)).toMatchObject({ outcome: 'ok', value: Cl.uint(30) })
    ask(app, 70n)
    ask(app, 0n)
    lapse(app, 5)
    expect(leave(app).outcome).toBe('ERR_NOT_REQUESTED')
    expect(sharesOf(app, funder)).toBe(70n)
  })

  it('is for shares that one has, and that one asked to leave with', () => {
    const app = network.openApp()
    network.deposit(app, 100n)
    expect(ask(app, 101n).outcome).toBe('ERR_SHARES')
    expect(ask(app, 1n, stranger).outcome).toBe('ERR_SHARES')
    expect(leave(app).outcome).toBe('ERR_NOT_REQUESTED')
    const nowhere = requestExit(contracts, { app: '00'.repeat(32), shares: 0n })
    expect(network.send(nowhere, funder).outcome).toBe('ERR_UNKNOWN_APP')
    const out = exit(contracts, { app: '00'.repeat(32), least: 0n })
    expect(network.send(out, funder).outcome).toBe('ERR_UNKNOWN_APP')
    const up = activate(contracts, { app: '00'.repeat(32), funder })
    expect(network.send(up, funder).outcome).toBe('ERR_UNKNOWN_APP')
  })

  it('gives nothing where everything was spent, and does not fail', () => {
    const app = network.openApp()
    network.deposit(app, 100n)
    ask(app, 100n)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(100n))
    lapse(app, 1)
    expect(leave(app)).toMatchObject({ outcome: 'ok', value: Cl.uint(0) })
    expect(network.poolOf(app)).toMatchObject({ shares: 0n, free: 0n, owed: 100n })
  })
})

describe('attacks that a trial contract fell to', () => {
  it('fund after a settlement, veto it, leave with the pool', () => {
    const app = network.openApp()
    network.deposit(app, 100_000_000n)
    network.mineTo(app.end(0))
    // The pool is spent for now: its shares look worthless.
    settleAs(app, 0, one(100_000_000n))
    network.deposit(app, 1_000_000n, maintainer)
    expect(sharesOf(app, maintainer)).toBe(0n)
    expect(object(app, 0).outcome).toBe('ok')
    lapse(app, 0)
    wake(app, maintainer)
    expect(sharesOf(app, maintainer)).toBe(1_000_000n)
    expect(leaveAfter(app, 2, maintainer)).toMatchObject({ outcome: 'ok', value: Cl.uint(1_000_000) })
    expect(leaveAfter(app, 5)).toMatchObject({ outcome: 'ok', value: Cl.uint(100_000_000) })
  })

  it('the same within one generation, where the settlement leaves a little', () => {
    const app = network.openApp()
    network.deposit(app, 100_000_000n)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(99_000_000n))
    network.deposit(app, 1_000_000n, maintainer)
    object(app, 0)
    lapse(app, 0)
    wake(app, maintainer)
    expect(network.poolOf(app).generation).toBe(0n)
    expect(leaveAfter(app, 2, maintainer)).toMatchObject({ outcome: 'ok', value: Cl.uint(1_000_000) })
  })

  it('one µSTX after an epoch’s end, to close a generation and make settling fail', () => {
    const app = network.openApp()
    network.deposit(app, 100_000_000n)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(99_999_990n))
    network.mineTo(app.end(1))
    // 10 µSTX for 100 STX of shares: the generation is over, but may not close before epoch 1 is final.
    network.deposit(app, 1n, stranger)
    expect(network.poolOf(app)).toMatchObject({ generation: 0n, free: 10n })
    expect(settleAs(app, 1, one(10n)).outcome).toBe('ok')
    network.mineTo(network.burnHeight + challenge)
    wake(app, stranger)
    expect(network.poolOf(app)).toMatchObject({ generation: 1n, free: 1n, shares: 1n })
  })
})

describe('the price of shares', () => {
  it('is never raised by a transfer to the contract, so the first deposit cannot be used to take from the second', () => {
    const app = network.openApp()
    network.deposit(app, 1n, stranger)
    network.simnet.transferSTX(50_000_000n, contracts.pool, stranger)
    expect(network.deposit(app, 10_000_000n)).toMatchObject({ outcome: 'ok', value: Cl.uint(10_000_000) })
    expect(leaveAfter(app, 0)).toMatchObject({ outcome: 'ok', value: Cl.uint(10_000_000) })
    expect(leaveAfter(app, 3, stranger)).toMatchObject({ outcome: 'ok', value: Cl.uint(1) })
  })

  it('survives a pool that is spent and refilled again and again', { timeout: 120_000 }, () => {
    const app = network.openApp()
    const amount = 90_000_000n
    for (let epoch = 0; epoch < 8; epoch++) {
      const minted = network.deposit(app, amount)
      expect(minted.outcome).toBe('ok')
      // Spent to the last µSTX, or to a rest of which a share is worth next to nothing.
      network.mineTo(app.end(epoch))
      const left = epoch % 2 === 0 ? 0n : 3n
      expect(settleAs(app, epoch, one(network.poolOf(app).free! - left)).outcome).toBe('ok')
      network.mineTo(network.burnHeight + challenge)
      expect(network.poolOf(app).free).toBe(left)
      const { shares } = network.poolOf(app)
      expect(shares! <= 2n * amount).toBe(true)
    }
    expect(network.poolOf(app).generation).toBe(7n)
  })

  it('closes a generation only where a share is worth less than a millionth of a µSTX', () => {
    for (const [left, closes] of [
      [100n, false],
      [99n, true],
    ] as const) {
      const app = network.openApp()
      network.deposit(app, 100_000_000n)
      network.mineTo(app.end(0))
      settleAs(app, 0, one(100_000_000n - left))
      network.mineTo(network.burnHeight + challenge)
      const minted = network.deposit(app, 1_000n, neighbour)
      expect(minted.value).toEqual(Cl.uint(closes ? 1_000n : 1_000_000_000n))
      expect(network.poolOf(app)).toMatchObject({
        generation: closes ? 1n : 0n,
        free: left + 1_000n,
        common: closes ? left : 0n,
      })
      expect(sharesOf(app, funder)).toBe(closes ? 0n : 100_000_000n)
      // A wish from a generation that is over is nothing any more.
      if (closes) expect(ask(app, 1n).outcome).toBe('ERR_SHARES')
    }
  })

  it('does not let a wish outlive its generation', () => {
    const app = network.openApp()
    network.deposit(app, 100_000_000n)
    ask(app, 100_000_000n)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(100_000_000n))
    network.mineTo(network.burnHeight + challenge)
    network.deposit(app, 100_000_000n)
    lapse(app, 1)
    expect(leave(app).outcome).toBe('ERR_NOT_REQUESTED')
  })
})

describe('veto', () => {
  it('returns the money and lets the epoch settle again, once', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(70n))
    const ask = (name: string) => network.read(contracts.pool, name, [Cl.bufferFromHex(app.id), Cl.uint(0)])
    expect(ask('get-round')).toEqual(Cl.uint(0))
    expect(object(app, 0).outcome).toBe('ok')
    expect(ask('get-round')).toEqual(Cl.uint(1))
    expect(network.poolOf(app)).toMatchObject({ free: budget, owed: 0n })
    expect(object(app, 0).outcome).toBe('ERR_NOT_SETTLED')
    expect(settleAs(app, 0, one(70n)).outcome).toBe('ERR_ROUND')
    expect(settleAs(app, 0, one(70n), 2).outcome).toBe('ERR_ROUND')
    expect(settleAs(app, 0, one(70n), 1).outcome).toBe('ok')
    expect(object(app, 0).outcome).toBe('ERR_ROUND')
    expect(ask('get-round')).toEqual(Cl.uint(1))
  })

  it('leaves nothing payable, however long one waits', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    network.mineTo(app.end(0))
    const payable = () => network.read(contracts.pool, 'is-payable', [Cl.bufferFromHex(app.id), Cl.uint(0)])
    expect(payable()).toEqual(Cl.bool(false))
    settleAs(app, 0, one(70n))
    expect(payable()).toEqual(Cl.bool(false))
    expect(object(app, 0).outcome).toBe('ok')
    network.mineTo(network.burnHeight + challenge)
    expect(payable()).toEqual(Cl.bool(false))
    settleAs(app, 0, one(70n), 1)
    expect(payable()).toEqual(Cl.bool(false))
    network.mineTo(network.burnHeight + challenge)
    expect(payable()).toEqual(Cl.bool(true))
  })

  it('is possible for as long as burn blocks are missing, and so long nothing is minted', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(70n))
    network.simnet.mineEmptyStacksBlocks(challenge)
    const quiet = () => network.read(contracts.pool, 'is-quiet', [Cl.bufferFromHex(app.id)])
    expect(quiet()).toEqual(Cl.bool(false))
    expect(object(app, 0).outcome).toBe('ok')
    network.mineTo(app.end(0) + window)
    expect(quiet()).toEqual(Cl.bool(true))
  })

  it('is for the maintainer, until the settlement is payable', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    network.mineTo(app.end(0))
    expect(object(app, 0).outcome).toBe('ERR_NOT_SETTLED')
    settleAs(app, 0, one(70n))
    expect(object(app, 0, stranger).outcome).toBe('ERR_NOT_MAINTAINER')
    expect(object({ ...app, id: '00'.repeat(32) }, 0).outcome).toBe('ERR_UNKNOWN_APP')
    network.mineTo(network.burnHeight + challenge)
    expect(object(app, 0).outcome).toBe('ERR_PAYABLE')
    expect(pay(app, 0, one(70n), 0).outcome).toBe('ok')
  })

  it('pays nothing of what it voided, and the leaves of the next round instead', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(70n))
    object(app, 0)
    expect(pay(app, 0, one(70n), 0).outcome).toBe('ERR_NOT_SETTLED')
    const again = treeOf([[neighbour, 60n]])
    network.mineTo(app.end(0) + window - 1)
    expect(settleAs(app, 0, again, 1).outcome).toBe('ok')
    network.mineTo(network.burnHeight + challenge)
    expect(pay(app, 0, one(70n), 0).outcome).toBe('ERR_PROOF')
    expect(pay(app, 0, again, 0).outcome).toBe('ok')
  })

  it('leaves the epoch to lapse where nobody settles it again', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(70n))
    object(app, 0)
    network.mineTo(app.end(0) + window)
    expect(settleAs(app, 0, one(70n), 1).outcome).toBe('ERR_TOO_LATE')
    expect(quiet(app)).toBe(true)
  })
})

describe('sweep', () => {
  it('returns what nobody claimed after the claim period, and pays no claim of it any more', () => {
    const app = network.openApp()
    network.deposit(app, budget)
    network.mineTo(app.end(0))
    const tree = treeOf([
      [operator, 30n],
      [neighbour, 50n],
    ])
    expect(collect(app, 0).outcome).toBe('ERR_NOT_SETTLED')
    settleAs(app, 0, tree)
    const opens = network.burnHeight + challenge
    network.mineTo(opens)
    pay(app, 0, tree, 0)
    network.mineTo(opens + terms.claimPeriod - 1)
    expect(collect(app, 0).outcome).toBe('ERR_CLAIMABLE')
    network.mineTo(opens + terms.claimPeriod)
    expect(collect(app, 0)).toMatchObject({ outcome: 'ok', value: Cl.uint(50) })
    expect(collect(app, 0).outcome).toBe('ERR_SWEPT')
    expect(pay(app, 0, tree, 1).outcome).toBe('ERR_SWEPT')
    expect(network.poolOf(app)).toMatchObject({ free: budget - 30n, common: 50n, owed: 0n, paid: 30n })
  })

  it('leaves the price of a share as it was', () => {
    const app = network.openApp()
    network.deposit(app, 100n)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(40n))
    network.mineTo(network.burnHeight + challenge + terms.claimPeriod)
    const epoch = Math.floor((network.burnHeight - app.schedule.start) / app.schedule.length)
    lapse(app, epoch - 1)
    expect(collect(app, 0).outcome).toBe('ok')
    expect(network.poolOf(app)).toMatchObject({ free: 100n, common: 40n, shares: 100n })
    expect(network.deposit(app, 60n)).toMatchObject({ outcome: 'ok', value: Cl.uint(100) })
  })

  it('enriches nobody: what returns is spent first, and is no part of a share', () => {
    const app = network.openApp()
    network.deposit(app, 100n)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(40n))
    const settledAt = network.burnHeight
    network.mineTo(settledAt + challenge + terms.claimPeriod)
    const epoch = Math.floor((network.burnHeight - app.schedule.start) / app.schedule.length)
    lapse(app, epoch - 1)
    // Bought right before the money returns.
    expect(network.deposit(app, 60n, stranger)).toMatchObject({ value: Cl.uint(100) })
    expect(collect(app, 0).outcome).toBe('ok')
    network.mineTo(app.end(epoch))
    expect(settleAs(app, epoch, one(45n)).outcome).toBe('ok')
    expect(network.poolOf(app)).toMatchObject({ free: 115n, common: 0n, owed: 45n })
    network.mineTo(network.burnHeight + challenge)
    expect(leaveAfter(app, epoch + 2, stranger)).toMatchObject({ outcome: 'ok', value: Cl.uint(57) })
  })

  it('gives a voided settlement’s money back to the parts that it came from', () => {
    const app = network.openApp()
    network.deposit(app, 100n)
    network.mineTo(app.end(0))
    settleAs(app, 0, one(40n))
    network.mineTo(network.burnHeight + challenge + terms.claimPeriod)
    collect(app, 0)
    const epoch = Math.floor((network.burnHeight - app.schedule.start) / app.schedule.length)
    network.mineTo(app.end(epoch))
    settleAs(app, epoch, one(50n))
    expect(network.poolOf(app)).toMatchObject({ free: 50n, common: 0n })
    object(app, epoch)
    expect(network.poolOf(app)).toMatchObject({ free: 100n, common: 40n })
  })
})
