import { Cl, ClarityType, type ClarityValue, cvToString } from '@stacks/transactions'
import * as calls from '@understudy/chain/calls'
import { type Asset, sbtcToken } from '@understudy/chain/contracts'
import { verifyLog } from '@understudy/chain/log'
import { type ChainApp, projectChain, rulesAt } from '@understudy/chain/state'
import { commitmentHash } from '@understudy/protocol/commitment'
import { settlementHash } from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import * as model from './model.ts'
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
  type Tree,
  terms,
  treeOf,
} from './network.ts'

/**
 * How many sequences: a few by default; `fuzz.mjs` sets FUZZ_RUNS, slice by slice, and FUZZ_MINUTES, which it may take. FUZZ_SEED (and
 * FUZZ_PATH) replay a failure, which is printed as it is, or with FUZZ_SHRINK=1 as small as it gets.
 */
const runs = Number(process.env['FUZZ_RUNS'] ?? 12)
const minutes = Number(process.env['FUZZ_MINUTES'] ?? 0)
const replay = {
  ...(process.env['FUZZ_SEED'] ? { seed: Number(process.env['FUZZ_SEED']) } : {}),
  ...(process.env['FUZZ_PATH'] ? { path: process.env['FUZZ_PATH'] } : {}),
}

const parties: readonly string[] = Object.values(accounts)
/** Any three of them may be listed. */
const attesters = attestersOf(7)
const budget = 1_000n
const setting = {
  ...{ budget, window: terms.window, challenge: terms.challenge, claimPeriod: 60, minBond: 10n },
  keys: [0, 1, 2],
}

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

const who = fc.nat(parties.length - 1)
const key = fc.nat(attesters.length - 1)
const money = fc.oneof(fc.bigInt(0n, 2n), fc.bigInt(1n, 3_000n), fc.bigInt(1n, 2_000_000_000n))
/** What is at stake; what is slashed of it leaves as pay, a budget at most in an epoch. */
const stake = fc.bigInt(0n, 3_000n)
const mirror = fc.integer({ min: 1, max: 4 })
/** Epochs are counted back from the one that ended last. */
const back = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.integer({ min: -1, max: 12 }) },
)
/** Parts of a whole, in percent; a little more than everything now and then. */
const part = fc.oneof(fc.constant(100), fc.integer({ min: 0, max: 104 }))
/** Who of three signs, mostly enough of them. */
const signing = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom([true, true, true], [true, true, false], [false, true, true]) },
  { weight: 1, arbitrary: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }) },
)
/** True once in so many times. */
const rarely = (times: number) => fc.nat(times - 1).map((n) => n === 0)

const does = <Name extends string, T>(name: Name, rest: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record({ do: fc.constant(name), ...rest } as unknown as {
    [K in keyof (T & { do: Name })]: fc.Arbitrary<(T & { do: Name })[K]>
  }) as fc.Arbitrary<T & { do: Name }>

/** One thing that somebody does, whether they may or not. */
const command = fc.oneof(
  { weight: 7, arbitrary: does('fund', { who, money, stale: rarely(10) }) },
  { weight: 2, arbitrary: does('activate', { who, whose: who }) },
  { weight: 2, arbitrary: does('takeBack', { who }) },
  { weight: 3, arbitrary: does('requestExit', { who, part }) },
  { weight: 4, arbitrary: does('exit', { who }) },
  {
    weight: 9,
    arbitrary: does('settle', {
      ...{ who, back, part, signing, over: rarely(12), wrongRound: rarely(10) },
      leaves: fc.oneof(
        { weight: 20, arbitrary: fc.integer({ min: 1, max: 5 }) },
        { weight: 1, arbitrary: fc.constant(131) },
      ),
      /** Which leaf's recipient cannot be paid. */
      unpayable: fc.nat(9),
    }),
  },
  { weight: 3, arbitrary: does('addSignatures', { who, back, signing }) },
  { weight: 3, arbitrary: does('veto', { who, asMaintainer: fc.boolean(), back }) },
  { weight: 2, arbitrary: does('strike', { who, back }) },
  {
    weight: 3,
    arbitrary: does('report', {
      ...{ who, back, outcomes: fc.boolean(), at: fc.nat(2), any: rarely(6), key },
      ...{ stale: rarely(10), forged: rarely(10), same: rarely(10) },
    }),
  },
  {
    weight: 4,
    arbitrary: does('bondAttester', { who, key, stake, forOther: rarely(8), by: rarely(2) }),
  },
  { weight: 3, arbitrary: does('withdrawAttester', { who, key, asOwner: fc.boolean() }) },
  { weight: 5, arbitrary: does('claim', { who, back: fc.nat(4), leaf: fc.nat(5) }) },
  { weight: 4, arbitrary: does('claimRange', { who, back: fc.nat(4), second: fc.boolean() }) },
  { weight: 3, arbitrary: does('sweep', { who, back }) },
  { weight: 1, arbitrary: does('donate', { who, money: fc.bigInt(1n, 3_000n) }) },
  { weight: 2, arbitrary: does('register', { who, nodeKey: fc.nat(2), bond: fc.bigInt(8n, 40n) }) },
  { weight: 2, arbitrary: does('addBond', { who, mirror, money }) },
  { weight: 1, arbitrary: does('beginUnbond', { who, mirror }) },
  { weight: 1, arbitrary: does('retire', { who, mirror }) },
  { weight: 1, arbitrary: does('rekey', { who, mirror, nodeKey: fc.nat(2) }) },
  { weight: 2, arbitrary: does('withdraw', { who, mirror }) },
  {
    weight: 2,
    arbitrary: does('changeRules', {
      ...{
        who,
        asMaintainer: fc.boolean(),
        ahead: fc.integer({ min: 2, max: 6 }),
        first: fc.nat(6),
        evenBanned: rarely(5),
      },
    }),
  },
  { weight: 1, arbitrary: does('endRules', { who, asMaintainer: fc.boolean() }) },
  { weight: 1, arbitrary: does('offer', { who, asMaintainer: fc.boolean(), to: who }) },
  { weight: 1, arbitrary: does('accept', { who, invited: fc.boolean() }) },
)
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never

/** A call, and how long passes before it. */
const step = fc.record({
  wait: fc.oneof(
    { weight: 5, arbitrary: fc.constant(undefined) },
    {
      weight: 3,
      arbitrary: fc.record({
        until: fc.constantFrom('end' as const, 'payable' as const, 'lapse' as const, 'blocks' as const),
        blocks: fc.integer({ min: 1, max: 70 }),
      }),
    },
  ),
  call: command,
})

/**
 * Arrays of steps, and not `fc.commands`: those have no least length, and their `check` is for leaving out what a state does not allow,
 * where here whatever is not allowed has to be tried.
 */
const sequence = fc.array(step, { minLength: 42, maxLength: 46, size: 'max' })

const tally = new Map<string, { calls: number; ok: number }>()

/** Throws unless it holds: a matcher for each of a hundred comparisons a step would take longer than the step. */
function must(holds: boolean, step: Command, what: string): asserts holds {
  if (!holds)
    throw new Error(`${what}: ${JSON.stringify(step, (_, v) => (typeof v === 'bigint' ? `${v}` : v))}`)
}

/** A row of a map of the pool, if there is one. */
function rowOf(map: string, key: ClarityValue): ClarityValue | undefined {
  try {
    const row = network.simnet.getMapEntry(contracts.pool, map, key)
    return row.type === ClarityType.OptionalSome ? row.value : undefined
  } catch (error) {
    if (error === 'value not found') return undefined
    throw error
  }
}

/** Numbers and truths of a row. */
function fieldsOf(row: ClarityValue | undefined): Readonly<Record<string, bigint | boolean>> | undefined {
  if (row?.type !== ClarityType.Tuple) return undefined
  return Object.fromEntries(
    Object.entries(row.value).flatMap(([name, value]): [string, bigint | boolean][] => {
      if (value.type === ClarityType.UInt) return [[name, BigInt(value.value)]]
      const truth = value.type === ClarityType.BoolTrue
      return truth || value.type === ClarityType.BoolFalse ? [[name, truth]] : []
    }),
  )
}

/** An app as it is and as it should be. */
class Play {
  readonly asset: Asset
  readonly app: App
  readonly should: model.Model
  readonly trees = new Map<string, Tree>()
  /** What the contracts and each party had before. */
  readonly held: { readonly pool: bigint; readonly registry: bigint }
  readonly had: readonly bigint[]
  readonly firstEntry = network.entries.length
  done = 0

  constructor(asset: Asset) {
    this.asset = asset
    this.app = network.openApp(
      {
        ...{ budget, fee: 0n, minBond: setting.minBond, domainBond: setting.minBond },
        ...{ claimPeriod: setting.claimPeriod, keys: setting.keys.map((at) => attesters[at]!.key) },
      },
      asset,
    )
    this.should = model.newModel({ ...this.app.schedule, ...setting }, 0)
    this.held = { pool: this.balance(contracts.pool), registry: this.balance(contracts.registry) }
    this.had = parties.map((party) => this.balance(party))
  }

  /** Everybody's money in the app's asset, by principal, as the chain's ledger has it. */
  ledger(): ReadonlyMap<string, bigint> {
    const assets = network.simnet.getAssetsMap()
    return assets.get(this.asset === 'sbtc' ? `.${sbtcToken}.${sbtcToken}` : 'STX') ?? new Map()
  }

  /** The same of one, asked for where it is kept. */
  balance(of: string): bigint {
    return this.asset === 'sbtc' ? network.sbtcBalance(of) : network.balance(of)
  }

  /** A transfer to the pool that none of its functions knows of. */
  donate(amount: bigint, from: string): void {
    if (this.asset === 'stx') {
      network.simnet.transferSTX(amount, contracts.pool, from)
      return
    }
    const args = [Cl.uint(amount), Cl.principal(from), Cl.principal(contracts.pool), Cl.none()]
    const { result } = network.simnet.callPublicFn(sbtc, 'transfer', args, from)
    expect(result.type).toBe(ClarityType.ResponseOk)
  }

  get now(): model.Now {
    return { burn: network.burnHeight, height: network.simnet.stacksBlockHeight + 1 }
  }

  /** The epoch that ended last, or one before it. */
  ended(back: number): number {
    return Math.max(0, model.runs(this.should.setting, network.burnHeight) - 1 - back)
  }

  treeOf(epoch: number): Tree | undefined {
    return this.trees.get(`${epoch} ${this.should.epochs.get(epoch)?.round ?? 0}`)
  }

  run(step: Command): void {
    const before = this.standing()
    if (step.do === 'donate') {
      this.donate(step.money, parties[step.who]!)
      this.should.donated += step.money
      this.should.gifts.set(step.who, (this.should.gifts.get(step.who) ?? 0n) + step.money)
      this.check(step, 'ok', before)
      return
    }
    const { expected, call, sender } = this.meet(step)
    const { outcome } = network.send(call, parties[sender]!)
    must(outcome === expected, step, `${outcome} in place of ${expected}`)
    this.done++
    const counted = tally.get(step.do) ?? { calls: 0, ok: 0 }
    tally.set(step.do, { calls: counted.calls + 1, ok: counted.ok + (outcome === 'ok' ? 1 : 0) })
    this.check(step, outcome, { ...before, sender })
  }

  /** What everybody has, to compare with later. */
  standing() {
    const { should } = this
    return {
      sender: -1,
      account: model.account(should),
      isQuiet: model.isQuiet(should, this.now),
      shares: new Map(should.shares),
      attesters: new Map(should.attesters),
      mirrors: should.mirrors.map(({ owner, withdrawn }) => ({ owner, withdrawn })),
    }
  }

  /** Signatures of the three that the rules of an epoch list, by position. */
  signaturesOf(epoch: number, hash: Uint8Array, signing: readonly boolean[]): (string | null)[] {
    const listed = model.listed(this.should, epoch)
    const keys = listed.length > 0 ? listed : setting.keys
    return keys.map((at, position) => (signing[position] ? signHash(hash, attesters[at]!.secret) : null))
  }

  /** What a step should end with, and the call that does it. */
  meet(step: Exclude<Command, { do: 'donate' }>): {
    readonly expected: string
    readonly call: calls.ContractCall
    readonly sender: number
  } {
    const { app, asset, should, now } = this
    const id = app.id
    const as = (expected: string, call: calls.ContractCall, sender: number) => ({ expected, call, sender })
    const speaker = (s: { readonly who: number; readonly asMaintainer: boolean }) =>
      s.asMaintainer ? should.maintainer : s.who
    switch (step.do) {
      case 'fund': {
        const version = should.rows.length + (step.stale ? 1 : 0)
        const deposit = { amount: step.money, version, least: step.money }
        const { amount, least: minShares } = deposit
        return as(
          model.fund(should, now, step.who, deposit),
          calls.fund(contracts, parties[step.who]!, {
            app: id,
            asset,
            amount,
            rulesVersion: version,
            minShares,
          }),
          step.who,
        )
      }
      case 'activate': {
        const call = calls.activate(contracts, { app: id, funder: parties[step.whose]! })
        return as(model.activate(should, now, step.whose), call, step.who)
      }
      case 'takeBack': {
        const amount = should.waiting.get(step.who)?.amount ?? 1n
        const call = calls.takeBack(contracts, { app: id, asset, amount })
        return as(model.takeBack(should, step.who), call, step.who)
      }
      case 'requestExit': {
        const shares = ((should.shares.get(step.who) ?? 0n) * BigInt(step.part) + 99n) / 100n
        const call = calls.requestExit(contracts, { app: id, shares })
        return as(model.requestExit(should, now, step.who, shares), call, step.who)
      }
      case 'exit':
        return as(
          model.exit(should, now, step.who),
          calls.exit(contracts, { app: id, asset, least: 0n }),
          step.who,
        )
      case 'settle': {
        const epoch = this.ended(step.back)
        const before = should.epochs.get(epoch)
        const round = (before ? before.round + (before.live ? 0 : 1) : 0) + (step.wrongRound ? 1 : 0)
        const free = should.owned + should.common
        const most = step.over ? free + 1n : free < budget ? free : budget
        const allocated = (most * BigInt(step.part)) / 100n
        const share = allocated / BigInt(step.leaves)
        const dues = Array.from({ length: step.leaves }, (_, at) => ({
          amount: at === 0 ? allocated - share * BigInt(step.leaves - 1) : share,
          whose: at === step.unpayable ? undefined : (epoch + at) % parties.length,
        })).filter(({ amount }) => amount > 0n)
        const tree = treeOf(
          dues.map(({ amount, whose }) => [whose === undefined ? foreigner : parties[whose]!, amount]),
        )
        const message = network.messageOf(app, epoch, tree, round)
        const signatures = this.signaturesOf(epoch, settlementHash(message, chainId), step.signing)
        const expected = model.settle(should, now, epoch, round, dues, step.signing)
        if (expected === 'ok') this.trees.set(`${epoch} ${round}`, tree)
        return as(expected, calls.settle(contracts, message, signatures), step.who)
      }
      case 'addSignatures': {
        const epoch = this.ended(step.back)
        const tree = this.treeOf(epoch) ?? treeOf([])
        const message = network.messageOf(app, epoch, tree, should.epochs.get(epoch)?.round ?? 0)
        const signatures = this.signaturesOf(epoch, settlementHash(message, chainId), step.signing)
        const call = calls.addSignatures(contracts, { app: id, epoch }, signatures)
        return as(model.addSignatures(should, now, epoch, step.signing), call, step.who)
      }
      case 'veto': {
        const epoch = this.ended(step.back)
        const call = calls.veto(contracts, { app: id, epoch })
        return as(model.veto(should, now, speaker(step), epoch), call, speaker(step))
      }
      case 'strike': {
        const epoch = this.ended(step.back)
        return as(model.strike(should, now, epoch), calls.strike(contracts, { app: id, epoch }), step.who)
      }
      case 'report':
        return this.report(step)
      case 'bondAttester': {
        const at = step.by ? (model.listed(should, this.ended(-1))[0] ?? step.key) : step.key
        const signedFor = step.forOther ? (step.who + 1) % parties.length : step.who
        const { key, secret } = attesters[at]!
        const hash = calls.attesterBondHash(contracts, { app: id, owner: parties[signedFor]! }, chainId)
        const bond = { app: id, asset, key, amount: step.stake, signature: signHash(hash, secret) }
        return as(
          model.bondAttester(should, step.who, at, step.stake, signedFor),
          calls.bondAttester(contracts, parties[step.who]!, bond),
          step.who,
        )
      }
      case 'withdrawAttester': {
        const held = should.attesters.get(step.key)
        const sender = step.asOwner ? (held?.owner ?? step.who) : step.who
        const bond = { app: id, asset, key: attesters[step.key]!.key, amount: held?.amount ?? 1n }
        return as(
          model.withdrawAttester(should, now, sender, step.key),
          calls.withdrawAttester(contracts, bond),
          sender,
        )
      }
      case 'claim': {
        const epoch = this.ended(step.back)
        const { tree, at } = this.payable(epoch, step.leaf)
        const leaf = tree.leaves[at]!
        const call = calls.claim(contracts, { app: id, asset, epoch, leaf, proof: tree.proof(at) })
        return as(model.claim(should, now, epoch, at), call, step.who)
      }
      case 'claimRange': {
        const epoch = this.ended(step.back)
        const { tree } = this.payable(epoch, 0)
        const start = step.second && tree.leaves.length > 128 ? 128 : 0
        const call = calls.claimRange(contracts, { app: id, asset, epoch, leaves: tree.leaves, start })
        return as(model.claimRange(should, now, epoch, start), call, step.who)
      }
      case 'sweep': {
        const epoch = this.ended(step.back)
        const call = calls.sweep(contracts, { app: id, epoch })
        return as(model.sweep(should, now, epoch), call, step.who)
      }
      case 'register': {
        const bonded = {
          app: id,
          asset,
          nodeKey: `0${step.nodeKey}`.repeat(32),
          endpoint: 'https://m.example',
        }
        const call = calls.registerMirror(contracts, parties[step.who]!, { ...bonded, bond: step.bond })
        return as(model.register(should, now, step.who, step.nodeKey, step.bond), call, step.who)
      }
      case 'addBond': {
        const added = { app: id, asset, mirror: step.mirror, amount: step.money }
        const call = calls.addBond(contracts, parties[step.who]!, added)
        return as(model.addBond(should, now, step.who, step.mirror, step.money), call, step.who)
      }
      case 'beginUnbond': {
        const call = calls.beginUnbond(contracts, { app: id, mirror: step.mirror })
        return as(model.beginUnbond(should, now, step.who, step.mirror), call, step.who)
      }
      case 'retire': {
        const call = calls.retire(contracts, { app: id, mirror: step.mirror })
        return as(model.retire(should, now, step.who, step.mirror), call, step.who)
      }
      case 'rekey': {
        const nodeKey = `0${step.nodeKey}`.repeat(32)
        const call = calls.replaceNodeKey(contracts, { app: id, mirror: step.mirror, nodeKey })
        return as(model.rekey(should, step.who, step.mirror, step.nodeKey), call, step.who)
      }
      case 'withdraw': {
        const bond = should.mirrors[step.mirror - 1]?.bond ?? 0n
        const call = calls.withdraw(contracts, { app: id, asset, mirror: step.mirror, bond })
        return as(model.withdraw(should, now, step.who, step.mirror), call, step.who)
      }
      case 'changeRules': {
        const from = Math.max(0, model.runs(should.setting, now.burn) + 1) + step.ahead
        const keys = this.threeFrom(step.first, step.evenBanned)
        const listed = keys.map((at) => attesters[at]!.key)
        const call = calls.changeRules(contracts, { app: id, from, terms: { ...app.terms, keys: listed } })
        return as(model.changeRules(should, now, speaker(step), from, keys), call, speaker(step))
      }
      case 'endRules':
        return as(model.endRules(should, now, speaker(step)), calls.endRules(contracts, id), speaker(step))
      case 'offer': {
        const call = calls.offerMaintainer(contracts, { app: id, to: parties[step.to]! })
        return as(model.offer(should, speaker(step), step.to), call, speaker(step))
      }
      case 'accept': {
        const heir = step.invited ? (should.offered ?? step.who) : step.who
        return as(model.accept(should, heir), calls.acceptMaintainer(contracts, id), heir)
      }
    }
  }

  /** Two signatures of one key that contradict each other, or do not. */
  report(step: Extract<Command, { do: 'report' }>): ReturnType<Play['meet']> {
    const { app, should, now } = this
    const epoch = this.ended(step.back)
    const version = step.stale ? should.rows.length + 1 : Math.max(1, model.versionOf(should, epoch))
    const listed = model.listed(should, epoch)
    const chosen = step.any ? step.key : (listed[step.at] ?? step.key)
    // Three must be left whom rules can list.
    const key = should.banned.size > 3 ? [...should.banned][0]! : chosen
    const { secret } = attesters[step.forged ? (key + 1) % attesters.length : key]!
    const roots = ['01', step.same ? '01' : '02'].map((byte) => byte.repeat(32))
    const accused = { app: app.id, asset: this.asset, epoch, version, key: attesters[key]!.key }
    const bond = should.attesters.get(key)?.amount ?? 0n
    const call = step.outcomes
      ? calls.reportSettlements(
          contracts,
          { ...accused, round: 0, inputs: '33'.repeat(32) },
          pairOf(roots, (root) => {
            const said = { root, allocated: 5n, count: 1 }
            const hash = settlementHash(network.messageOf(app, epoch, said), chainId)
            return { ...said, signature: signHash(hash, secret) }
          }),
          bond,
        )
      : calls.reportCommitments(
          contracts,
          accused,
          pairOf(roots, (root) => {
            const said = { pool: contracts.pool, app: app.id, epoch, root, count: 1 }
            return { root, count: 1, signature: signHash(commitmentHash(said, chainId), secret) }
          }),
          bond,
        )
    const wrong = step.same ? 'ERR_SAME' : step.forged ? 'ERR_SIGNATURES' : undefined
    return {
      expected: wrong ?? model.report(should, now, step.who, epoch, version, key),
      call,
      sender: step.who,
    }
  }

  /** The tree of an epoch and a leaf of it; of an epoch that pays nothing, one that is made up. */
  payable(epoch: number, leaf: number): { readonly tree: Tree; readonly at: number } {
    const tree = this.treeOf(epoch)
    if (!tree || tree.leaves.length === 0) return { tree: treeOf([[parties[0]!, 1n]]), at: 0 }
    return { tree, at: leaf % tree.leaves.length }
  }

  /** Three attesters, not banned unless told otherwise, in the order of their keys. */
  threeFrom(first: number, evenBanned: boolean): number[] {
    const fit = attesters.map((_, at) => at).filter((at) => evenBanned || !this.should.banned.has(at))
    return [0, 1, 2].map((i) => fit[(first + i) % fit.length]!).sort((a, b) => a - b)
  }

  wait({
    until,
    blocks,
  }: {
    readonly until: 'end' | 'payable' | 'lapse' | 'blocks'
    readonly blocks: number
  }): void {
    const { setting: s } = this.should
    const epoch = Math.max(0, model.runs(s, network.burnHeight))
    const end = this.app.end(epoch)
    const target = {
      end,
      payable: network.burnHeight + s.challenge,
      lapse: epoch === 0 ? end + s.window : this.app.end(epoch - 1) + s.window,
      blocks: network.burnHeight + blocks,
    }[until]
    if (target > network.burnHeight) network.mineTo(target)
  }

  /** What must hold whatever happened; the numbers are those of docs/decisions/0009. */
  check(step: Command, outcome: string, before: ReturnType<Play['standing']>): void {
    const { should, asset } = this
    const account = model.account(should)
    const { free, parked, owed, deposited, paid, refunded, bonded, slashed } = account
    // A look into the map and not a call: a call loads the contract, which takes as long as the step itself did.
    const id = Cl.bufferFromHex(this.app.id)
    const row = fieldsOf(rowOf('pools', id))
    if (row) for (const [name, amount] of Object.entries(account)) must(row[name] === amount, step, name)
    else
      must(
        Object.values(account).every((amount) => amount === 0n),
        step,
        'no pool',
      )
    must(!row || row['sbtc'] === (asset === 'sbtc') || deposited === 0n, step, 'asset')
    // 1: the contracts hold what they say, to the unit, and what was donated besides.
    const ledger = this.ledger()
    const pool = (ledger.get(contracts.pool) ?? 0n) - this.held.pool
    must(pool === free! + parked! + owed! + bonded! + should.donated, step, 'pool')
    const registry = (ledger.get(contracts.registry) ?? 0n) - this.held.registry
    must(registry === model.bonds(should), step, 'registry')
    must(deposited! + slashed! === free! + parked! + owed! + paid! + refunded!, step, 'money')
    // 2: paid <= allocated <= min(budget, cap), 7: and nothing of what is void.
    for (const settled of should.epochs.values()) {
      const allocated = model.amountOf(settled)
      must(model.paidOf(settled) <= allocated && allocated <= budget, step, 'allocated')
      must(settled.live || settled.paid.size === 0, step, 'void')
    }
    // 3: one live settlement an epoch, in its window.
    if (step.do === 'settle' && outcome === 'ok') {
      const epoch = this.ended(step.back)
      const settled = should.epochs.get(epoch)!
      const kept = fieldsOf(rowOf('settlements', Cl.tuple({ app: id, epoch: Cl.uint(epoch) })))!
      must(kept['live'] === true, step, 'live')
      must(kept['round'] === BigInt(settled.round), step, 'round')
      must(kept['allocated'] === model.amountOf(settled), step, 'settled')
      const since = settled.at.burn - this.app.end(epoch)
      must(since >= 0 && since < setting.window, step, 'window')
    }
    // 4: free money falls by settlements, and by exits where all is quiet.
    const freeBefore = before.account['free']!
    must(free! >= freeBefore || step.do === 'settle' || step.do === 'exit', step, 'free')
    must(free! >= freeBefore || step.do === 'settle' || before.isQuiet, step, 'quiet')
    // 5: nobody has more than they put in, were paid and were rewarded, but what the rounding of others' deposits and exits can leave.
    for (const party of parties.keys()) {
      const put = should.gave.get(party) ?? 0n
      must((should.took.get(party) ?? 0n) <= put + BigInt(this.done), step, 'took')
      must((should.unbonded.get(party) ?? 0n) <= (should.bonded.get(party) ?? 0n), step, 'unbonded')
    }
    // 6: shares and bonds fall by their owner's call, by a conviction, or with the generation, when a million are worth less than a unit.
    const over = should.generation > Number(before.account['generation'])
    for (const [party, held] of before.shares) {
      const fell = (should.shares.get(party) ?? 0n) < held
      must(!fell || over || (step.do === 'exit' && before.sender === party), step, 'shares')
    }
    const spent = (freeBefore - before.account['common']!) * 1_000_000n < before.account['shares']!
    must(!over || spent, step, 'generation')
    for (const [key, held] of before.attesters)
      if ((should.attesters.get(key)?.amount ?? 0n) < held.amount && step.do !== 'report')
        must(step.do === 'withdrawAttester' && before.sender === held.owner, step, 'attester')
    for (const [at, { owner, withdrawn }] of before.mirrors.entries())
      if (!withdrawn && should.mirrors[at]!.withdrawn)
        must(step.do === 'withdraw' && before.sender === owner, step, 'mirror')
    // 8
    must(refunded! + paid! <= deposited! + slashed!, step, 'refunds')
  }

  get projected(): ChainApp {
    return projectChain(verifyLog(network.entries.slice(this.firstEntry))).apps.get(this.app.id)!
  }

  /** The same state, folded from the log alone. */
  compareLog(): void {
    const { should, projected } = this
    const { generation, ...account } = projected.pool
    expect({ ...account, generation: BigInt(generation) }).toEqual(model.account(should))
    expect(projected.maintainer).toBe(parties[should.maintainer])
    const named = <T>(map: ReadonlyMap<number, T>) =>
      new Map([...map].map(([at, value]) => [parties[at]!, value]))
    const held = (map: ReadonlyMap<string, bigint>) =>
      new Map([...map].filter(([, amount]) => amount > 0n).sort())
    expect(held(projected.shares)).toEqual(held(named(should.shares)))
    const waits = [...named(should.waiting)].map(([party, { amount, version, least }]) => [
      party,
      { amount, version, minShares: least },
    ])
    expect(new Map([...projected.parked].sort())).toEqual(new Map(waits.sort() as [string, never][]))
    expect(new Set(projected.banned)).toEqual(new Set([...should.banned].map((at) => attesters[at]!.key)))
    for (const [at, { key }] of attesters.entries()) {
      const bond = should.attesters.get(at)
      expect(projected.attesters.get(key)).toEqual(bond && { ...bond, owner: parties[bond.owner] })
    }
    const live = [...should.epochs].filter(([, settled]) => settled.live)
    expect([...projected.settlements.keys()].sort()).toEqual(live.map(([epoch]) => epoch).sort())
    for (const [epoch, settled] of live) {
      const { paid, allocated, claims, swept, signers, round } = projected.settlements.get(epoch)!
      expect({ paid, allocated, swept, round }).toEqual({
        ...{ paid: model.paidOf(settled), allocated: model.amountOf(settled) },
        ...{ swept: settled.swept, round: settled.round },
      })
      expect(new Set(claims.keys())).toEqual(settled.paid)
      expect(settled.keys.filter((_, at) => signers[at])).toEqual(
        settled.keys.filter((key) => settled.signers.has(key)),
      )
    }
    const nextEpoch = model.runs(should.setting, network.burnHeight) + 1
    for (let epoch = 0; epoch < nextEpoch + 8; epoch++)
      expect(rulesAt(projected, epoch)?.version ?? 0).toBe(model.versionOf(should, epoch))
    for (const [at, mirror] of should.mirrors.entries()) {
      const chain = projected.mirrors.get(at + 1)!
      expect({ bond: chain.bond, retired: chain.retired, withdrawn: chain.withdrawn }).toEqual({
        ...{ bond: mirror.bond, retired: mirror.retired, withdrawn: mirror.withdrawn },
      })
    }
  }

  /** What the contracts say when they are asked; slower, so not after every sequence. */
  compareMaps(): void {
    const { should } = this
    const id = Cl.bufferFromHex(this.app.id)
    expect(network.poolOf(this.app)).toMatchObject(model.account(should))
    const nextEpoch = model.runs(should.setting, network.burnHeight) + 1
    for (const [at, party] of parties.entries())
      expect(network.read(contracts.pool, 'get-shares', [id, Cl.principal(party)])).toEqual(
        Cl.uint(should.shares.get(at) ?? 0n),
      )
    for (let epoch = 0; epoch < nextEpoch + 8; epoch++) {
      const version = model.versionOf(should, epoch)
      const row = network.read(contracts.quorum, 'rules-by', [id, Cl.uint(epoch), Cl.uint(version)])
      expect(row.type === ClarityType.OptionalSome).toBe(version > 0)
    }
    for (const [at, mirror] of should.mirrors.entries()) {
      const by = [id, Cl.uint(at + 1), Cl.uint(nextEpoch), Cl.uint(0)]
      const newest = network.read(contracts.registry, 'bond-at', by)
      expect(cvToString(newest)).toBe(`(some u${model.bondIn(mirror, nextEpoch)})`)
    }
    for (const [at, { key }] of attesters.entries()) {
      const bond = network.read(contracts.pool, 'get-attester', [id, Cl.bufferFromHex(key)])
      const held = should.attesters.get(at)
      expect(cvToString(bond)).toBe(
        held ? `(some (tuple (amount u${held.amount}) (owner ${parties[held.owner]})))` : 'none',
      )
    }
    for (const [epoch, settled] of should.epochs) {
      const row = network.read(contracts.pool, 'get-settlement', [id, Cl.uint(epoch)])
      expect(row.type === ClarityType.OptionalSome).toBe(settled.live)
      if (settled.live) expect(cvToString(row)).toContain(`(paid u${model.paidOf(settled)})`)
    }
  }

  /** 9: leads everything out again: whatever happened, no money is stuck. */
  empty(): void {
    const { should } = this
    const everyone = [...parties.keys()]
    for (const party of everyone) if (should.waiting.has(party)) this.run({ do: 'takeBack', who: party })
    for (const [at, { owner, retired, withdrawn }] of should.mirrors.entries())
      if (!retired && !withdrawn) this.run({ do: 'retire', who: owner, mirror: at + 1 })
    for (const party of everyone)
      if ((should.shares.get(party) ?? 0n) > 0n) this.run({ do: 'requestExit', who: party, part: 100 })
    this.claimAll()
    // Two epochs on, in a block in which an epoch lapsed: quiet.
    const epoch = Math.max(0, model.runs(should.setting, network.burnHeight))
    network.mineTo(this.app.end(epoch + 1) + setting.window)
    for (const party of everyone)
      if ((should.shares.get(party) ?? 0n) > 0n) this.run({ do: 'exit', who: party })
    const ready = Math.max(0, ...should.mirrors.map((bonded) => bonded.ready ?? 0))
    if (ready > network.burnHeight) network.mineTo(ready)
    for (const [at, { owner, withdrawn }] of should.mirrors.entries())
      if (!withdrawn) this.run({ do: 'withdraw', who: owner, mirror: at + 1 })
    expect(should.owned).toBe(0n)
    this.unlist()
    for (const [key, { owner }] of should.attesters)
      this.run({ do: 'withdrawAttester', who: owner, key, asOwner: true })
    // What nobody's share stands for leaves as pay.
    for (let rest = 0; should.common > 0n; rest++) {
      expect(rest).toBeLessThan(200)
      network.mineTo(this.app.end(model.runs(should.setting, network.burnHeight)))
      const settle = { do: 'settle', who: 0, back: 0, part: 100, over: false, wrongRound: false } as const
      this.run({ ...settle, signing: [true, true, true], leaves: 2, unpayable: 9 })
      network.mineTo(network.burnHeight + setting.challenge)
      this.claimAll()
    }
    expect(this.balance(contracts.pool)).toBe(this.held.pool + should.donated)
    expect(this.balance(contracts.registry)).toBe(this.held.registry)
    for (const [at, party] of parties.entries()) {
      const of = (map: ReadonlyMap<number, bigint>) => map.get(at) ?? 0n
      const got = of(should.took) + of(should.earned) + of(should.unbonded) + of(should.rewarded)
      const put = of(should.gave) + of(should.bonded) + of(should.gifts)
      expect(this.balance(party) - this.had[at]!).toBe(got - put)
    }
  }

  /** Puts rules in force that list nobody who is banned or bonded, so that every bond comes free and epochs can settle. */
  unlist(): void {
    const { should, app } = this
    const maintainer = should.maintainer
    const now = () => Math.max(0, model.runs(should.setting, network.burnHeight))
    const newest = () => should.rows.at(-1)!
    const allow = (expected: string, call: calls.ContractCall) =>
      expect([expected, network.send(call, parties[maintainer]!).outcome]).toEqual(['ok', 'ok'])
    const final = setting.window + setting.challenge
    const release = (keys: readonly number[]) => {
      for (const [key, { owner }] of should.attesters)
        if (!keys.includes(key)) this.run({ do: 'withdrawAttester', who: owner, key, asOwner: true })
    }
    if (newest().from > now()) network.mineTo(app.end(newest().from - 1))
    const unbanned = attesters.map((_, at) => at).filter((at) => !should.banned.has(at))
    const fit = unbanned.filter((at) => !should.attesters.has(at))
    if (fit.length < 3) {
      // Too many are bonded for rules without them. Rules that are over list nobody.
      if (newest().until === undefined)
        allow(model.endRules(should, this.now, maintainer), calls.endRules(contracts, app.id))
      network.mineTo(Math.max(network.burnHeight, app.end(newest().until! - 1) + final))
      release([])
    }
    const keys = (fit.length < 3 ? unbanned : fit).slice(0, 3)
    const from = now() + 1 + Math.max(3, (newest().until ?? 0) - now() - 1)
    const terms = { ...app.terms, keys: keys.map((at) => attesters[at]!.key) }
    const expected = model.changeRules(should, this.now, maintainer, from, keys)
    allow(expected, calls.changeRules(contracts, { app: app.id, from, terms }))
    network.mineTo(app.end(from) + final)
    release(keys)
  }

  /** Claims all that can be claimed, and has the rest returned. */
  claimAll(): void {
    const open = [...this.should.epochs].filter(([, { live, swept }]) => live && !swept)
    const payable = open.map(([, settled]) => model.payableAt(this.should, settled).burn)
    const latest = Math.max(network.burnHeight, ...payable)
    if (latest > network.burnHeight) network.mineTo(latest)
    const last = () => this.ended(0)
    for (const [epoch, { dues, paid }] of open)
      for (const start of [0, 128])
        if (
          dues.some(
            ({ whose }, at) => at >= start && at < start + 128 && whose !== undefined && !paid.has(at),
          )
        )
          this.run({ do: 'claimRange', who: 0, back: last() - epoch, second: start > 0 })
    const unpaid = open.filter(([, settled]) => model.paidOf(settled) < model.amountOf(settled))
    if (unpaid.length === 0) return
    network.mineTo(Math.max(network.burnHeight, latest + setting.claimPeriod))
    for (const [epoch] of unpaid) this.run({ do: 'sweep', who: 0, back: last() - epoch })
  }
}

/** Two of something that differ by their root. */
function pairOf<T>(roots: readonly string[], say: (root: string) => T): readonly [T, T] {
  return [say(roots[0]!), say(roots[1]!)]
}

describe('any sequence of calls by anyone', () => {
  it('ends as the model says, keeps every invariant, and can be driven to empty', {
    timeout: Math.max(240_000, runs * 60_000),
  }, async () => {
    let sequences = 0
    let called = 0
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('stx', 'sbtc'), sequence, async (asset, steps) => {
        // The process that waits for this one hears from it now and then.
        await new Promise(setImmediate)
        // Prints of finished sequences are of no more use.
        network.entries.length = 0
        const play = new Play(asset)
        for (const { wait, call } of steps) {
          if (wait) play.wait(wait)
          play.run(call)
        }
        play.compareLog()
        if (sequences % 4 === 0) play.compareMaps()
        play.empty()
        play.compareLog()
        sequences++
        called += play.done
      }),
      {
        ...{ numRuns: runs, endOnFailure: process.env['FUZZ_SHRINK'] === undefined, ...replay },
        ...(minutes > 0 ? { interruptAfterTimeLimit: minutes * 60_000 } : {}),
      },
    )
    if (process.env['FUZZ_RUNS'] !== undefined)
      process.stdout.write(
        `${JSON.stringify({ fuzz: 'contracts', sequences, calls: called, parties: parties.length, reached: Object.fromEntries([...tally].sort()) })}\n`,
      )
    expect(parties.length).toBeGreaterThanOrEqual(8)
  })
})
