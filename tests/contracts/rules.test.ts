import { Cl, ClarityType, cvToString } from '@stacks/transactions'
import {
  acceptMaintainer,
  changeRules,
  endRules,
  exit,
  fund,
  offerMaintainer,
  replaceReleaseKey,
  requestExit,
  type Terms,
} from '@understudy/chain/calls'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type App,
  accounts,
  attestersOf,
  contracts,
  type Network,
  openNetwork,
  signaturesOf,
  terms,
  treeOf,
} from './network.ts'

const { maintainer, funder, stranger, operator } = accounts

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

const change = (app: App, from: number, changes: Partial<Terms> = {}, sender: string = maintainer) =>
  network.send(changeRules(contracts, { app: app.id, from, terms: { ...app.terms, ...changes } }), sender)
const endIt = (app: App, sender: string = maintainer) => network.send(endRules(contracts, app.id), sender)
const rekey = (app: App, releaseKey = '99'.repeat(32), sender: string = maintainer, minSeq = 0) =>
  network.send(replaceReleaseKey(contracts, { app: app.id, releaseKey, minSeq }), sender)
const offer = (app: App, to: string | null, sender: string = maintainer) =>
  network.send(offerMaintainer(contracts, { app: app.id, to }), sender)
const accept = (app: App, sender: string) => network.send(acceptMaintainer(contracts, app.id), sender)

/** The version that governs an epoch, or none. */
function governing(app: App, epoch: number, hint?: number): number | undefined {
  const args = [Cl.bufferFromHex(app.id), Cl.uint(epoch)]
  const row =
    hint === undefined
      ? network.read(contracts.quorum, 'rules-at', args)
      : network.read(contracts.quorum, 'rules-by', [...args, Cl.uint(hint)])
  if (row.type !== ClarityType.OptionalSome) return undefined
  return Number(/\(version u(\d+)\)/.exec(cvToString(row))![1])
}

const unknown = { id: '00'.repeat(32) }

describe('change-rules', () => {
  it('takes effect after the notice, and never for an epoch that has begun', () => {
    const app = network.openApp()
    expect(change(app, 2).outcome).toBe('ERR_FROM')
    network.mineTo(app.end(0))
    // Epoch 1 runs: 2, 3 and 4 are the notice.
    expect(change(app, 4).outcome).toBe('ERR_FROM')
    expect(change(app, 5, { budget: 50_000_000n })).toMatchObject({ outcome: 'ok', value: Cl.uint(2) })
    expect([0, 1, 4].map((epoch) => governing(app, epoch))).toEqual([1, 1, 1])
    expect([5, 6, 1_000].map((epoch) => governing(app, epoch))).toEqual([2, 2, 2])
  })

  it('lets nobody but the maintainer speak, also through a contract', () => {
    const app = network.openApp()
    expect(change(app, 3, {}, stranger).outcome).toBe('ERR_NOT_MAINTAINER')
    network.deploy(
      'trap',
      `(define-public (spring (app (buff 32))) (contract-call? '${contracts.quorum} end-rules app))`,
      stranger,
    )
    const { result } = network.simnet.callPublicFn(
      `${stranger}.trap`,
      'spring',
      [Cl.bufferFromHex(app.id)],
      maintainer,
    )
    expect(cvToString(result)).toBe('(err u122)')
    expect(
      network.send(changeRules(contracts, { app: unknown.id, from: 3, terms }), maintainer).outcome,
    ).toBe('ERR_UNKNOWN_APP')
  })

  it('keeps the drain cap and every bound of the registration', () => {
    const app = network.openApp()
    expect(change(app, 3, { budget: app.schedule.cap + 1n }).outcome).toBe('ERR_BUDGET')
    expect(change(app, 3, { keys: [] }).outcome).toBe('ERR_KEY_COUNT')
    expect(change(app, 3, { window: 31 }).outcome).toBe('ERR_WINDOW')
    expect(change(app, 3, { minSeq: 2_000_000_000 }).outcome).toBe('ERR_MIN_SEQ')
    expect(change(app, 3, { places: 2_000_000_000 }).outcome).toBe('ERR_PLACES')
    expect(change(app, 1_000_000_001).outcome).toBe('ERR_FROM')
    expect(change(app, 3, { budget: app.schedule.cap }).outcome).toBe('ok')
  })

  it('lets one row wait at a time', () => {
    const app = network.openApp()
    expect(change(app, 3).outcome).toBe('ok')
    expect(change(app, 9).outcome).toBe('ERR_PENDING')
    network.mineTo(app.end(2) - 1)
    expect(change(app, 9).outcome).toBe('ERR_PENDING')
    network.mineTo(app.end(2))
    expect(change(app, 7)).toMatchObject({ outcome: 'ok', value: Cl.uint(3) })
  })

  it('finds the row of the last ended epoch and of all later ones by itself, of any by a hint', {
    timeout: 120_000,
  }, () => {
    const app = network.openApp()
    const rows = [0]
    for (let version = 2; version <= 6; version++) {
      // Each as soon as it may be: in the first block of the epoch that the row before governs first.
      const now = rows.at(-1)!
      if (version > 2) network.mineTo(app.end(now - 1))
      const from = version === 2 ? 3 : now + 4
      expect(change(app, from).outcome).toBe('ok')
      rows.push(from)
      const last = Math.max(0, now - 1)
      for (let epoch = last; epoch < from + 3; epoch++)
        expect(governing(app, epoch)).toBe(rows.filter((row) => row <= epoch).length)
    }
    for (let epoch = 0; epoch < 25; epoch++) {
      const version = rows.filter((row) => row <= epoch).length
      for (let hint = 0; hint < 8; hint++)
        expect(governing(app, epoch, hint)).toBe(hint === version ? version : undefined)
    }
    expect(governing(app, 0)).toBeUndefined()
    expect(governing(app, 1_000_000_001)).toBeUndefined()
    expect(governing(app, 1_000_000_000)).toBe(6)
  })

  it('settles each epoch by the keys that governed it', () => {
    const app = network.openApp()
    network.deposit(app, 100_000_000n)
    const keys = attestersOf(5).map(({ key }) => key)
    expect(change(app, 3, { keys, faults: 0 }).outcome).toBe('ok')
    network.mineTo(app.end(2))
    const tree = treeOf([[operator, 1_000n]])
    const old = network.messageOf(app, 2, tree)
    expect(network.settleWith(old, signaturesOf(old, [true, true, true, false, false])).outcome).toBe(
      'ERR_SIGNATURES',
    )
    expect(network.settleWith(old).outcome).toBe('ok')
    network.mineTo(app.end(3))
    const fresh = network.messageOf(app, 3, tree)
    expect(network.settleWith(fresh).outcome).toBe('ERR_SIGNATURES')
    expect(network.settleWith(fresh, signaturesOf(fresh, [true, true, true, false, false])).outcome).toBe(
      'ok',
    )
  })

  it('leaves a funder who dislikes it the time to go before it takes effect', () => {
    const app = network.openApp()
    network.deposit(app, 100_000_000n)
    network.mineTo(app.end(0))
    // Announced in the first block of epoch 1, at the shortest notice; noticed and answered in the last block of epoch 2.
    expect(change(app, 5, { keys: attestersOf(1).map(({ key }) => key), faults: 0 }).outcome).toBe('ok')
    network.mineTo(app.end(2) - 1)
    network.send(requestExit(contracts, { app: app.id, shares: 100_000_000n }), funder)
    network.mineTo(app.end(3) + terms.window)
    expect(network.send(exit(contracts, { app: app.id, least: 100_000_000n }), funder).outcome).toBe('ok')
    expect(network.burnHeight).toBeLessThan(app.end(4))
    expect(network.poolOf(app).free).toBe(0n)
  })

  it('takes no deposit for rules that are not the newest', () => {
    const app = network.openApp()
    change(app, 3)
    expect(network.deposit(app, 5n).outcome).toBe('ERR_RULES_VERSION')
    const named = fund(contracts, funder, { app: app.id, amount: 5n, rulesVersion: 2, minShares: 5n })
    expect(network.send(named, funder).outcome).toBe('ok')
  })
})

describe('end-rules', () => {
  it('winds an app down after the notice: nothing settles, funders leave with everything', () => {
    const app = network.openApp()
    network.deposit(app, 100_000_000n)
    expect(endIt(app)).toMatchObject({ outcome: 'ok', value: Cl.uint(3) })
    expect(endIt(app).outcome).toBe('ERR_ENDED')
    expect([2, 3, 4].map((epoch) => governing(app, epoch))).toEqual([1, undefined, undefined])
    network.mineTo(app.end(2))
    expect(network.settleWith(network.messageOf(app, 2, treeOf([[operator, 1_000n]]))).outcome).toBe('ok')
    network.send(requestExit(contracts, { app: app.id, shares: 100_000_000n }), funder)
    network.mineTo(app.end(4))
    expect(network.settleWith(network.messageOf(app, 4, treeOf([[operator, 1n]]))).outcome).toBe(
      'ERR_UNKNOWN_EPOCH',
    )
    // In the very block in which an epoch without rules ends: nothing has to be waited for.
    expect(network.send(exit(contracts, { app: app.id, least: 1n }), funder)).toMatchObject({
      outcome: 'ok',
      value: Cl.uint(100_000_000n - 1_000n),
    })
  })

  it('can be followed by other rules, which begin no earlier than the end', () => {
    const app = network.openApp()
    expect(endIt(app).outcome).toBe('ok')
    network.mineTo(app.end(0))
    expect(change(app, 4).outcome).toBe('ERR_FROM')
    expect(change(app, 8).outcome).toBe('ok')
    expect([2, 3, 7, 8].map((epoch) => governing(app, epoch))).toEqual([1, undefined, undefined, 2])
    expect(endIt(app).outcome).toBe('ERR_PENDING')
  })

  it('is for the maintainer of a known app', () => {
    expect(endIt(network.openApp(), stranger).outcome).toBe('ERR_NOT_MAINTAINER')
    expect(network.send(endRules(contracts, unknown.id), maintainer).outcome).toBe('ERR_UNKNOWN_APP')
  })
})

describe('replace-release-key', () => {
  it('holds from the next epoch on', () => {
    const app = network.openApp()
    expect(rekey(app)).toMatchObject({ outcome: 'ok', value: Cl.uint(0) })
    network.mineTo(app.schedule.start)
    expect(rekey(app, '98'.repeat(32))).toMatchObject({ outcome: 'ok', value: Cl.uint(1) })
    const row = network.read(contracts.quorum, 'get-release-key', [Cl.bufferFromHex(app.id), Cl.uint(2)])
    expect(cvToString(row)).toContain(`(release-key 0x${'98'.repeat(32)})`)
  })

  it('refuses strangers, short keys, absurd sequence numbers and unknown apps', () => {
    const app = network.openApp()
    expect(rekey(app, '99'.repeat(32), stranger).outcome).toBe('ERR_NOT_MAINTAINER')
    expect(rekey(app, '99'.repeat(31)).outcome).toBe('ERR_RELEASE_KEY')
    expect(rekey(app, '99'.repeat(32), maintainer, 1_000_000_001).outcome).toBe('ERR_MIN_SEQ')
    const call = replaceReleaseKey(contracts, { app: unknown.id, releaseKey: '99'.repeat(32), minSeq: 0 })
    expect(network.send(call, maintainer).outcome).toBe('ERR_UNKNOWN_APP')
  })
})

describe('handing an app over', () => {
  it('takes two steps', () => {
    const app = network.openApp()
    expect(offer(app, stranger).outcome).toBe('ok')
    expect(endIt(app, stranger).outcome).toBe('ERR_NOT_MAINTAINER')
    expect(accept(app, operator).outcome).toBe('ERR_NOT_OFFERED')
    expect(accept(app, stranger).outcome).toBe('ok')
    expect(endIt(app).outcome).toBe('ERR_NOT_MAINTAINER')
    expect(endIt(app, stranger).outcome).toBe('ok')
  })

  it('can be taken back until it is accepted, and is accepted once', () => {
    const app = network.openApp()
    offer(app, stranger)
    offer(app, operator)
    expect(accept(app, stranger).outcome).toBe('ERR_NOT_OFFERED')
    offer(app, null)
    expect(accept(app, operator).outcome).toBe('ERR_NOT_OFFERED')
    offer(app, operator)
    expect(accept(app, operator).outcome).toBe('ok')
    expect(offer(app, maintainer).outcome).toBe('ERR_NOT_MAINTAINER')
    expect(offer(app, maintainer, operator).outcome).toBe('ok')
    expect(accept(app, maintainer).outcome).toBe('ok')
    expect(accept(app, operator).outcome).toBe('ERR_NOT_OFFERED')
  })

  it('needs a known app', () => {
    expect(network.send(acceptMaintainer(contracts, unknown.id), stranger).outcome).toBe('ERR_UNKNOWN_APP')
    expect(
      network.send(offerMaintainer(contracts, { app: unknown.id, to: stranger }), maintainer).outcome,
    ).toBe('ERR_UNKNOWN_APP')
  })
})
