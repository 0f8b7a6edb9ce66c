import { Cl, ClarityType, cvToString } from '@stacks/transactions'
import * as calls from '@understudy/chain/calls'
import { verifyLog } from '@understudy/chain/log'
import { projectChain, rulesAt } from '@understudy/chain/state'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import * as model from './model.ts'
import {
  type App,
  accounts,
  contracts,
  type Network,
  openNetwork,
  signaturesOf,
  type Tree,
  terms,
  treeOf,
} from './network.ts'

/**
 * How many sequences: a slice by default; the nightly run sets FUZZ_RUNS=5000. FUZZ_SEED (and FUZZ_PATH) replay a failure, which is
 * printed as it is, or with FUZZ_SHRINK=1 as small as it gets.
 */
const runs = Number(process.env['FUZZ_RUNS'] ?? 20)
const replay = {
  ...(process.env['FUZZ_SEED'] ? { seed: Number(process.env['FUZZ_SEED']) } : {}),
  ...(process.env['FUZZ_PATH'] ? { path: process.env['FUZZ_PATH'] } : {}),
}

const parties: readonly string[] = Object.values(accounts)
const budget = 1_000n
const setting = {
  budget,
  window: terms.window,
  challenge: terms.challenge,
  claimPeriod: 60,
  minBond: 10n,
}

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

const who = fc.nat(parties.length - 1)
const money = fc.oneof(fc.bigInt(0n, 2n), fc.bigInt(1n, 3_000n), fc.bigInt(1n, 2_000_000_000n))
const mirror = fc.integer({ min: 1, max: 4 })
const back = fc.integer({ min: -1, max: 12 })
/** Parts of a whole, in percent; a little more than everything now and then. */
const part = fc.oneof(fc.constant(100), fc.integer({ min: 0, max: 104 }))

/** One thing that somebody does. Ids are small, epochs are counted back from the one that ended last. */
const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('fund' as const), who, money, stale: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('activate' as const), who, whose: who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('takeBack' as const), who }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('requestExit' as const), who, part }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('exit' as const), who }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      back: fc.oneof(fc.constant(0), back),
      part,
      over: fc.nat(12),
      wrongRound: fc.nat(9),
      signatures: fc.oneof(fc.constant(2), fc.integer({ min: 1, max: 3 })),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('veto' as const),
      who,
      asMaintainer: fc.boolean(),
      back: fc.oneof(fc.constant(0), back),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('claim' as const), who, back: fc.nat(4), leaf: fc.nat(1) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('sweep' as const), who, back }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('register' as const),
      who,
      key: fc.nat(2),
      bond: fc.bigInt(8n, 40n),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('addBond' as const), who, mirror, money }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('beginUnbond' as const), who, mirror }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('retire' as const), who, mirror }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rekey' as const), who, mirror, key: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('withdraw' as const), who, mirror }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('changeRules' as const),
      who,
      asMaintainer: fc.boolean(),
      ahead: fc.integer({ min: 2, max: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('endRules' as const), who, asMaintainer: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('offer' as const), who, asMaintainer: fc.boolean(), to: who }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('accept' as const), who, invited: fc.boolean() }) },
  {
    weight: 16,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      until: fc.constantFrom('end', 'payable', 'lapse', 'blocks'),
      blocks: fc.integer({ min: 1, max: 70 }),
    }),
  },
)
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never

/** An app as it is and as it should be. */
class Play {
  readonly app: App
  readonly should: model.Model
  readonly trees = new Map<string, Tree>()
  readonly held = { pool: network.balance(contracts.pool), registry: network.balance(contracts.registry) }
  /** What each party had before. */
  readonly had = parties.map((party) => network.balance(party))
  done = 0
  ok = 0

  constructor() {
    this.app = network.openApp({
      ...{ budget, fee: 0n, minBond: setting.minBond, domainBond: setting.minBond },
      claimPeriod: setting.claimPeriod,
    })
    this.should = model.newModel({ ...this.app.schedule, ...setting }, 0)
  }

  get now(): model.Now {
    return { burn: network.burnHeight, height: network.simnet.stacksBlockHeight + 1 }
  }

  /** The epoch that ended last, or one before it. */
  ended(back: number): number {
    return Math.max(0, model.runs(this.should.setting, network.burnHeight) - 1 - back)
  }

  treeOf(epoch: number, round: number): Tree | undefined {
    return this.trees.get(`${epoch} ${round}`)
  }

  run(step: Command): void {
    if (step.do === 'wait') {
      this.wait(step.until, step.blocks)
      return
    }
    const before = { ...model.account(this.should) }
    const { expected, call, sender } = this.meet(step)
    const outcome = network.send(call, sender).outcome
    expect({ step, outcome }).toEqual({ step, outcome: expected })
    this.done++
    if (outcome === 'ok') this.ok++
    this.check(step, before)
  }

  /** What a step should end with, and the call that does it. */
  meet(step: Exclude<Command, { do: 'wait' }>): {
    readonly expected: string
    readonly call: calls.ContractCall
    readonly sender: string
  } {
    const { app, should, now } = this
    const id = app.id
    const as = (expected: string, call: calls.ContractCall, sender: number) => ({
      ...{ expected, call },
      sender: parties[sender]!,
    })
    const speaker = (s: { readonly who: number; readonly asMaintainer: boolean }) =>
      s.asMaintainer ? should.maintainer : s.who
    switch (step.do) {
      case 'fund': {
        const version = should.rows.length + (step.stale === 0 ? 1 : 0)
        const deposit = { amount: step.money, version, least: step.money }
        const { amount, least: minShares } = deposit
        return as(
          model.fund(should, now, step.who, deposit),
          calls.fund(contracts, parties[step.who]!, { app: id, amount, rulesVersion: version, minShares }),
          step.who,
        )
      }
      case 'activate': {
        const call = calls.activate(contracts, { app: id, funder: parties[step.whose]! })
        return as(model.activate(should, now, step.whose), call, step.who)
      }
      case 'takeBack': {
        const amount = should.waiting.get(step.who)?.amount ?? 1n
        const call = calls.takeBack(contracts, { app: id, amount })
        return as(model.takeBack(should, step.who), call, step.who)
      }
      case 'requestExit': {
        const shares = ((should.shares.get(step.who) ?? 0n) * BigInt(step.part) + 99n) / 100n
        const call = calls.requestExit(contracts, { app: id, shares })
        return as(model.requestExit(should, now, step.who, shares), call, step.who)
      }
      case 'exit':
        return as(model.exit(should, now, step.who), calls.exit(contracts, { app: id, least: 0n }), step.who)
      case 'settle': {
        const epoch = this.ended(step.back)
        const before = should.epochs.get(epoch)
        const round = (before ? before.round + (before.live ? 0 : 1) : 0) + (step.wrongRound === 0 ? 1 : 0)
        const free = should.owned + should.common
        const most = step.over === 0 ? free + 1n : free < budget ? free : budget
        const allocated = (most * BigInt(step.part)) / 100n
        const amounts = allocated < 2n ? [allocated] : [allocated / 3n, allocated - allocated / 3n]
        const positive = amounts.filter((amount) => amount > 0n)
        const tree = treeOf(positive.map((amount, at) => [parties[(epoch + at) % parties.length]!, amount]))
        const message = network.messageOf(app, epoch, tree, round)
        const signing = [true, step.signatures > 1, step.signatures > 2]
        const expected = model.settle(should, now, epoch, round, positive, step.signatures)
        if (expected === 'ok') this.trees.set(`${epoch} ${round}`, tree)
        return as(expected, calls.settle(contracts, message, signaturesOf(message, signing)), 0)
      }
      case 'veto': {
        const epoch = this.ended(step.back)
        const call = calls.veto(contracts, { app: id, epoch })
        return as(model.veto(should, now, speaker(step), epoch), call, speaker(step))
      }
      case 'claim': {
        const epoch = this.ended(step.back)
        const round = should.epochs.get(epoch)?.round ?? 0
        const tree = this.treeOf(epoch, round)
        const paying = tree && tree.leaves.length > 0 ? tree : treeOf([[parties[0]!, 1n]])
        const at = step.leaf % paying.leaves.length
        const leaf = paying.leaves[at]!
        const call = calls.claim(contracts, { app: id, epoch, leaf, proof: paying.proof(at) })
        return as(model.claim(should, now, epoch, at, parties.indexOf(leaf.recipient)), call, step.who)
      }
      case 'sweep': {
        const epoch = this.ended(step.back)
        const call = calls.sweep(contracts, { app: id, epoch })
        return as(model.sweep(should, now, epoch), call, step.who)
      }
      case 'register': {
        const bonded = { app: id, nodeKey: `0${step.key}`.repeat(32), endpoint: 'https://m.example' }
        const call = calls.registerMirror(contracts, parties[step.who]!, { ...bonded, bond: step.bond })
        return as(model.register(should, now, step.who, step.key, step.bond), call, step.who)
      }
      case 'addBond': {
        const added = { app: id, mirror: step.mirror, amount: step.money }
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
        const nodeKey = `0${step.key}`.repeat(32)
        const call = calls.replaceNodeKey(contracts, { app: id, mirror: step.mirror, nodeKey })
        return as(model.rekey(should, step.who, step.mirror, step.key), call, step.who)
      }
      case 'withdraw': {
        const bond = should.mirrors[step.mirror - 1]?.bond ?? 0n
        const call = calls.withdraw(contracts, { app: id, mirror: step.mirror, bond })
        return as(model.withdraw(should, now, step.who, step.mirror), call, step.who)
      }
      case 'changeRules': {
        const from = Math.max(0, model.runs(should.setting, now.burn) + 1) + step.ahead
        const call = calls.changeRules(contracts, { app: id, from, terms: app.terms })
        return as(model.changeRules(should, now, speaker(step), from), call, speaker(step))
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

  wait(until: string, blocks: number): void {
    const { setting: s } = this.should
    const epoch = Math.max(0, model.runs(s, network.burnHeight))
    const end = this.app.end(epoch)
    const target = {
      end,
      payable: network.burnHeight + s.challenge,
      lapse: epoch === 0 ? end + s.window : this.app.end(epoch - 1) + s.window,
      blocks: network.burnHeight + blocks,
    }[until]!
    if (target > network.burnHeight) network.mineTo(target)
  }

  /** What must hold whatever happened. `before`: the account before this step. */
  check(step: Command, before: Record<string, bigint>): void {
    const { should } = this
    const account = model.account(should)
    const { free, parked, owed, deposited, paid, refunded } = account as Record<string, bigint>
    expect(network.poolOf(this.app)).toMatchObject(account)
    // The contracts hold what they say, to the µSTX: nobody donates here.
    expect(network.balance(contracts.pool) - this.held.pool).toBe(free! + parked! + owed!)
    expect(network.balance(contracts.registry) - this.held.registry).toBe(model.bonds(should))
    expect(deposited).toBe(free! + parked! + owed! + paid! + refunded!)
    // Free money falls by settlements, and by exits where all is quiet.
    if (free! < before['free']!) expect(['settle', 'exit']).toContain(step.do)
    if (!model.isQuiet(should, this.now) && step.do !== 'settle') expect(free! >= before['free']!).toBe(true)
    for (const settled of should.epochs.values()) {
      const allocated = settled.amounts.reduce((a, b) => a + b, 0n)
      expect(allocated <= budget).toBe(true)
      if (!settled.live) expect(settled.paid.size).toBe(0)
    }
    for (const party of parties.keys()) {
      const gave = should.gave.get(party) ?? 0n
      const took = should.took.get(party) ?? 0n
      // What the rounding of others' deposits and exits can leave: below 1 µSTX each.
      expect(took <= gave + BigInt(this.done)).toBe(true)
    }
  }

  /** The same state, folded from the log alone. */
  compareLog(): void {
    const entries = network.entries.slice(this.firstEntry)
    const projected = projectChain(verifyLog(entries)).apps.get(this.app.id)!
    const { generation, ...account } = projected.pool
    expect({ ...account, generation: BigInt(generation) }).toEqual(model.account(this.should))
    expect(projected.maintainer).toBe(parties[this.should.maintainer])
    const nextEpoch = model.runs(this.should.setting, network.burnHeight) + 1
    for (let epoch = 0; epoch < nextEpoch + 8; epoch++) {
      const version = model.versionOf(this.should, epoch)
      expect(rulesAt(projected, epoch)?.version ?? 0).toBe(version)
      const by = [Cl.bufferFromHex(this.app.id), Cl.uint(epoch), Cl.uint(version)]
      const row = network.read(contracts.quorum, 'rules-by', by)
      expect(row.type === ClarityType.OptionalSome).toBe(version > 0)
    }
    for (const [at, mirror] of this.should.mirrors.entries()) {
      const chain = projected.mirrors.get(at + 1)!
      expect({ bond: chain.bond, retired: chain.retired, withdrawn: chain.withdrawn }).toEqual({
        bond: mirror.bond,
        retired: mirror.retired,
        withdrawn: mirror.withdrawn,
      })
      const newest = network.read(contracts.registry, 'bond-at', [
        Cl.bufferFromHex(this.app.id),
        Cl.uint(at + 1),
        Cl.uint(nextEpoch),
        Cl.uint(0),
      ])
      expect(cvToString(newest)).toBe(`(some u${model.bondIn(mirror, nextEpoch)})`)
    }
  }

  readonly firstEntry = network.entries.length

  /** Leads everything out again: whatever happened, no money is stuck. */
  empty(): void {
    const { should } = this
    const everyone = [...parties.keys()]
    for (const party of everyone) if (should.waiting.has(party)) this.run({ do: 'takeBack', who: party })
    for (const [at, { owner, retired, withdrawn }] of should.mirrors.entries())
      if (!retired && !withdrawn) this.run({ do: 'retire', who: owner, mirror: at + 1 })
    for (const party of everyone) this.run({ do: 'requestExit', who: party, part: 100 })
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
    // What nobody's share stands for leaves as pay, under new rules where the old ones were ended.
    if (should.rows.at(-1)!.until !== undefined) {
      const ahead = Math.max(3, should.rows.at(-1)!.until! - this.ended(-2))
      this.run({ do: 'changeRules', who: 0, asMaintainer: true, ahead })
      network.mineTo(this.app.end(should.rows.at(-1)!.from - 1))
    }
    for (let rest = 0; should.common > 0n; rest++) {
      expect(rest).toBeLessThan(200)
      network.mineTo(this.app.end(model.runs(should.setting, network.burnHeight)))
      this.run({ do: 'settle', back: 0, part: 100, over: 1, wrongRound: 1, signatures: 3 })
      network.mineTo(network.burnHeight + setting.challenge)
      this.claimAll()
    }
    expect(network.balance(contracts.pool)).toBe(this.held.pool)
    expect(network.balance(contracts.registry)).toBe(this.held.registry)
    for (const [at, party] of parties.entries()) {
      const got = (should.took.get(at) ?? 0n) + (should.earned.get(at) ?? 0n) - (should.gave.get(at) ?? 0n)
      expect(network.balance(party) - this.had[at]!).toBe(got)
    }
  }

  claimAll(): void {
    const payable = [...this.should.epochs].flatMap(([, settled]) =>
      settled.live ? [model.payableAt(this.should, settled).burn] : [],
    )
    const latest = Math.max(network.burnHeight, ...payable)
    if (latest > network.burnHeight) network.mineTo(latest)
    const last = this.ended(0)
    for (const [epoch, settled] of this.should.epochs) {
      if (!settled.live || settled.swept) continue
      for (const leaf of settled.amounts.keys())
        if (!settled.paid.has(leaf)) this.run({ do: 'claim', who: 0, back: last - epoch, leaf })
    }
  }
}

describe('any sequence of calls by anyone', () => {
  it('ends as the model says, keeps every invariant, and can be driven to empty', {
    timeout: Math.max(120_000, runs * 4_000),
  }, () => {
    let sequences = 0
    let called = 0
    let succeeded = 0
    fc.assert(
      fc.property(fc.array(command, { minLength: 55, maxLength: 80 }), (commands) => {
        // Prints of finished sequences are of no more use.
        network.entries.length = 0
        const play = new Play()
        for (const step of commands) play.run(step)
        play.compareLog()
        play.empty()
        sequences++
        called += play.done
        succeeded += play.ok
      }),
      { numRuns: runs, endOnFailure: process.env['FUZZ_SHRINK'] === undefined, ...replay },
    )
    if (process.env['FUZZ_RUNS'])
      console.log(JSON.stringify({ fuzz: 'contracts', sequences, calls: called, succeeded }))
    expect(parties.length).toBeGreaterThanOrEqual(8)
  })
})
