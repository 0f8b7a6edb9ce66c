import { Cl, cvToString, type UIntCV } from '@stacks/transactions'
import {
  addBond,
  beginUnbond,
  registerApp,
  registerMirror,
  replaceNodeKey,
  retire,
  setEndpoint,
  withdraw,
} from '@understudy/chain/calls'
import { contractsOf } from '@understudy/chain/contracts'
import { appId } from '@understudy/protocol/app'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type App,
  accounts,
  contracts,
  errorNames,
  foreigner,
  type Network,
  openNetwork,
  terms,
} from './network.ts'

const { operator, neighbour, stranger } = accounts
const bond = terms.minBond

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

const begin = (app: App, mirror: number, sender: string = operator) =>
  network.send(beginUnbond(contracts, { app: app.id, mirror }), sender)
const end = (app: App, mirror: number, sender: string = operator) =>
  network.send(withdraw(contracts, { app: app.id, mirror, bond }), sender)
const move = (app: App, mirror: number, endpoint: string, sender: string = operator) =>
  network.send(setEndpoint(contracts, { app: app.id, mirror, endpoint }), sender)
const add = (app: App, mirror: number, amount: bigint, sender: string = operator) =>
  network.send(addBond(contracts, sender, { app: app.id, mirror, amount }), sender)
const rekey = (app: App, mirror: number, nodeKey: string, sender: string = operator) =>
  network.send(replaceNodeKey(contracts, { app: app.id, mirror, nodeKey }), sender)
const leave = (app: App, mirror: number, sender: string = operator) =>
  network.send(retire(contracts, { app: app.id, mirror }), sender)
const mirrorRow = (app: App, mirror: number) =>
  cvToString(network.read(contracts.registry, 'get-mirror', [Cl.bufferFromHex(app.id), Cl.uint(mirror)]))
const bondAt = (app: App, mirror: number, epoch: number, hint = 0) =>
  network.read(contracts.registry, 'bond-at', [
    Cl.bufferFromHex(app.id),
    Cl.uint(mirror),
    Cl.uint(epoch),
    Cl.uint(hint),
  ])

describe('register-mirror', () => {
  it('takes the bond and gives ids from 1', () => {
    const app = network.openApp()
    const held = network.balance(contracts.registry)
    expect(network.bondMirror(app)).toMatchObject({ outcome: 'ok', value: Cl.uint(1) })
    expect(network.bondMirror(app, {}, neighbour)).toMatchObject({ outcome: 'ok', value: Cl.uint(2) })
    expect(network.balance(contracts.registry) - held).toBe(2n * bond)
    expect(mirrorRow(app, 1)).toContain(`(owner ${operator})`)
    const count = network.read(contracts.registry, 'mirror-count', [Cl.bufferFromHex(app.id)])
    expect(count).toEqual(Cl.uint(2))
  })

  it('lets one owner run many node keys, and many owners name one', () => {
    const app = network.openApp()
    expect(network.bondMirror(app, { nodeKey: '01'.repeat(32) }).outcome).toBe('ok')
    expect(network.bondMirror(app, { nodeKey: '02'.repeat(32) }).outcome).toBe('ok')
    expect(network.bondMirror(app, { nodeKey: '01'.repeat(32) }, neighbour).outcome).toBe('ok')
    const id = network.read(contracts.registry, 'mirror-of', [
      Cl.bufferFromHex(app.id),
      Cl.principal(neighbour),
      Cl.bufferFromHex('01'.repeat(32)),
    ])
    expect(id).toEqual(Cl.some(Cl.uint(3)))
  })

  it('refuses a node key that the owner already runs for this app, but not for another', () => {
    const app = network.openApp()
    network.bondMirror(app)
    expect(network.bondMirror(app).outcome).toBe('ERR_MIRROR_EXISTS')
    expect(network.bondMirror(network.openApp()).outcome).toBe('ok')
  })

  it('refuses an app that nobody registered', () => {
    const call = registerMirror(contracts, operator, {
      app: '00'.repeat(32),
      nodeKey: '22'.repeat(32),
      endpoint: 'https://mirror.example',
      bond,
    })
    expect(network.send(call, operator).outcome).toBe('ERR_UNKNOWN_APP')
  })

  it('refuses a bond below the rules’, a short node key and an empty endpoint', () => {
    const app = network.openApp()
    expect(network.bondMirror(app, { bond: bond - 1n }).outcome).toBe('ERR_BOND_TOO_LOW')
    expect(network.bondMirror(app, { nodeKey: '22'.repeat(31) }).outcome).toBe('ERR_NODE_KEY')
    expect(network.bondMirror(app, { endpoint: '' }).outcome).toBe('ERR_ENDPOINT')
    expect(network.bondMirror(app, { endpoint: `https://${'m'.repeat(192)}` }).outcome).toBe('ok')
  })

  it('refuses an owner of another network, to whom a payment would be lost', () => {
    expect(network.bondMirror(network.openApp(), {}, foreigner).outcome).toBe('ERR_OWNER')
  })

  it('refuses the pool as an owner, which could not be paid by itself', () => {
    const own = contractsOf(stranger)
    network.deploy('attester-quorum', undefined, stranger)
    network.deploy('mirror-registry', undefined, stranger)
    network.deploy(
      'reward-pool',
      `(define-public (enrol (app (buff 32)) (key (buff 32)))
        (as-contract? () (try! (contract-call? .mirror-registry register-mirror app key "https://pool.example" u${bond}))))`,
      stranger,
    )
    const coordinate = network.nextCoordinate()
    const app = { coordinate, schedule: network.nextSchedule(), terms }
    expect(
      network.simnet.callPublicFn(own.quorum, 'register-app', registerApp(own, app).functionArgs, stranger)
        .result.type,
    ).toBe('ok')
    const args = [Cl.bufferFromHex(appId(coordinate)), Cl.bufferFromHex('22'.repeat(32))]
    const { result } = network.simnet.callPublicFn(own.pool, 'enrol', args, stranger)
    expect(result.type === 'err' && errorNames.get(BigInt((result.value as UIntCV).value))).toBe('ERR_OWNER')
  })

  it('moves nothing where the owner cannot pay the bond', () => {
    const app = network.openApp()
    expect(network.bondMirror(app, { bond: 2_000_000_000_000n }).outcome).toBe('(err u1)')
    expect(mirrorRow(app, 1)).toBe('none')
  })
})

describe('set-endpoint', () => {
  it('is for the owner alone', () => {
    const app = network.openApp()
    network.bondMirror(app)
    expect(move(app, 1, 'https://elsewhere.example', stranger).outcome).toBe('ERR_NOT_OWNER')
    expect(move(app, 1, 'https://elsewhere.example').outcome).toBe('ok')
    expect(mirrorRow(app, 1)).toContain('https://elsewhere.example')
  })

  it('refuses an empty endpoint and an unknown mirror', () => {
    const app = network.openApp()
    network.bondMirror(app)
    expect(move(app, 1, '').outcome).toBe('ERR_ENDPOINT')
    expect(move(app, 2, 'https://elsewhere.example').outcome).toBe('ERR_UNKNOWN_MIRROR')
  })
})

describe('leaving', () => {
  it('gives the bond back once the epoch that runs is final, not before, and once', () => {
    const app = network.openApp()
    network.bondMirror(app)
    const wait = app.schedule.length + app.terms.window + app.terms.challenge
    const ready = network.burnHeight + wait
    const before = network.balance(operator)
    expect(end(app, 1).outcome).toBe('ERR_NOT_UNBONDING')
    expect(begin(app, 1)).toMatchObject({ outcome: 'ok', value: Cl.uint(ready) })
    network.mineTo(ready - 1)
    expect(end(app, 1).outcome).toBe('ERR_NOT_READY')
    network.mineTo(ready)
    expect(end(app, 1).outcome).toBe('ok')
    expect(network.balance(operator) - before).toBe(bond)
    expect(end(app, 1).outcome).toBe('ERR_WITHDRAWN')
    expect(begin(app, 1).outcome).toBe('ERR_UNBONDING')
    expect(move(app, 1, 'https://elsewhere.example').outcome).toBe('ERR_WITHDRAWN')
  })

  it('is for the owner alone', () => {
    const app = network.openApp()
    network.bondMirror(app)
    expect(begin(app, 1, stranger).outcome).toBe('ERR_NOT_OWNER')
    expect(begin(app, 1).outcome).toBe('ok')
    expect(end(app, 1, stranger).outcome).toBe('ERR_NOT_OWNER')
    expect(begin(app, 7).outcome).toBe('ERR_UNKNOWN_MIRROR')
    expect(end(app, 7).outcome).toBe('ERR_UNKNOWN_MIRROR')
  })

  it('happens once: unbonding again does not move the date', () => {
    const app = network.openApp()
    network.bondMirror(app)
    begin(app, 1)
    const row = mirrorRow(app, 1)
    network.mineTo(network.burnHeight + 5)
    expect(begin(app, 1).outcome).toBe('ERR_UNBONDING')
    expect(mirrorRow(app, 1)).toBe(row)
  })

  it('frees the node key for a new mirror with a new id', () => {
    const app = network.openApp()
    network.bondMirror(app)
    begin(app, 1)
    expect(network.bondMirror(app).outcome).toBe('ERR_MIRROR_EXISTS')
    network.mineTo(network.burnHeight + 96)
    end(app, 1)
    expect(network.bondMirror(app)).toMatchObject({ outcome: 'ok', value: Cl.uint(2) })
  })
})

describe('bond-at', () => {
  it('says with which bond a mirror counted in every epoch, however often it changed', () => {
    const app = network.openApp()
    network.bondMirror(app)
    network.mineTo(app.schedule.start + 10)
    expect(add(app, 1, 5n)).toMatchObject({ outcome: 'ok', value: Cl.uint(bond + 5n) })
    expect(add(app, 1, 2n).outcome).toBe('ok')
    network.mineTo(app.end(1))
    expect(begin(app, 1).outcome).toBe('ok')
    const rows = [
      [0, 1, bond],
      [1, 2, bond + 7n],
      [2, 2, bond + 7n],
      [3, 3, 0n],
      [900, 3, 0n],
    ] as const
    for (const [epoch, hint, counts] of rows) {
      expect(bondAt(app, 1, epoch, hint)).toEqual(Cl.some(Cl.uint(counts)))
      // Another row says nothing of this epoch.
      for (const other of [1, 2, 3, 4].filter((row) => row !== hint))
        expect(bondAt(app, 1, epoch, other)).toEqual(Cl.none())
    }
    expect(bondAt(app, 1, 3)).toEqual(Cl.some(Cl.uint(0)))
    expect(bondAt(app, 9, 0)).toEqual(Cl.none())
  })

  it('counts a bond in no epoch that begins at its registration or before', () => {
    const app = network.openApp()
    network.mineTo(app.schedule.start - 1)
    network.bondMirror(app)
    network.bondMirror(app, {}, neighbour)
    // The second call came a block later, in the first block of epoch 0.
    expect(bondAt(app, 1, 0)).toEqual(Cl.some(Cl.uint(bond)))
    network.mineTo(app.schedule.start)
    network.bondMirror(app, {}, stranger)
    expect(bondAt(app, 3, 0)).toEqual(Cl.none())
    expect(bondAt(app, 3, 1)).toEqual(Cl.some(Cl.uint(bond)))
  })

  it('forgets the bond of a mirror that leaves before its first epoch', () => {
    const app = network.openApp()
    network.bondMirror(app)
    begin(app, 1)
    expect(bondAt(app, 1, 0)).toEqual(Cl.some(Cl.uint(0)))
    expect(bondAt(app, 1, 0, 2)).toEqual(Cl.none())
  })
})

describe('add-bond', () => {
  it('adds to what is held and comes back with the rest', () => {
    const app = network.openApp()
    network.bondMirror(app)
    const held = network.balance(contracts.registry)
    expect(add(app, 1, 3n).outcome).toBe('ok')
    expect(network.balance(contracts.registry) - held).toBe(3n)
    begin(app, 1)
    network.mineTo(network.burnHeight + 96)
    const before = network.balance(operator)
    expect(
      network.send(withdraw(contracts, { app: app.id, mirror: 1, bond: bond + 3n }), operator).outcome,
    ).toBe('ok')
    expect(network.balance(operator) - before).toBe(bond + 3n)
  })

  it('is for the owner of a mirror that stays, and for an amount that it has', () => {
    const app = network.openApp()
    network.bondMirror(app)
    expect(add(app, 1, 1n, stranger).outcome).toBe('ERR_NOT_OWNER')
    expect(add(app, 2, 1n).outcome).toBe('ERR_UNKNOWN_MIRROR')
    expect(add(app, 1, 0n).outcome).toBe('ERR_AMOUNT')
    expect(add(app, 1, 2n ** 128n - 1n).outcome).toBe('(err u1)')
    begin(app, 1)
    expect(add(app, 1, 1n).outcome).toBe('ERR_UNBONDING')
  })
})

describe('replace-node-key', () => {
  it('moves the mirror to another key and frees the old one', () => {
    const app = network.openApp()
    network.bondMirror(app)
    expect(rekey(app, 1, '33'.repeat(32)).outcome).toBe('ok')
    expect(mirrorRow(app, 1)).toContain(`(node-key 0x${'33'.repeat(32)})`)
    expect(network.bondMirror(app).outcome).toBe('ok')
    expect(network.bondMirror(app, { nodeKey: '33'.repeat(32) }).outcome).toBe('ERR_MIRROR_EXISTS')
  })

  it('refuses strangers, short keys, keys in use and mirrors that are gone', () => {
    const app = network.openApp()
    network.bondMirror(app)
    network.bondMirror(app, { nodeKey: '44'.repeat(32) })
    expect(rekey(app, 1, '33'.repeat(32), stranger).outcome).toBe('ERR_NOT_OWNER')
    expect(rekey(app, 9, '33'.repeat(32)).outcome).toBe('ERR_UNKNOWN_MIRROR')
    expect(rekey(app, 1, '33'.repeat(31)).outcome).toBe('ERR_NODE_KEY')
    expect(rekey(app, 1, '44'.repeat(32)).outcome).toBe('ERR_MIRROR_EXISTS')
    expect(rekey(app, 1, '22'.repeat(32)).outcome).toBe('ERR_MIRROR_EXISTS')
    leave(app, 1)
    expect(rekey(app, 1, '33'.repeat(32)).outcome).toBe('ERR_RETIRED')
    begin(app, 2)
    network.mineTo(network.burnHeight + 96)
    end(app, 2)
    expect(rekey(app, 2, '33'.repeat(32)).outcome).toBe('ERR_WITHDRAWN')
  })
})

describe('retire', () => {
  it('frees the node key at once and the bond in time', () => {
    const app = network.openApp()
    network.bondMirror(app)
    const ready = network.burnHeight + 96
    expect(leave(app, 1)).toMatchObject({ outcome: 'ok', value: Cl.uint(ready) })
    expect(network.bondMirror(app)).toMatchObject({ outcome: 'ok', value: Cl.uint(2) })
    expect(begin(app, 1).outcome).toBe('ERR_UNBONDING')
    expect(move(app, 1, 'https://elsewhere.example').outcome).toBe('ERR_RETIRED')
    network.mineTo(ready - 1)
    expect(end(app, 1).outcome).toBe('ERR_NOT_READY')
    network.mineTo(ready)
    expect(end(app, 1).outcome).toBe('ok')
    // The key is the second mirror's now.
    expect(network.bondMirror(app).outcome).toBe('ERR_MIRROR_EXISTS')
  })

  it('keeps the date of an unbonding that was begun before', () => {
    const app = network.openApp()
    network.bondMirror(app)
    const ready = network.burnHeight + 96
    begin(app, 1)
    network.mineTo(network.burnHeight + 20)
    expect(leave(app, 1)).toMatchObject({ outcome: 'ok', value: Cl.uint(ready) })
    network.mineTo(ready)
    expect(end(app, 1).outcome).toBe('ok')
  })

  it('is for the owner alone, and once', () => {
    const app = network.openApp()
    network.bondMirror(app)
    expect(leave(app, 1, stranger).outcome).toBe('ERR_NOT_OWNER')
    expect(leave(app, 9).outcome).toBe('ERR_UNKNOWN_MIRROR')
    expect(leave(app, 1).outcome).toBe('ok')
    expect(leave(app, 1).outcome).toBe('ERR_RETIRED')
    network.mineTo(network.burnHeight + 96)
    end(app, 1)
    expect(leave(app, 1).outcome).toBe('ERR_WITHDRAWN')
  })
})
