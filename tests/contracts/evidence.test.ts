import { Cl, cvToString } from '@stacks/transactions'
import {
  type Accused,
  addSignatures,
  attesterBondHash,
  bondAttester,
  changeRules,
  claim,
  endRules,
  reportCommitments,
  reportSettlements,
  strike,
  veto,
  withdrawAttester,
} from '@understudy/chain/calls'
import { verifyLog } from '@understudy/chain/log'
import { projectChain } from '@understudy/chain/state'
import { commitmentHash } from '@understudy/protocol/commitment'
import { type SettlementMessage, settlementHash } from '@understudy/protocol/settlement'
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
  treeOf,
} from './network.ts'

const { maintainer, operator, neighbour, stranger, saver } = accounts
const { window, challenge, budget } = terms
const attesters = attestersOf(3)
const keyOf = (at: number): string => attesters[at]!.key

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

const payouts = treeOf([
  [operator, 40_000_000n],
  [neighbour, 30_000_000n],
])
const others = treeOf([[stranger, 70_000_000n]])

/** An app with money, its epoch 0 just over. */
function endedApp(): App {
  const app = network.openApp()
  network.deposit(app, budget)
  network.mineTo(app.end(0))
  return app
}

const accused = (app: App, at: number, epoch = 0): Accused => ({
  ...{ app: app.id, epoch, version: 1 },
  key: keyOf(at),
})

/** A commitment as this attester signs it. */
function committed(app: App, at: number, root: string, count = 3, epoch = 0) {
  const message = { pool: contracts.pool, app: app.id, epoch, root, count }
  return { root, count, signature: signHash(commitmentHash(message, chainId), attesters[at]!.secret) }
}

/** An outcome as this attester signs it. */
function outcome(message: SettlementMessage, at: number) {
  const { root, allocated, count } = message
  return {
    root,
    allocated,
    count,
    signature: signHash(settlementHash(message, chainId), attesters[at]!.secret),
  }
}

const reportPair = (
  app: App,
  at: number,
  pair: Parameters<typeof reportCommitments>[2],
  changes: Partial<Accused> = {},
  bond = 0n,
) => network.send(reportCommitments(contracts, { ...accused(app, at), ...changes }, pair, bond), stranger)

/** Two commitments of one attester for epoch 0. */
const expose = (app: App, at: number, bond = 0n) =>
  reportPair(app, at, [committed(app, at, '01'.repeat(32)), committed(app, at, '02'.repeat(32))], {}, bond)

/** Two outcomes of one attester, told as of one round and one set of inputs. */
function reportOutcomes(app: App, at: number, one: SettlementMessage, other: SettlementMessage) {
  const { round, inputs } = one
  const call = reportSettlements(contracts, { ...accused(app, at), round, inputs }, [
    outcome(one, at),
    outcome(other, at),
  ])
  return network.send(call, stranger)
}

const banned = (app: App, at: number) =>
  network.read(contracts.quorum, 'is-banned', [Cl.bufferFromHex(app.id), Cl.bufferFromHex(keyOf(at))])
    .type === 'true'
const settlementOf = (app: App, epoch = 0) =>
  cvToString(network.read(contracts.pool, 'get-settlement', [Cl.bufferFromHex(app.id), Cl.uint(epoch)]))

function bond(app: App, at: number, amount: bigint, owner: string = saver, signer = at) {
  const hash = attesterBondHash(contracts, { app: app.id, owner: saver }, chainId)
  const signature = signHash(hash, attesters[signer]!.secret)
  return network.send(
    bondAttester(contracts, owner, { app: app.id, key: keyOf(at), amount, signature }),
    owner,
  )
}
const unbond = (app: App, at: number, amount: bigint, owner: string = saver) =>
  network.send(withdrawAttester(contracts, { app: app.id, key: keyOf(at), amount }), owner)

/** The log alone says the same as the contract. */
function agrees(app: App): void {
  const events = verifyLog(network.entries).filter((event) => event.app === app.id)
  const { pool, settlements } = projectChain(events).apps.get(app.id)!
  expect(network.poolOf(app)).toMatchObject({ ...pool, generation: BigInt(pool.generation) })
  for (const [epoch, { signers }] of settlements)
    expect(settlementOf(app, epoch)).toContain(`(signers (list ${signers.join(' ')}))`)
}

describe('two commitments for one epoch', () => {
  it('ban the key, and its signature counts no more', () => {
    const app = endedApp()
    expect(expose(app, 0).outcome).toBe('ok')
    expect(banned(app, 0)).toBe(true)
    expect([1, 2].map((at) => banned(app, at))).toEqual([false, false])
    const message = network.messageOf(app, 0, payouts)
    expect(network.settleWith(message).outcome).toBe('ERR_QUORUM')
    expect(network.settleWith(message, signaturesOf(message, [true, true, true])).outcome).toBe('ok')
    expect(settlementOf(app)).toContain('(signers (list false true true))')
    agrees(app)
  })

  it('in count alone are two as well', () => {
    const app = endedApp()
    const root = '01'.repeat(32)
    expect(reportPair(app, 1, [committed(app, 1, root, 3), committed(app, 1, root, 4)]).outcome).toBe('ok')
  })

  it('ban once, and the key of one app does not suffer for another’s', () => {
    const app = endedApp()
    const other = endedApp()
    expect(expose(app, 0).outcome).toBe('ok')
    expect(expose(app, 0).outcome).toBe('ERR_BANNED')
    expect(banned(other, 0)).toBe(false)
  })

  it('void the settlement that cannot stand without the key, and the rest settle again', () => {
    const app = endedApp()
    network.settleWith(network.messageOf(app, 0, payouts))
    expect(expose(app, 0).outcome).toBe('ok')
    expect(settlementOf(app)).toBe('none')
    expect(network.poolOf(app)).toMatchObject({ free: budget, owed: 0n })
    const again = network.messageOf(app, 0, others, 1)
    expect(network.settleWith(again, signaturesOf(again, [true, true, false])).outcome).toBe('ERR_QUORUM')
    network.mineTo(app.end(0) + window - 1)
    expect(network.settleWith(again, signaturesOf(again, [false, true, true])).outcome).toBe('ok')
    agrees(app)
  })

  it('leave a settlement that others signed too', () => {
    const app = endedApp()
    const message = network.messageOf(app, 0, payouts)
    network.settleWith(message, signaturesOf(message, [true, true, true]))
    expect(expose(app, 0).outcome).toBe('ok')
    expect(settlementOf(app)).not.toBe('none')
    expect(expose(app, 2).outcome).toBe('ok')
    expect(settlementOf(app)).toBe('none')
  })

  it('take nothing back that is payable', () => {
    const app = endedApp()
    network.settleWith(network.messageOf(app, 0, payouts))
    network.mineTo(network.burnHeight + challenge)
    expect(expose(app, 0).outcome).toBe('ok')
    const payout = { app: app.id, epoch: 0, leaf: payouts.leaves[0]!, proof: payouts.proof(0) }
    expect(network.send(claim(contracts, payout), stranger).outcome).toBe('ok')
    expect(network.send(strike(contracts, { app: app.id, epoch: 0 }), stranger).outcome).toBe('ERR_PAYABLE')
  })
})

describe('a ban', () => {
  it('holds however many keys of the app were banned since', { timeout: 120_000 }, () => {
    const many = attestersOf(19)
    const app = network.openApp({ keys: many.map(({ key }) => key), faults: 0 })
    network.deposit(app, budget)
    network.mineTo(app.end(0))
    const expel = (secret: Uint8Array, key: string, epoch: number, version: number) => {
      const pair = ['01', '02'].map((byte) => {
        const said = { pool: contracts.pool, app: app.id, epoch, root: byte.repeat(32), count: 3 }
        return { ...said, signature: signHash(commitmentHash(said, chainId), secret) }
      })
      const whom = { app: app.id, epoch, version, key }
      return network.send(reportCommitments(contracts, whom, [pair[0]!, pair[1]!]), stranger).outcome
    }
    for (const { secret, key } of many) expect(expel(secret, key, 0, 1)).toBe('ok')
    // All are gone, the first as well as the last; none signs any more, and none is listed again.
    const message = network.messageOf(app, 0, payouts)
    const all = many.map(() => true)
    expect(network.settleWith(message, signaturesOf(message, all)).outcome).toBe('ERR_QUORUM')
    const listing = (keys: readonly string[]) =>
      network.send(
        changeRules(contracts, { app: app.id, from: 5, terms: { ...terms, keys, faults: 0 } }),
        maintainer,
      ).outcome
    for (const { key } of many) expect(listing([key])).toBe('ERR_BANNED')
    const fresh = attestersOf(20).filter(({ key }) => many.every((old) => old.key !== key))
    expect(listing(fresh.map(({ key }) => key))).toBe('ok')
    expect(expel(fresh[0]!.secret, fresh[0]!.key, 5, 2)).toBe('ok')
    const row = network.read(contracts.quorum, 'get-quorum', [Cl.bufferFromHex(app.id), Cl.uint(1)])
    expect(cvToString(row)).toContain(`(banned (list ${many.map(() => 'true').join(' ')}))`)
  })

  it('reaches the rules that wait for their first epoch, and the two before', () => {
    const app = endedApp()
    const change = { app: app.id, from: 5, terms: { ...terms, keys: [keyOf(0)], faults: 0 } }
    expect(network.send(changeRules(contracts, change), maintainer).outcome).toBe('ok')
    expect(expose(app, 0).outcome).toBe('ok')
    network.mineTo(app.end(5))
    const message = network.messageOf(app, 5, others)
    const signature = signHash(settlementHash(message, chainId), attesters[0]!.secret)
    expect(network.settleWith(message, [signature]).outcome).toBe('ERR_QUORUM')
  })

  it('marks the key in the rules that it was about and in the three newest, and in no others', () => {
    const app = network.openApp()
    for (const at of [1, 2, 3, 4]) {
      network.mineTo(app.end(5 * (at - 1)))
      const change = { app: app.id, from: 5 * at, terms }
      expect(network.send(changeRules(contracts, change), maintainer).outcome).toBe('ok')
    }
    const expel = (at: number, epoch: number, version: number) => {
      const pair = ['01', '02'].map((byte) => committed(app, at, byte.repeat(32), 3, epoch))
      const whom = { ...accused(app, at, epoch), version }
      return network.send(reportCommitments(contracts, whom, [pair[0]!, pair[1]!]), stranger).outcome
    }
    expect(expel(0, 20, 5)).toBe('ok')
    expect(expel(1, 0, 1)).toBe('ok')
    const marked = [1, 2, 3, 4, 5].map((version) => {
      const row = network.read(contracts.quorum, 'get-quorum', [Cl.bufferFromHex(app.id), Cl.uint(version)])
      return /\(banned \(list ?(.*?)\)\)/.exec(cvToString(row))?.[1]
    })
    const both = 'true true false'
    expect(marked).toEqual(['false true false', '', both, both, both])
  })
})

describe('two outcomes of the same inputs', () => {
  it('ban the key', () => {
    const app = endedApp()
    const one = network.messageOf(app, 0, payouts)
    expect(reportOutcomes(app, 1, one, network.messageOf(app, 0, others)).outcome).toBe('ok')
    expect(banned(app, 1)).toBe(true)
  })

  it('are two where they differ in anything', () => {
    for (const change of [{ allocated: 70_000_001n }, { count: 3 }, { root: '09'.repeat(32) }]) {
      const app = endedApp()
      const one = network.messageOf(app, 0, payouts)
      expect(reportOutcomes(app, 1, one, { ...one, ...change }).outcome).toBe('ok')
    }
  })
})

describe('an honest attester', () => {
  it('that restarted and said the same again cannot be convicted', () => {
    const app = endedApp()
    const said = committed(app, 0, '01'.repeat(32))
    expect(reportPair(app, 0, [said, said]).outcome).toBe('ERR_SAME')
    const message = network.messageOf(app, 0, payouts)
    expect(reportOutcomes(app, 0, message, message).outcome).toBe('ERR_SAME')
  })

  it('that signed in two attempts after a timeout cannot be convicted', () => {
    // Attempts are no part of what is signed: the same inputs give the same message.
    const app = endedApp()
    const first = network.messageOf(app, 0, payouts)
    expect(reportOutcomes(app, 0, first, { ...first }).outcome).toBe('ERR_SAME')
  })

  it('that signed again over a changed input set cannot be convicted', () => {
    const app = endedApp()
    const one = network.messageOf(app, 0, payouts)
    const other = { ...network.messageOf(app, 0, others), inputs: '44'.repeat(32) }
    expect(reportOutcomes(app, 0, one, other).outcome).toBe('ERR_SIGNATURES')
    expect(reportOutcomes(app, 0, other, one).outcome).toBe('ERR_SIGNATURES')
  })

  it('that signed another outcome after a veto cannot be convicted', () => {
    const app = endedApp()
    const one = network.messageOf(app, 0, payouts)
    network.settleWith(one)
    network.send(veto(contracts, { app: app.id, epoch: 0 }), maintainer)
    const other = network.messageOf(app, 0, others, 1)
    expect(network.settleWith(other).outcome).toBe('ok')
    expect(reportOutcomes(app, 0, one, other).outcome).toBe('ERR_SIGNATURES')
    expect(reportOutcomes(app, 0, other, one).outcome).toBe('ERR_SIGNATURES')
  })

  it('that spoke of two epochs or two apps cannot be convicted', () => {
    const app = endedApp()
    const root = '02'.repeat(32)
    const first = committed(app, 0, '01'.repeat(32))
    expect(reportPair(app, 0, [first, committed(app, 0, root, 3, 1)]).outcome).toBe('ERR_SIGNATURES')
    expect(reportPair(app, 0, [first, committed(endedApp(), 0, root)]).outcome).toBe('ERR_SIGNATURES')
    const one = network.messageOf(app, 0, payouts)
    expect(reportOutcomes(app, 0, one, { ...network.messageOf(app, 1, others) }).outcome).toBe(
      'ERR_SIGNATURES',
    )
  })

  it('is not convicted by what another signed, or by a commitment told as an outcome', () => {
    const app = endedApp()
    const [one, other] = [committed(app, 1, '01'.repeat(32)), committed(app, 1, '02'.repeat(32))]
    expect(reportPair(app, 0, [one, other]).outcome).toBe('ERR_SIGNATURES')
    expect(reportPair(app, 0, [committed(app, 0, '01'.repeat(32)), other]).outcome).toBe('ERR_SIGNATURES')
    const forged = { ...other, signature: `${'00'.repeat(64)}01` }
    expect(reportPair(app, 1, [one, forged]).outcome).toBe('ERR_SIGNATURES')
    expect(reportPair(app, 1, [forged, one]).outcome).toBe('ERR_SIGNATURES')
  })

  it('is not convicted by an outcome that another signed, told first or second', () => {
    const app = endedApp()
    const [one, other] = [network.messageOf(app, 0, payouts), network.messageOf(app, 0, others)]
    const { round, inputs } = one
    const report = (...signers: readonly [number, number]) =>
      network.send(
        reportSettlements(contracts, { ...accused(app, 0), round, inputs }, [
          outcome(one, signers[0]),
          outcome(other, signers[1]),
        ]),
        stranger,
      ).outcome
    expect(report(1, 0)).toBe('ERR_SIGNATURES')
    expect(report(0, 1)).toBe('ERR_SIGNATURES')
    expect(report(0, 0)).toBe('ok')
  })
})

describe('a report', () => {
  it('names rules that list the key in that epoch', () => {
    const app = endedApp()
    const pair = [committed(app, 0, '01'.repeat(32)), committed(app, 0, '02'.repeat(32))] as const
    expect(reportPair(app, 0, pair, { version: 2 }).outcome).toBe('ERR_UNKNOWN_EPOCH')
    expect(reportPair(app, 0, pair, { app: '00'.repeat(32) }).outcome).toBe('ERR_SIGNATURES')
    const single = network.openApp({ keys: [keyOf(1)], faults: 0 })
    const outside = [committed(single, 0, '01'.repeat(32)), committed(single, 0, '02'.repeat(32))] as const
    expect(reportPair(single, 0, outside).outcome).toBe('ERR_KEY')
  })
})

describe('add-signatures', () => {
  it('lets a settlement stand that loses a signer', () => {
    const app = endedApp()
    const message = network.messageOf(app, 0, payouts)
    network.settleWith(message, signaturesOf(message).slice(0, 2))
    const third = signaturesOf(message, [false, false, true])
    const more = (signatures: (string | null)[]) =>
      network.send(addSignatures(contracts, { app: app.id, epoch: 0 }, signatures), stranger).outcome
    expect(more([null, null, third[2]!.replace(/^../, '00')])).toBe('ERR_SIGNATURES')
    expect(more([third[2]!])).toBe('ERR_SIGNATURES')
    expect(more([null, null, null, third[2]!])).toBe('ERR_SIGNATURES')
    expect(more([])).toBe('ok')
    expect(more(third)).toBe('ok')
    expect(settlementOf(app)).toContain('(signers (list true true true))')
    agrees(app)
    expect(expose(app, 0).outcome).toBe('ok')
    expect(settlementOf(app)).not.toBe('none')
    expect(network.send(strike(contracts, { app: app.id, epoch: 0 }), stranger).outcome).toBe('ERR_STANDS')
  })

  it('ends when the settlement is payable, and needs one', () => {
    const app = endedApp()
    const message = network.messageOf(app, 0, payouts)
    const more = () =>
      network.send(
        addSignatures(contracts, { app: app.id, epoch: 0 }, signaturesOf(message, [false, false, true])),
        stranger,
      ).outcome
    expect(more()).toBe('ERR_NOT_SETTLED')
    network.settleWith(message)
    network.mineTo(network.burnHeight + challenge)
    expect(more()).toBe('ERR_PAYABLE')
    expect(network.send(strike(contracts, { app: app.id, epoch: 1 }), stranger).outcome).toBe(
      'ERR_NOT_SETTLED',
    )
  })

  it('does not count a banned key', () => {
    const app = endedApp()
    expose(app, 2)
    const message = network.messageOf(app, 0, payouts)
    network.settleWith(message)
    const third = signaturesOf(message, [false, false, true])
    expect(network.send(addSignatures(contracts, { app: app.id, epoch: 0 }, third), stranger).outcome).toBe(
      'ok',
    )
    expect(settlementOf(app)).toContain('(signers (list true true false))')
  })
})

describe('strike', () => {
  it('voids what a ban for another epoch left short', () => {
    const app = endedApp()
    network.mineTo(app.end(1))
    network.settleWith(network.messageOf(app, 1, payouts))
    // Contradicted itself in epoch 0: the settlement of epoch 1 is another's to void.
    expect(expose(app, 0).outcome).toBe('ok')
    expect(settlementOf(app, 1)).not.toBe('none')
    expect(network.send(strike(contracts, { app: app.id, epoch: 1 }), neighbour).outcome).toBe('ok')
    expect(settlementOf(app, 1)).toBe('none')
    agrees(app)
  })
})

describe('an attester’s bond', () => {
  it('needs the key’s own signature for this owner', () => {
    const app = network.openApp()
    expect(bond(app, 0, 1_000n).outcome).toBe('ok')
    expect(bond(app, 0, 500n)).toMatchObject({ outcome: 'ok', value: Cl.uint(1_500) })
    expect(bond(app, 1, 1_000n, saver, 0).outcome).toBe('ERR_SIGNATURES')
    expect(bond(app, 1, 1_000n, stranger).outcome).toBe('ERR_SIGNATURES')
    expect(bond(app, 0, 1_000n, stranger).outcome).toBe('ERR_BONDED')
    expect(bond(app, 1, 0n).outcome).toBe('ERR_AMOUNT')
    expect(bond({ ...app, id: '00'.repeat(32) }, 1, 1n).outcome).toBe('ERR_UNKNOWN_APP')
    expect(bond(app, 1, 2n ** 128n - 1n).outcome).toBe('(err u1)')
    expect(network.poolOf(app)).toMatchObject({ bonded: 1_500n, free: 0n })
    agrees(app)
  })

  it('is lost by a contradiction: a tenth to the reporter, the rest to the pool and to no funder', () => {
    const app = endedApp()
    bond(app, 0, 1_005n)
    const held = network.balance(contracts.pool)
    const before = network.balance(stranger)
    expect(expose(app, 0, 1_005n).outcome).toBe('ok')
    expect(network.balance(stranger) - before).toBe(100n)
    expect(held - network.balance(contracts.pool)).toBe(100n)
    expect(network.poolOf(app)).toMatchObject({
      free: budget + 905n,
      common: 905n,
      bonded: 0n,
      slashed: 905n,
    })
    expect(unbond(app, 0, 1_005n).outcome).toBe('ERR_NOT_BONDED')
    expect(bond(app, 0, 1n).outcome).toBe('ERR_BANNED')
    agrees(app)
  })

  it('comes back when the last epoch that lists the key is final, and not before', () => {
    const app = network.openApp()
    bond(app, 0, 1_000n)
    expect(unbond(app, 0, 1_000n).outcome).toBe('ERR_LISTED')
    const keys = [keyOf(1)]
    const change = { app: app.id, from: 3, terms: { ...terms, keys, faults: 0 } }
    expect(network.send(changeRules(contracts, change), maintainer).outcome).toBe('ok')
    expect(unbond(app, 0, 1_000n).outcome).toBe('ERR_LISTED')
    network.mineTo(app.end(2))
    expect(unbond(app, 0, 1_000n).outcome).toBe('ERR_LISTED')
    network.mineTo(app.end(2) + window + challenge - 1)
    expect(unbond(app, 0, 1_000n).outcome).toBe('ERR_LISTED')
    network.mineTo(app.end(2) + window + challenge)
    expect(unbond(app, 0, 1_000n, stranger).outcome).toBe('ERR_NOT_OWNER')
    const before = network.balance(saver)
    expect(unbond(app, 0, 1_000n).outcome).toBe('ok')
    expect(network.balance(saver) - before).toBe(1_000n)
    expect(unbond(app, 0, 1_000n).outcome).toBe('ERR_NOT_BONDED')
    agrees(app)
  })

  it('is held while the rules that govern list the key, whomever those before and after list', () => {
    const app = network.openApp({ keys: [keyOf(1)], faults: 0 })
    bond(app, 0, 1_000n)
    const change = (from: number, at: number) => {
      const rules = { ...terms, keys: [keyOf(at)], faults: 0 }
      return network.send(changeRules(contracts, { app: app.id, from, terms: rules }), maintainer).outcome
    }
    expect(change(3, 0)).toBe('ok')
    network.mineTo(app.end(2))
    expect(change(7, 1)).toBe('ok')
    expect(unbond(app, 0, 1_000n).outcome).toBe('ERR_LISTED')
  })

  it('comes back when the rules that list the key were ended and are over, with nobody’s help', () => {
    const app = network.openApp()
    bond(app, 0, 1_000n)
    expect(network.send(endRules(contracts, app.id), maintainer)).toMatchObject({ value: Cl.uint(3) })
    network.mineTo(app.end(2) - 1)
    expect(unbond(app, 0, 1_000n).outcome).toBe('ERR_LISTED')
    network.mineTo(app.end(2) + window + challenge - 1)
    expect(unbond(app, 0, 1_000n).outcome).toBe('ERR_LISTED')
    network.mineTo(app.end(2) + window + challenge)
    expect(unbond(app, 0, 1_000n).outcome).toBe('ok')
  })

  it('is kept while rules that list the key wait for their first epoch', () => {
    const app = network.openApp({ keys: [keyOf(1)], faults: 0 })
    bond(app, 0, 1_000n)
    const change = { app: app.id, from: 3, terms }
    network.send(changeRules(contracts, change), maintainer)
    expect(unbond(app, 0, 1_000n).outcome).toBe('ERR_LISTED')
    const free = network.openApp({ keys: [keyOf(1)], faults: 0 })
    bond(free, 0, 1_000n)
    expect(unbond(free, 0, 1_000n).outcome).toBe('ok')
  })
})
