import { Cl, cvToString } from '@stacks/transactions'
import {
  addSignatures,
  beginUnbond,
  changeRules,
  claimRange,
  endRules,
  fund,
  replaceReleaseKey,
  reportCommitments,
  retire,
} from '@understudy/chain/calls'
import { commitmentHash } from '@understudy/protocol/commitment'
import { merkleRoot, type PayoutLeaf, payoutLeafHash } from '@understudy/protocol/merkle'
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
  signaturesOf,
  terms,
} from './network.ts'

/** The last value that is taken and the first that is not, where the other tests stay inside. */

const { funder, maintainer, neighbour, operator, stranger } = accounts
const lastEpoch = 1_000_000_000

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

const change = (app: App, from: number) =>
  network.send(changeRules(contracts, { app: app.id, from, terms }), maintainer).outcome
const ask = (app: App, name: string, epoch: number) =>
  cvToString(network.read(contracts.quorum, name, [Cl.bufferFromHex(app.id), Cl.uint(epoch)]))

describe('the last epoch that is counted', () => {
  it('has a begin, an end and rules; the next has only a begin', () => {
    const app = network.openApp()
    const begin = app.schedule.start + lastEpoch * app.schedule.length
    expect(ask(app, 'epoch-begin', lastEpoch)).toBe(`(some u${begin})`)
    expect(ask(app, 'epoch-end', lastEpoch)).toBe(`(some u${begin + 60})`)
    expect(ask(app, 'epoch-begin', lastEpoch + 1)).toBe(`(some u${begin + 60})`)
    expect(ask(app, 'epoch-end', lastEpoch + 1)).toBe('none')
    expect(ask(app, 'epoch-begin', lastEpoch + 2)).toBe('none')
    expect(ask(app, 'rules-at', lastEpoch)).toContain('(version u1)')
    expect(ask(app, 'rules-at', lastEpoch)).toContain(`(end u${begin + 60})`)
    expect(ask(app, 'rules-at', lastEpoch + 1)).toBe('none')
  })

  it('may get rules of its own, the next may not', () => {
    const app = network.openApp()
    expect(change(app, lastEpoch + 1)).toBe('ERR_FROM')
    expect(change(app, lastEpoch)).toBe('ok')
  })

  it('bounds the number of a release too', () => {
    const app = network.openApp()
    const replace = (minSeq: number) =>
      network.send(
        replaceReleaseKey(contracts, { app: app.id, releaseKey: '99'.repeat(32), minSeq }),
        maintainer,
      ).outcome
    expect(replace(lastEpoch + 1)).toBe('ERR_MIN_SEQ')
    expect(replace(lastEpoch)).toBe('ok')
  })
})

describe('rules after rules that were ended', () => {
  it('begin where those ended or later, not before', () => {
    const app = network.openApp()
    expect(network.send(endRules(contracts, app.id), maintainer)).toMatchObject({ value: Cl.uint(3) })
    expect(change(app, 2)).toBe('ERR_FROM')
    expect(change(app, 3)).toBe('ok')
  })
})

describe('the three newest rules', () => {
  it('are found by each epoch that they govern, from the first on', () => {
    const app = network.openApp()
    expect(change(app, 3)).toBe('ok')
    network.mineTo(app.end(2))
    expect(change(app, 7)).toBe('ok')
    for (const [epoch, version] of [
      [0, 1],
      [2, 1],
      [3, 2],
      [6, 2],
      [7, 3],
    ] as const)
      expect(ask(app, 'rules-at', epoch)).toContain(`(version u${version})`)
  })
})

describe('a mirror that unbonds and is retired later', () => {
  it('stopped counting when it said so first', () => {
    const app = network.openApp()
    network.bondMirror(app)
    network.send(beginUnbond(contracts, { app: app.id, mirror: 1 }), operator)
    const begun = network.burnHeight
    network.mineTo(app.end(0))
    network.send(retire(contracts, { app: app.id, mirror: 1 }), operator)
    const id = [Cl.bufferFromHex(app.id), Cl.uint(1)]
    const row = cvToString(network.read(contracts.registry, 'get-mirror', id))
    expect(row).toContain(`(unbonding (some u${begun}))`)
    expect(row).toContain('(rows u1)')
  })
})

describe('the clock of an app', () => {
  it('says when the last ended epoch can no longer be settled', () => {
    const app = network.openApp()
    const read = () => cvToString(network.read(contracts.quorum, 'clock', [Cl.bufferFromHex(app.id)]))
    expect(read()).toContain('(closes u0) (epoch u0)')
    expect(read()).toContain('(next u0)')
    network.mineTo(app.schedule.start)
    expect(read()).toContain('(next u1)')
    network.mineTo(app.end(0) - 1)
    expect(read()).toContain('(closes u0) (epoch u0)')
    network.mineTo(app.end(0))
    expect(read()).toContain(`(closes u${app.end(0) + terms.window}) (epoch u1)`)
    network.mineTo(app.end(1))
    expect(read()).toContain(`(closes u${app.end(1) + terms.window}) (epoch u2)`)
  })

  it('takes the window of the rules that governed the ended epoch, not of those that follow', () => {
    const app = network.openApp()
    network.send(
      changeRules(contracts, { app: app.id, from: 3, terms: { ...terms, window: 24 } }),
      maintainer,
    )
    const read = () => cvToString(network.read(contracts.quorum, 'clock', [Cl.bufferFromHex(app.id)]))
    network.mineTo(app.end(2))
    expect(read()).toContain(`(closes u${app.end(2) + terms.window})`)
    network.mineTo(app.end(3))
    expect(read()).toContain(`(closes u${app.end(3) + 24})`)
  })
})

describe('a deposit that waits', () => {
  it('may ask for as many shares as are ever minted at once, and for no more', () => {
    const app = network.openApp()
    network.mineTo(app.end(0))
    const park = (minShares: bigint) => {
      const deposit = { app: app.id, amount: 1n, rulesVersion: 1, minShares }
      return network.send(fund(contracts, funder, deposit), funder).outcome
    }
    expect(park(10n ** 16n + 1n)).toBe('ERR_MIN_SHARES')
    expect(park(10n ** 16n)).toBe('ok')
  })
})

describe('no signature at all', () => {
  it('is too few and adds nothing, where a key is banned as well', () => {
    const app = network.openApp()
    network.deposit(app, terms.budget)
    network.mineTo(app.end(0))
    const { key, secret } = attestersOf(3)[2]!
    const commitments = ['01', '02'].map((byte) => {
      const said = { pool: contracts.pool, app: app.id, epoch: 0, root: byte.repeat(32), count: 3 }
      return { ...said, signature: signHash(commitmentHash(said, chainId), secret) }
    })
    const accused = { app: app.id, epoch: 0, version: 1, key }
    const report = reportCommitments(contracts, accused, [commitments[0]!, commitments[1]!])
    expect(network.send(report, stranger).outcome).toBe('ok')

    const message = network.messageOf(app, 0, { root: '44'.repeat(32), allocated: 5n, count: 1 })
    expect(network.settleWith(message, []).outcome).toBe('ERR_QUORUM')
    expect(network.settleWith(message, signaturesOf(message).slice(0, 2)).outcome).toBe('ok')
    expect(network.send(addSignatures(contracts, { app: app.id, epoch: 0 }, []), stranger).outcome).toBe('ok')
  })
})

describe('a range of leaves that no honest attester would sign', () => {
  const mirrors = 1_000_000_000

  /** What is paid of leaves that differ from good ones, under a settlement that counts so many. */
  function paidOf(count: number, changes: readonly Partial<PayoutLeaf>[]): bigint {
    const leaves = changes.map((change, index) => {
      const good = { index, mirror: index + 1, recipient: index % 2 ? neighbour : operator, amount: 1_000n }
      return { ...good, ...change }
    })
    const app = network.openApp()
    network.deposit(app, terms.budget)
    network.mineTo(app.end(0))
    const root = merkleRoot(leaves.map(payoutLeafHash))
    const message = network.messageOf(app, 0, { root, allocated: 10_000n, count })
    expect(network.settleWith(message).outcome).toBe('ok')
    network.mineTo(network.burnHeight + terms.challenge)
    const call = claimRange(contracts, { app: app.id, epoch: 0, leaves, start: 0 })
    expect(network.send(call, stranger).outcome).toBe('ok')
    return network.poolOf(app).paid!
  }

  it('skips a leaf of nothing', () => {
    expect(paidOf(3, [{}, { amount: 0n }, { amount: 1n }])).toBe(1_001n)
  })

  it('skips a leaf beyond those counted', () => {
    expect(paidOf(2, [{}, {}, { amount: 20n }])).toBe(2_000n)
  })

  it('skips a leaf of another range', () => {
    expect(paidOf(300, [{}, { index: 128 }, { index: 129, amount: 20n }])).toBe(1_000n)
  })

  it('skips a mirror beyond the last id', () => {
    expect(paidOf(3, [{}, { mirror: mirrors + 1 }, { mirror: mirrors, amount: 20n }])).toBe(1_020n)
  })

  it('skips what is more than is left, and pays what is exactly that', () => {
    // In the order of the list: leaves 0, 2, 1, 3.
    expect(paidOf(4, [{}, { amount: 9_000n }, { amount: 9_001n }, { amount: 1n }])).toBe(10_000n)
  })
})
