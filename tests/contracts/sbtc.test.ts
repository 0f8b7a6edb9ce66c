import { Cl, ClarityType, cvToString } from '@stacks/transactions'
import {
  addBond,
  attesterBondHash,
  beginUnbond,
  bondAttester,
  type ContractCall,
  claim,
  claimRange,
  exit,
  fund,
  reportCommitments,
  requestExit,
  sweep,
  takeBack,
  withdraw,
  withdrawAttester,
} from '@understudy/chain/calls'
import { contractNames, contractsOf, deployedSource } from '@understudy/chain/contracts'
import { verifyLog } from '@understudy/chain/log'
import { projectChain } from '@understudy/chain/state'
import { commitmentHash } from '@understudy/protocol/commitment'
import { signHash } from '@understudy/protocol/sip018'
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
  sbtc,
  sourceOf,
  terms,
  treeOf,
} from './network.ts'

const { maintainer, funder, operator, neighbour, stranger, saver } = accounts
const { budget, challenge, claimPeriod } = terms
const asset = 'sbtc'
const attesters = attestersOf(3)

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

const openApp = (): App => network.openApp({}, asset)
const payouts = treeOf([
  [operator, 40_000_000n],
  [neighbour, 30_000_000n],
])

/** An app whose epoch 0 is settled and payable. */
function payableApp(tree = payouts): App {
  const app = openApp()
  network.deposit(app, budget)
  network.mineTo(app.end(0))
  expect(network.settleWith(network.messageOf(app, 0, tree)).outcome).toBe('ok')
  network.mineTo(network.burnHeight + challenge)
  return app
}

/** What a call moved of the two assets, both balances of an address compared. */
function moved(address: string, act: () => void): { readonly stx: bigint; readonly sbtc: bigint } {
  const before = { stx: network.balance(address), sbtc: network.sbtcBalance(address) }
  act()
  return {
    stx: network.balance(address) - before.stx,
    sbtc: network.sbtcBalance(address) - before.sbtc,
  }
}
const succeeds = (call: ContractCall, sender: string) => expect(network.send(call, sender).outcome).toBe('ok')

describe('an app whose asset is sBTC', () => {
  it('takes deposits, pays claims, refunds and sweeps in sBTC, and moves no STX', () => {
    const app = openApp()
    expect(moved(contracts.pool, () => network.deposit(app, budget))).toEqual({ stx: 0n, sbtc: budget })
    network.mineTo(app.end(0))
    expect(network.settleWith(network.messageOf(app, 0, payouts)).outcome).toBe('ok')
    network.mineTo(network.burnHeight + challenge)
    const leaf = { app: app.id, epoch: 0, leaf: payouts.leaves[0]!, proof: payouts.proof(0), asset } as const
    expect(moved(operator, () => succeeds(claim(contracts, leaf), stranger))).toEqual({
      stx: 0n,
      sbtc: 40_000_000n,
    })
    expect(network.poolOf(app)).toMatchObject({ free: 30_000_000n, owed: 30_000_000n, paid: 40_000_000n })

    network.mineTo(network.burnHeight + claimPeriod)
    succeeds(sweep(contracts, { app: app.id, epoch: 0 }), stranger)
    network.mineTo(network.burnHeight + app.schedule.length)
    succeeds(requestExit(contracts, { app: app.id, shares: budget }), funder)
    network.mineTo(app.end(14) + terms.window)
    const out = exit(contracts, { app: app.id, least: 1n, asset })
    expect(moved(funder, () => succeeds(out, funder))).toEqual({ stx: 0n, sbtc: 30_000_000n })
  })

  it('takes a waiting deposit and returns it', () => {
    const app = openApp()
    network.mineTo(app.end(0))
    network.deposit(app, 7n)
    const back = takeBack(contracts, { app: app.id, amount: 7n, asset })
    expect(moved(funder, () => succeeds(back, funder))).toEqual({ stx: 0n, sbtc: 7n })
  })

  it('holds the operators’ bonds in sBTC', () => {
    const app = openApp()
    expect(moved(contracts.registry, () => network.bondMirror(app))).toEqual({ stx: 0n, sbtc: terms.minBond })
    const added = { app: app.id, mirror: 1, amount: 5n, asset } as const
    expect(moved(operator, () => succeeds(addBond(contracts, operator, added), operator)).sbtc).toBe(-5n)
    succeeds(beginUnbond(contracts, { app: app.id, mirror: 1 }), operator)
    network.mineTo(network.burnHeight + app.schedule.length + terms.window + challenge)
    const bond = terms.minBond + 5n
    const back = withdraw(contracts, { app: app.id, mirror: 1, bond, asset })
    expect(moved(operator, () => succeeds(back, operator))).toEqual({ stx: 0n, sbtc: bond })
  })

  it('holds the attesters’ bonds, pays the reporter and keeps the rest in sBTC', () => {
    const app = openApp()
    network.deposit(app, budget)
    const agree = attesterBondHash(contracts, { app: app.id, owner: saver }, chainId)
    const bonds = attesters.map(({ key, secret }) => ({
      ...({ app: app.id, key, amount: 1_000n, asset, signature: signHash(agree, secret) } as const),
    }))
    for (const bond of bonds) succeeds(bondAttester(contracts, saver, bond), saver)
    expect(network.poolOf(app).bonded).toBe(3_000n)
    network.mineTo(app.end(0))
    const said = ['01', '02'].map((byte) => {
      const message = { pool: contracts.pool, app: app.id, epoch: 0, root: byte.repeat(32), count: 3 }
      return { ...message, signature: signHash(commitmentHash(message, chainId), attesters[0]!.secret) }
    })
    const whom = { app: app.id, epoch: 0, version: 1, key: attesters[0]!.key, asset } as const
    const report = reportCommitments(contracts, whom, [said[0]!, said[1]!], 1_000n)
    expect(moved(stranger, () => succeeds(report, stranger))).toEqual({ stx: 0n, sbtc: 100n })
    expect(network.poolOf(app)).toMatchObject({ bonded: 2_000n, slashed: 900n, common: 900n })
    const early = { app: app.id, key: attesters[1]!.key, amount: 1_000n, asset } as const
    expect(network.send(withdrawAttester(contracts, early), saver).outcome).toBe('ERR_LISTED')
  })

  it('is sBTC in the log as well', () => {
    const apps = projectChain(verifyLog(network.entries)).apps
    const [one, other] = [openApp(), network.openApp()]
    expect([...apps.values()].every((app) => app.asset === 'sbtc')).toBe(true)
    const later = projectChain(verifyLog(network.entries)).apps
    expect([later.get(one.id)!.asset, later.get(other.id)!.asset]).toEqual(['sbtc', 'stx'])
  })

  it('keeps its money apart from that of apps in STX', () => {
    const [ours, theirs] = [openApp(), network.openApp()]
    network.deposit(ours, budget)
    network.deposit(theirs, 3n)
    expect(network.poolOf(ours).free).toBe(budget)
    expect(network.poolOf(theirs).free).toBe(3n)
  })

  it('passes the errors of the token on', () => {
    const app = openApp()
    const poor = contracts.quorum.split('.')[0]!
    const deposit = { app: app.id, amount: 5n, rulesVersion: 1, minShares: 1n, asset } as const
    expect(network.send(fund(contracts, poor, deposit), poor).outcome).toBe('(err u1)')
  })
})

describe('a range of claims in sBTC', () => {
  it('pays with one transfer-many whoever can be paid, and skips the others', () => {
    const tree = treeOf([
      [operator, 10n],
      [contracts.pool, 1_000n],
      [neighbour, 20n],
      [foreigner, 1_000n],
      [operator, 30n],
    ])
    const app = payableApp(tree)
    const range = { app: app.id, epoch: 0, leaves: tree.leaves, start: 0, asset } as const
    expect(moved(operator, () => succeeds(claimRange(contracts, range), stranger))).toEqual({
      stx: 0n,
      sbtc: 40n,
    })
    expect(network.poolOf(app)).toMatchObject({ paid: 60n, owed: 2_000n })
    expect(network.send(claimRange(contracts, range), stranger).outcome).toBe('ERR_CLAIMED')
  })

  it('pays all 128 leaves at once', () => {
    const tree = treeOf(Array.from({ length: 128 }, (_, at) => [at % 2 ? operator : neighbour, 1n]))
    const app = payableApp(tree)
    const range = { app: app.id, epoch: 0, leaves: tree.leaves, start: 0, asset } as const
    expect(moved(operator, () => succeeds(claimRange(contracts, range), stranger)).sbtc).toBe(64n)
  })
})

describe('the stand-in for sBTC', () => {
  const transfer = (amount: bigint, from: string, to: string, sender: string, memo = Cl.none()) =>
    cvToString(
      network.simnet.callPublicFn(
        sbtc,
        'transfer',
        [Cl.uint(amount), Cl.principal(from), Cl.principal(to), memo],
        sender,
      ).result,
    )
  const payment = (amount: bigint, to: string) =>
    Cl.tuple({ amount: Cl.uint(amount), sender: Cl.principal(funder), to: Cl.principal(to), memo: Cl.none() })

  it('answers as sBTC does: 4 to who is not the owner, 1, 2 and 3 as Clarity', () => {
    expect(transfer(1n, funder, operator, stranger)).toBe('(err u4)')
    expect(transfer(10n ** 20n, funder, operator, funder)).toBe('(err u1)')
    expect(transfer(1n, funder, funder, funder)).toBe('(err u2)')
    expect(transfer(0n, funder, operator, funder)).toBe('(err u3)')
    expect(transfer(1n, funder, operator, funder)).toBe('(ok true)')
  })

  it('moves many or none, and says which failed', () => {
    const send = (payments: ReturnType<typeof payment>[]) =>
      cvToString(network.simnet.callPublicFn(sbtc, 'transfer-many', [Cl.list(payments)], funder).result)
    expect(send([payment(1n, operator), payment(2n, stranger)])).toBe('(ok u2)')
    const before = network.sbtcBalance(operator)
    expect(send([payment(1n, operator), payment(2n, funder), payment(3n, stranger)])).toBe('(err u1001)')
    expect(network.sbtcBalance(operator)).toBe(before)
  })

  it('is minted by nobody but its signers', () => {
    const mint = [Cl.uint(1), Cl.principal(maintainer), Cl.bufferFromHex('01')]
    const { result } = network.simnet.callPublicFn(sbtc, 'protocol-mint', mint, maintainer)
    expect(result.type).toBe(ClarityType.ResponseErr)
  })
})

describe('what is deployed', () => {
  it('pins the sBTC contract of its network, the same everywhere else', () => {
    for (const name of contractNames) {
      const testnet = deployedSource(sourceOf(name), chainId)
      const mainnet = deployedSource(sourceOf(name), 1)
      const pins = name !== 'attester-quorum'
      expect(testnet.includes(`(define-constant SBTC '${sbtc})`)).toBe(pins)
      expect(mainnet.includes("'SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4.sbtc-token")).toBe(pins)
      expect(mainnet).not.toContain(sbtc)
      expect(mainnet.replaceAll('SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4', sbtc.split('.')[0]!)).toBe(
        testnet,
      )
    }
    expect(contractsOf('SP2').pool).toBe('SP2.reward-pool')
  })
})
