import { Cl, cvToString } from '@stacks/transactions'
import {
  acceptMaintainer,
  addBond,
  attesterBondHash,
  beginUnbond,
  bondAttester,
  type ContractCall,
  changeRules,
  endRules,
  exit,
  fund,
  offerMaintainer,
  registerApp,
  registerMirror,
  replaceNodeKey,
  replaceReleaseKey,
  reportCommitments,
  requestExit,
  retire,
  setEndpoint,
  takeBack,
  veto,
  withdraw,
  withdrawAttester,
} from '@understudy/chain/calls'
import { splitContract } from '@understudy/chain/contracts'
import { verifyLog } from '@understudy/chain/log'
import { projectChain } from '@understudy/chain/state'
import { appId } from '@understudy/protocol/app'
import { commitmentHash } from '@understudy/protocol/commitment'
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
  terms,
  treeOf,
} from './network.ts'

const { maintainer, operator, funder, stranger, saver, patron } = accounts
const [deployer] = splitContract(contracts.pool)
const between = `${deployer}.between` as const
const termsType = `{ budget: uint, keys: (list 19 (buff 33)), places: uint, levels: (list 3 (string-ascii 16)), floor: uint,
  domain-bond: uint, fee: uint, grace: uint, min-bond: uint, faults: uint, window: uint, challenge: uint, claim-period: uint,
  release-key: (buff 32), min-seq: uint }`
const commitmentType = '{ root: (buff 32), count: uint, signature: (buff 65) }'

/** Every function of ours that asks who calls, by its contract, with its parameters. */
const passedOn: readonly (readonly [
  contract: string,
  name: string,
  parameters: Readonly<Record<string, string>>,
])[] = [
  [
    'attester-quorum',
    'register-app',
    {
      coordinate: '(buff 256)',
      schedule: '{ start: uint, length: uint, notice: uint, cap: uint, sbtc: bool }',
      terms: termsType,
    },
  ],
  ['attester-quorum', 'change-rules', { app: '(buff 32)', from: 'uint', terms: termsType }],
  ['attester-quorum', 'end-rules', { app: '(buff 32)' }],
  ['attester-quorum', 'replace-release-key', { app: '(buff 32)', key: '(buff 32)', seq: 'uint' }],
  ['attester-quorum', 'offer-maintainer', { app: '(buff 32)', to: '(optional principal)' }],
  ['attester-quorum', 'accept-maintainer', { app: '(buff 32)' }],
  [
    'mirror-registry',
    'register-mirror',
    { app: '(buff 32)', key: '(buff 32)', endpoint: '(string-ascii 200)', bond: 'uint' },
  ],
  ['mirror-registry', 'set-endpoint', { app: '(buff 32)', mirror: 'uint', endpoint: '(string-ascii 200)' }],
  ['mirror-registry', 'replace-node-key', { app: '(buff 32)', mirror: 'uint', key: '(buff 32)' }],
  ['mirror-registry', 'add-bond', { app: '(buff 32)', mirror: 'uint', amount: 'uint' }],
  ['mirror-registry', 'begin-unbond', { app: '(buff 32)', mirror: 'uint' }],
  ['mirror-registry', 'retire', { app: '(buff 32)', mirror: 'uint' }],
  ['mirror-registry', 'withdraw', { app: '(buff 32)', mirror: 'uint' }],
  ['reward-pool', 'fund', { app: '(buff 32)', amount: 'uint', version: 'uint', least: 'uint' }],
  ['reward-pool', 'take-back', { app: '(buff 32)' }],
  ['reward-pool', 'request-exit', { app: '(buff 32)', amount: 'uint' }],
  ['reward-pool', 'exit', { app: '(buff 32)' }],
  ['reward-pool', 'veto', { app: '(buff 32)', epoch: 'uint' }],
  [
    'reward-pool',
    'report-commitments',
    {
      app: '(buff 32)',
      epoch: 'uint',
      version: 'uint',
      key: '(buff 33)',
      one: commitmentType,
      other: commitmentType,
    },
  ],
  [
    'reward-pool',
    'bond-attester',
    { app: '(buff 32)', key: '(buff 33)', amount: 'uint', signature: '(buff 65)' },
  ],
  ['reward-pool', 'withdraw-attester', { app: '(buff 32)', key: '(buff 33)' }],
]

/** A contract that passes calls on: as what it is, `<name>`, and speaking for itself as `own-<name>`. */
const source = passedOn
  .map(([contract, name, parameters]) => {
    const typed = Object.entries(parameters).map(([parameter, type]) => `(${parameter} ${type})`)
    const call = `(contract-call? .${contract} ${name} ${Object.keys(parameters).join(' ')})`
    return `(define-public (${name} ${typed.join(' ')}) ${call})
      (define-public (own-${name} ${typed.join(' ')})
        (as-contract? ((with-stx u1000000000000)) (try! ${call})))`
  })
  .join('\n')

let network: Network
beforeAll(async () => {
  network = await openNetwork()
  network.deploy('between', source)
  network.simnet.transferSTX(1_000_000_000n, between, patron)
})

/** The sender calls the contract between, which calls ours. */
const through = (call: ContractCall, sender: string) => network.send({ ...call, contract: between }, sender)
/** The contract between calls ours for itself, whoever asks it to. */
const itself = (call: ContractCall) =>
  network.send({ ...call, contract: between, functionName: `own-${call.functionName}` }, stranger)

/** The log says the same as the contracts. */
const logged = (app: string) =>
  projectChain(verifyLog(network.entries).filter((event) => event.app === app)).apps.get(app)!

const rowOf = (contract: string, name: string, app: string, ...more: Parameters<typeof Cl.uint>[0][]) =>
  cvToString(network.read(contract, name, [Cl.bufferFromHex(app), ...more.map((value) => Cl.uint(value))]))

describe('a contract that an app’s maintainer calls', () => {
  it('cannot speak for the maintainer', () => {
    const app = network.openApp()
    const calls = [
      changeRules(contracts, { app: app.id, from: 9, terms }),
      endRules(contracts, app.id),
      replaceReleaseKey(contracts, { app: app.id, releaseKey: '99'.repeat(32), minSeq: 0 }),
      offerMaintainer(contracts, { app: app.id, to: stranger }),
    ]
    for (const call of calls) expect(through(call, maintainer).outcome).toBe('ERR_NOT_MAINTAINER')
    for (const call of calls) expect(itself(call).outcome).toBe('ERR_NOT_MAINTAINER')
  })

  it('cannot accept for who is offered an app, nor veto for a maintainer', () => {
    const app = network.openApp()
    network.deposit(app, 100n)
    network.send(offerMaintainer(contracts, { app: app.id, to: stranger }), maintainer)
    expect(through(acceptMaintainer(contracts, app.id), stranger).outcome).toBe('ERR_NOT_OFFERED')
    network.mineTo(app.end(0))
    network.settleWith(network.messageOf(app, 0, treeOf([[operator, 7n]])))
    expect(through(veto(contracts, { app: app.id, epoch: 0 }), maintainer).outcome).toBe('ERR_NOT_MAINTAINER')
  })

  it('maintains what it registers or accepts itself, whoever sends that', () => {
    const coordinate = network.nextCoordinate()
    const mine = { coordinate, schedule: network.nextSchedule(), terms }
    expect(through(registerApp(contracts, mine), maintainer).outcome).toBe('ok')
    const id = appId(coordinate)
    expect(rowOf(contracts.quorum, 'get-app', id)).toContain(`(maintainer ${between})`)
    expect(logged(id).maintainer).toBe(between)
    expect(network.send(endRules(contracts, id), maintainer).outcome).toBe('ERR_NOT_MAINTAINER')
    expect(through(endRules(contracts, id), stranger).outcome).toBe('ok')
    const app = network.openApp()
    network.send(offerMaintainer(contracts, { app: app.id, to: between }), maintainer)
    expect(through(acceptMaintainer(contracts, app.id), stranger).outcome).toBe('ok')
    expect(rowOf(contracts.quorum, 'get-app', app.id)).toContain(`(maintainer ${between})`)
    expect(logged(app.id).maintainer).toBe(between)
    network.deposit(app, 100n)
    network.mineTo(app.end(0))
    network.settleWith(network.messageOf(app, 0, treeOf([[operator, 7n]])))
    expect(network.send(veto(contracts, { app: app.id, epoch: 0 }), maintainer).outcome).toBe(
      'ERR_NOT_MAINTAINER',
    )
    expect(through(veto(contracts, { app: app.id, epoch: 0 }), stranger).outcome).toBe('ok')
  })
})

describe('a contract that an operator calls', () => {
  const bonded = (app: App) => ({
    ...{ app: app.id, nodeKey: '22'.repeat(32), endpoint: 'https://mirror.example', bond: terms.minBond },
  })

  it('registers a mirror of the operator who pays, and cannot touch it afterwards', () => {
    const app = network.openApp()
    expect(through(registerMirror(contracts, operator, bonded(app)), operator).outcome).toBe('ok')
    expect(rowOf(contracts.registry, 'get-mirror', app.id, 1)).toContain(`(owner ${operator})`)
    const mirror = { app: app.id, mirror: 1 }
    for (const call of [
      setEndpoint(contracts, { ...mirror, endpoint: 'https://elsewhere.example' }),
      replaceNodeKey(contracts, { ...mirror, nodeKey: '33'.repeat(32) }),
      addBond(contracts, operator, { ...mirror, amount: 5n }),
      beginUnbond(contracts, mirror),
      retire(contracts, mirror),
    ])
      expect(through(call, operator).outcome).toBe('ERR_NOT_OWNER')
    network.send(beginUnbond(contracts, mirror), operator)
    network.mineTo(network.burnHeight + 96)
    const out = withdraw(contracts, { ...mirror, bond: terms.minBond })
    expect(through(out, operator).outcome).toBe('ERR_NOT_OWNER')
    expect(network.send(out, operator).outcome).toBe('ok')
  })

  it('runs a mirror of its own with its own money, and never with that of who calls it', () => {
    const app = network.openApp()
    const mirror = { app: app.id, mirror: 1 }
    expect(itself(registerMirror(contracts, between, bonded(app))).outcome).toBe('ok')
    expect(rowOf(contracts.registry, 'get-mirror', app.id, 1)).toContain(`(owner ${between})`)
    expect(itself(addBond(contracts, between, { ...mirror, amount: 5n })).outcome).toBe('ok')
    // It is the owner and calls, but does not send: a transfer of its money is refused.
    expect(through(addBond(contracts, stranger, { ...mirror, amount: 5n }), stranger).outcome).toBe(
      '(err u4)',
    )
    expect(itself(beginUnbond(contracts, mirror)).outcome).toBe('ok')
    network.mineTo(network.burnHeight + 96)
    const before = network.balance(between)
    expect(through(withdraw(contracts, { ...mirror, bond: terms.minBond + 5n }), stranger).outcome).toBe('ok')
    expect(network.balance(between) - before).toBe(terms.minBond + 5n)
  })
})

describe('a contract that a funder calls', () => {
  const sharesOf = (app: App, who: string) =>
    network.read(contracts.pool, 'get-shares', [Cl.bufferFromHex(app.id), Cl.principal(who)])

  it('funds in the name of the funder who pays, and can take nothing back', () => {
    const app = network.openApp()
    const deposit = { app: app.id, amount: 100n, rulesVersion: 1, minShares: 0n }
    expect(through(fund(contracts, funder, deposit), funder).outcome).toBe('ok')
    expect(sharesOf(app, funder)).toEqual(Cl.uint(100))
    expect(sharesOf(app, between)).toEqual(Cl.uint(0))
    expect(through(requestExit(contracts, { app: app.id, shares: 1n }), funder).outcome).toBe('ERR_SHARES')
    network.send(requestExit(contracts, { app: app.id, shares: 100n }), funder)
    network.mineTo(app.end(1) + terms.window)
    expect(through(exit(contracts, { app: app.id, least: 0n }), funder).outcome).toBe('ERR_NOT_REQUESTED')
    network.mineTo(app.end(2))
    network.deposit(app, 7n)
    expect(through(takeBack(contracts, { app: app.id, amount: 7n }), funder).outcome).toBe(
      'ERR_NOTHING_PARKED',
    )
  })

  it('parks in the name of the funder who pays, too', () => {
    const app = network.openApp()
    network.mineTo(app.end(0))
    const deposit = { app: app.id, amount: 100n, rulesVersion: 1, minShares: 0n }
    expect(through(fund(contracts, funder, deposit), funder)).toMatchObject({
      outcome: 'ok',
      value: Cl.uint(0),
    })
    expect(network.send(takeBack(contracts, { app: app.id, amount: 100n }), funder).outcome).toBe('ok')
  })

  it('leaves with what it put in itself, whoever sends that', () => {
    const app = network.openApp()
    const deposit = { app: app.id, amount: 100n, rulesVersion: 1, minShares: 0n }
    expect(itself(fund(contracts, between, deposit)).outcome).toBe('ok')
    expect(sharesOf(app, between)).toEqual(Cl.uint(100))
    expect(through(requestExit(contracts, { app: app.id, shares: 100n }), stranger).outcome).toBe('ok')
    network.mineTo(app.end(1) + terms.window)
    const before = network.balance(between)
    expect(through(exit(contracts, { app: app.id, least: 100n }), stranger).outcome).toBe('ok')
    network.mineTo(app.end(2))
    expect(itself(fund(contracts, between, deposit)).outcome).toBe('ok')
    expect(through(takeBack(contracts, { app: app.id, amount: 100n }), stranger).outcome).toBe('ok')
    expect(network.balance(between) - before).toBe(100n)
  })
})

describe('a contract around attesters', () => {
  const [attester] = attestersOf(1)
  const bond = (app: App, owner: string) => {
    const hash = attesterBondHash(contracts, { app: app.id, owner }, chainId)
    const signature = signHash(hash, attester!.secret)
    return bondAttester(contracts, owner, { app: app.id, key: attester!.key, amount: 1_000n, signature })
  }
  const bonded = (app: App) =>
    cvToString(
      network.read(contracts.pool, 'get-attester', [
        Cl.bufferFromHex(app.id),
        Cl.bufferFromHex(attester!.key),
      ]),
    )

  it('bonds a key for the owner who pays, to whom alone the bond returns', () => {
    const app = network.openApp({ keys: [attestersOf(2)[1]!.key], faults: 0 })
    expect(through(bond(app, saver), saver).outcome).toBe('ok')
    expect(bonded(app)).toContain(`(owner ${saver})`)
    const out = withdrawAttester(contracts, { app: app.id, key: attester!.key, amount: 1_000n })
    expect(through(out, saver).outcome).toBe('ERR_NOT_OWNER')
    expect(itself(bond(app, between)).outcome).toBe('ERR_BONDED')
    expect(network.send(out, saver).outcome).toBe('ok')
    expect(itself(bond(app, between)).outcome).toBe('ok')
    expect(through(out, patron).outcome).toBe('ok')
  })

  it('is the reporter of what it reports, and gets the tenth', () => {
    const app = network.openApp({ keys: [attester!.key], faults: 0 })
    network.send(bond(app, saver), saver)
    const told = (root: string) => ({
      ...{ root, count: 3 },
      signature: signHash(
        commitmentHash({ pool: contracts.pool, app: app.id, epoch: 0, root, count: 3 }, chainId),
        attester!.secret,
      ),
    })
    const accused = { app: app.id, epoch: 0, version: 1, key: attester!.key }
    const pair = [told('01'.repeat(32)), told('02'.repeat(32))] as const
    const before = [network.balance(between), network.balance(stranger)]
    expect(through(reportCommitments(contracts, accused, pair, 1_000n), stranger).outcome).toBe('ok')
    expect(network.balance(between) - before[0]!).toBe(100n)
    expect(network.balance(stranger)).toBe(before[1])
  })
})
