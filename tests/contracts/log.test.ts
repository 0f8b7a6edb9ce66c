import { Cl, ClarityType, type ClarityValue, cvToString, type UIntCV } from '@stacks/transactions'
import {
  acceptMaintainer,
  activate,
  addBond,
  addSignatures,
  attesterBondHash,
  beginUnbond,
  bondAttester,
  type ContractCall,
  changeRules,
  claim,
  claimRange,
  endRules,
  exit,
  offerMaintainer,
  replaceNodeKey,
  replaceReleaseKey,
  reportCommitments,
  requestExit,
  retire,
  setEndpoint,
  sweep,
  takeBack,
  veto,
  withdraw,
  withdrawAttester,
} from '@understudy/chain/calls'
import type { PrintedEntry } from '@understudy/chain/client'
import { contractNames } from '@understudy/chain/contracts'
import {
  type ChainEvent,
  LogError,
  type LogErrorReason,
  type SourcedEntry,
  verifyComplete,
  verifyLog,
} from '@understudy/chain/log'
import { createLogReader, readComplete } from '@understudy/chain/logReader'
import {
  bondAt,
  bondedMirrors,
  type ChainApp,
  isPayable,
  projectChain,
  rulesAt,
  stateBelow,
} from '@understudy/chain/state'
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
  signaturesOf,
  sourceOf,
  terms,
  treeOf,
} from './network.ts'

const { maintainer, operator, neighbour, stranger, funder } = accounts

let network: Network
let first: App
let second: App
let third: App
let apps: readonly App[]
let entries: readonly SourcedEntry[]
let events: readonly ChainEvent[]

const tree = treeOf([
  [operator, 20_000_000n],
  [neighbour, 30_000_000n],
])

const attesters = attestersOf(4)
/** Topics of what is signed, not printed. */
const signed: readonly string[] = ['settlement', 'commitment', 'attester-bond']

/** Attesters of the third app: one contradicts itself, one was never listed and leaves; a settlement stands without the first. */
function accuse(): void {
  const { id } = third
  const bond = (at: number) => {
    const hash = attesterBondHash(contracts, { app: id, owner: operator }, chainId)
    const { key, secret } = attesters[at]!
    const signed = { app: id, key, amount: 1_005n, signature: signHash(hash, secret) }
    did(bondAttester(contracts, operator, signed), operator)
  }
  const listed = terms.keys.map((key) => attesters.findIndex((attester) => attester.key === key))
  const outsider = [0, 1, 2, 3].find((at) => !listed.includes(at))!
  bond(listed[0]!)
  bond(listed[1]!)
  bond(outsider)
  did(withdrawAttester(contracts, { app: id, key: attesters[outsider]!.key, amount: 1_005n }), operator)
  const message = network.messageOf(third, 0, tree)
  network.settleWith(message)
  did(addSignatures(contracts, { app: id, epoch: 0 }, signaturesOf(message, [false, false, true])), stranger)
  const { key, secret } = attesters[listed[0]!]!
  const say = (root: string) => {
    const hash = commitmentHash({ pool: contracts.pool, app: id, epoch: 0, root, count: 1 }, chainId)
    return { root, count: 1, signature: signHash(hash, secret) }
  }
  const pair = [say('01'.repeat(32)), say('02'.repeat(32))] as const
  did(reportCommitments(contracts, { app: id, epoch: 0, version: 1, key }, pair, 1_005n), stranger)
}

/** Three apps live through everything that the contracts can record. */
beforeAll(async () => {
  network = await openNetwork()
  first = network.openApp()
  second = network.openApp({ levels: ['country', 'network'], keys: terms.keys.slice(0, 1), faults: 0 })
  third = network.openApp()
  apps = [first, second, third]
  network.deposit(first, 80_000_000n)
  network.deposit(third, 80_000_000n)
  network.deposit(second, 7n)
  network.bondMirror(first)
  network.bondMirror(first, { bond: terms.minBond * 3n, nodeKey: '44'.repeat(32) }, neighbour)
  network.bondMirror(second)
  network.send(
    setEndpoint(contracts, { app: first.id, mirror: 2, endpoint: 'https://moved.example' }),
    neighbour,
  )
  network.deposit(first, 5_000_000n)
  network.send(beginUnbond(contracts, { app: second.id, mirror: 1 }), operator)
  const { id } = first
  did(changeRules(contracts, { app: id, from: 3, terms: { ...terms, places: 4 } }), maintainer)
  did(replaceReleaseKey(contracts, { app: id, releaseKey: '77'.repeat(32), minSeq: 3 }), maintainer)
  did(endRules(contracts, second.id), maintainer)
  did(offerMaintainer(contracts, { app: id, to: stranger }), maintainer)
  did(acceptMaintainer(contracts, id), stranger)
  did(offerMaintainer(contracts, { app: id, to: operator }), stranger)
  did(offerMaintainer(contracts, { app: id, to: null }), stranger)
  did(addBond(contracts, operator, { app: id, mirror: 1, amount: 5n }), operator)
  did(replaceNodeKey(contracts, { app: id, mirror: 1, nodeKey: '55'.repeat(32) }), operator)
  did(requestExit(contracts, { app: id, shares: 10_000_000n }), funder)
  network.mineTo(first.end(0))
  accuse()
  network.settleWith(network.messageOf(first, 0, treeOf([[operator, 1n]])))
  network.deposit(first, 1_000_000n, operator, 2)
  network.deposit(first, 2_000_000n, operator, 2)
  network.deposit(first, 3_000_000n, neighbour, 2)
  network.deposit(first, 4_000_000n, stranger, 2)
  did(veto(contracts, { app: id, epoch: 0 }), stranger)
  network.settleWith(network.messageOf(first, 0, tree, 1))
  network.mineTo(network.burnHeight + terms.challenge)
  did(activate(contracts, { app: id, funder: operator }), stranger)
  did(takeBack(contracts, { app: id, amount: 3_000_000n }), neighbour)
  did(claimRange(contracts, { app: third.id, epoch: 0, leaves: tree.leaves, start: 0 }), stranger)
  const payout = { app: id, epoch: 0, leaf: tree.leaves[1]!, proof: tree.proof(1) }
  did(claim(contracts, payout), stranger)
  did(addBond(contracts, neighbour, { app: id, mirror: 2, amount: 9n }), neighbour)
  network.mineTo(network.burnHeight + 60)
  did(withdraw(contracts, { app: second.id, mirror: 1, bond: terms.minBond }), operator)
  network.settleWith(network.messageOf(first, 1, treeOf([])))
  did(retire(contracts, { app: id, mirror: 2 }), neighbour)
  network.mineTo(first.end(2) + terms.window)
  did(exit(contracts, { app: id, least: 1n }), funder)
  did(requestExit(contracts, { app: id, shares: 7n }), funder)
  network.mineTo(first.end(0) + 20 + terms.challenge + terms.claimPeriod)
  did(sweep(contracts, { app: id, epoch: 0 }), stranger)
  entries = [...network.entries]
  events = verifyLog(entries)
})

function did(call: ContractCall, sender: string): void {
  expect(network.send(call, sender).outcome).toBe('ok')
}

function reasonOf(act: () => unknown): LogErrorReason | 'none' {
  try {
    act()
    return 'none'
  } catch (error) {
    if (error instanceof LogError) return error.reason
    throw error
  }
}

function readLog(contract: string, app: App) {
  const value = network.read(contract, 'get-log', [Cl.bufferFromHex(app.id)])
  if (value.type !== ClarityType.Tuple) throw new Error('no log')
  const { seq, head } = value.value
  if (seq?.type !== ClarityType.UInt || head?.type !== ClarityType.Buffer) throw new Error('no log')
  return { seq: Number(seq.value), head: head.value }
}

const hex = (value: string) => Cl.bufferFromHex(value)

describe('the log', () => {
  it('is the same in whatever order its events arrive', () => {
    expect(events).toHaveLength(entries.length)
    expect(verifyLog([...entries].reverse())).toEqual(events)
    expect(verifyLog(entries.slice(9), verifyLog(entries.slice(0, 9)))).toEqual(events)
  })

  it('ends where the contracts say that it does', () => {
    for (const app of apps)
      for (const source of ['quorum', 'registry', 'pool'] as const)
        expect(() => verifyComplete(events, source, app.id, readLog(contracts[source], app))).not.toThrow()
  })

  it('has every kind of event that the contracts print', () => {
    const printed = contractNames.flatMap((name) => [...sourceOf(name).matchAll(/topic: "([^"]+)",\n/g)])
    const topics = printed.map(([, topic]) => topic).filter((topic) => !signed.includes(topic!))
    expect(topics.length).toBeGreaterThan(25)
    expect(new Set(events.map(({ topic }) => topic))).toEqual(new Set(topics))
  })

  it('does not pass with any one event left out', { timeout: 120_000 }, () => {
    for (const [left, omitted] of entries.entries()) {
      const rest = entries.filter((_, at) => at !== left)
      const noticed = reasonOf(() => {
        const served = verifyLog(rest)
        for (const app of apps)
          verifyComplete(served, omitted.source, app.id, readLog(contracts[omitted.source], app))
      })
      expect(noticed).toBe('missing')
    }
  })

  it('does not pass with any one event changed', { timeout: 120_000 }, () => {
    for (const [changed, entry] of entries.entries()) {
      // `burn` is a uint in every event: its last byte precedes the next field.
      const at = entry.hex.indexOf(Buffer.from('\x04burn').toString('hex')) + 10 + 2 + 31
      const forged = `${entry.hex.slice(0, at)}${entry.hex[at] === '0' ? '1' : '0'}${entry.hex.slice(at + 1)}`
      const served = entries.map((e, i) => (i === changed ? { ...e, hex: forged } : e))
      expect(reasonOf(() => verifyLog(served))).toBe('broken-chain')
    }
  })

  it('does not pass with two events in one place, or with something that is no event', () => {
    expect(reasonOf(() => verifyLog([...entries, entries[0]!]))).toBe('conflicting')
    expect(reasonOf(() => verifyLog([{ ...entries[0]!, hex: '0x03' }]))).toBe('malformed')
    expect(reasonOf(() => verifyLog([{ ...entries[0]!, hex: '0xff' }]))).toBe('malformed')
    expect(reasonOf(() => verifyLog([{ ...entries[0]!, source: 'pool' }]))).toBe('malformed')
  })
})

describe('the projected state', () => {
  const appOf = (app: App): ChainApp => projectChain(events).apps.get(app.id)!
  const optional = (value: number | null): ClarityValue =>
    value === null ? Cl.none() : Cl.some(Cl.uint(value))

  it('has the apps and rules that the quorum has', () => {
    for (const app of apps) {
      const { coordinate, maintainer: keeper, schedule, asset, rules, releaseKeys, offeredTo } = appOf(app)
      expect({ coordinate, schedule }).toEqual({ coordinate: app.coordinate, schedule: app.schedule })
      const [newest, before, earlier] = [...rules.map(({ from }) => from).reverse(), 0, 0]
      const row = Cl.tuple({
        maintainer: Cl.principal(keeper),
        start: Cl.uint(schedule.start),
        length: Cl.uint(schedule.length),
        notice: Cl.uint(schedule.notice),
        cap: Cl.uint(schedule.cap),
        version: Cl.uint(rules.length),
        sbtc: Cl.bool(asset === 'sbtc'),
        newest: Cl.uint(newest!),
        before: Cl.uint(before!),
        earlier: Cl.uint(earlier!),
        'release-keys': Cl.uint(releaseKeys.length),
      })
      for (const [at, key] of releaseKeys.entries()) {
        const onChain = network.read(contracts.quorum, 'get-release-key', [hex(app.id), Cl.uint(at + 1)])
        const replaced = Cl.tuple({
          from: Cl.uint(key.from),
          version: Cl.uint(key.version),
          'release-key': hex(key.releaseKey),
          'min-seq': Cl.uint(key.minSeq),
        })
        expect(onChain).toEqual(Cl.some(replaced))
      }
      const offer = network.read(contracts.quorum, 'get-offer', [hex(app.id)])
      expect(offer).toEqual(offeredTo === null ? Cl.none() : Cl.some(Cl.principal(offeredTo)))
      for (const { version, from, until, budget, places } of rules) {
        const onChain = network.read(contracts.quorum, 'get-rules', [hex(app.id), Cl.uint(version)])
        const shown = cvToString(onChain)
        expect(shown).toContain(`(from u${from})`)
        expect(shown).toContain(`(until ${until === null ? 'none' : `(some u${until})`})`)
        expect(shown).toContain(`(budget u${budget})`)
        expect(shown).toContain(`(places u${places})`)
      }
      for (const epoch of [0, 1, 2, 3, 4, 900]) {
        const onChain = network.read(contracts.quorum, 'rules-at', [hex(app.id), Cl.uint(epoch)])
        const here = rulesAt(appOf(app), epoch)
        expect(onChain.type).toBe(here ? 'some' : 'none')
        if (here) expect(cvToString(onChain)).toContain(`(version u${here.version})`)
      }
      expect(network.read(contracts.quorum, 'get-app', [hex(app.id)])).toEqual(Cl.some(row))
    }
  })

  it('knows whose release key holds in which epoch', () => {
    const app = appOf(first)
    expect(app.maintainer).toBe(stranger)
    // Replaced before the start, under the rules of version 2, which were announced by then.
    expect(rulesAt(app, 0)).toMatchObject({ version: 1, releaseKey: '77'.repeat(32), minSeq: 3 })
    expect(rulesAt(app, 3)).toMatchObject({ version: 2, releaseKey: '77'.repeat(32), places: 4 })
    expect(rulesAt(appOf(second), 0)?.releaseKey).toBe(terms.releaseKey)
    expect(rulesAt(appOf(second), 3)).toBeUndefined()
  })

  it('has the mirrors and bonds that the registry has, in every epoch', () => {
    for (const app of apps) {
      const { mirrors } = appOf(app)
      expect(network.read(contracts.registry, 'mirror-count', [hex(app.id)])).toEqual(Cl.uint(mirrors.size))
      for (const mirror of mirrors.values()) {
        const row = Cl.tuple({
          owner: Cl.principal(mirror.owner),
          'node-key': hex(mirror.nodeKey),
          endpoint: Cl.stringAscii(mirror.endpoint),
          sbtc: Cl.bool(appOf(app).asset === 'sbtc'),
          bond: Cl.uint(mirror.bond),
          since: Cl.uint(mirror.since),
          unbonding: optional(mirror.unbonding),
          ready: Cl.uint(mirror.ready),
          retired: Cl.bool(mirror.retired),
          withdrawn: Cl.bool(mirror.withdrawn),
        })
        const id = [hex(app.id), Cl.uint(mirror.id)]
        const onChain = network.read(contracts.registry, 'get-mirror', id)
        if (onChain.type !== ClarityType.OptionalSome || onChain.value.type !== ClarityType.Tuple)
          throw new Error('no mirror')
        const { rows, ...shown } = onChain.value.value
        expect(Cl.tuple(shown)).toEqual(row)
        for (let epoch = 0; epoch < 6; epoch++) {
          const counted = Array.from({ length: Number((rows as UIntCV).value) }, (_, at) =>
            network.read(contracts.registry, 'bond-at', [...id, Cl.uint(epoch), Cl.uint(at + 1)]),
          ).find(({ type }) => type === ClarityType.OptionalSome)
          const bond = bondAt(mirror, app.schedule.start + epoch * app.schedule.length)
          expect(counted ?? Cl.some(Cl.uint(0))).toEqual(Cl.some(Cl.uint(bond)))
        }
      }
    }
    expect(appOf(second).mirrors.get(1)?.withdrawn).toBe(true)
  })

  it('has the money, settlements and claims that the pool has', () => {
    for (const app of apps) {
      const { pool, shares, parked, exits, settlements } = appOf(app)
      const { 'final-burn': finalBurn, 'final-height': finalHeight, ...account } = network.poolOf(app)
      expect(account).toEqual({ ...pool, generation: BigInt(pool.generation) })
      expect(typeof finalBurn).toBe(typeof finalHeight)
      for (const principal of Object.values(accounts)) {
        const who = [hex(app.id), Cl.principal(principal)]
        expect(network.read(contracts.pool, 'get-shares', who)).toEqual(Cl.uint(shares.get(principal) ?? 0n))
        const waits = parked.get(principal)
        const deposit = waits && {
          amount: Cl.uint(waits.amount),
          version: Cl.uint(waits.version),
          'min-shares': Cl.uint(waits.minShares),
        }
        expect(network.read(contracts.pool, 'get-parked', who)).toEqual(
          deposit ? Cl.some(Cl.tuple(deposit)) : Cl.none(),
        )
        const wish = exits.get(principal)
        const request = wish && {
          generation: Cl.uint(wish.generation),
          shares: Cl.uint(wish.shares),
          ready: Cl.uint(wish.ready),
        }
        expect(network.read(contracts.pool, 'get-exit', who)).toEqual(
          request ? Cl.some(Cl.tuple(request)) : Cl.none(),
        )
      }
      for (const settlement of settlements.values()) {
        const row = Cl.tuple({
          live: Cl.bool(true),
          round: Cl.uint(settlement.round),
          version: Cl.uint(settlement.rulesVersion),
          inputs: hex(settlement.inputs),
          root: hex(settlement.root),
          allocated: Cl.uint(settlement.allocated),
          common: Cl.uint(settlement.common),
          count: Cl.uint(settlement.count),
          signers: Cl.list(settlement.signers.map(Cl.bool)),
          burn: Cl.uint(settlement.burn),
          height: Cl.uint(settlement.height),
          challenge: Cl.uint(settlement.challenge),
          paid: Cl.uint(settlement.paid),
          swept: Cl.bool(settlement.swept),
        })
        const epoch = Cl.uint(settlement.epoch)
        expect(network.read(contracts.pool, 'get-settlement', [hex(app.id), epoch])).toEqual(Cl.some(row))
        for (let index = 0; index < settlement.count; index++) {
          const marked = network.read(contracts.pool, 'is-claimed', [
            hex(app.id),
            epoch,
            Cl.uint(settlement.round),
            Cl.uint(index),
          ])
          expect(marked).toEqual(Cl.bool(settlement.claims.has(index)))
        }
        const heights = { burnHeight: network.burnHeight, height: network.simnet.stacksBlockHeight }
        const payable = network.read(contracts.pool, 'is-payable', [hex(app.id), epoch])
        expect(payable).toEqual(Cl.bool(isPayable(settlement, heights)))
      }
    }
    expect([...appOf(first).settlements.keys()]).toEqual([0, 1])
    expect(appOf(first).rounds).toEqual(new Map([[0, 1]]))
    expect(appOf(first).pool).toMatchObject({ paid: 30_000_000n, parked: 4_000_000n, common: 20_000_000n })
  })

  it('has the attesters’ bonds and the bans that the contracts have', () => {
    for (const app of apps) {
      const { attesters: bonded, banned } = appOf(app)
      for (const { key } of attesters) {
        const by = [hex(app.id), hex(key)]
        const bond = bonded.get(key)
        const row = bond && Cl.tuple({ owner: Cl.principal(bond.owner), amount: Cl.uint(bond.amount) })
        expect(network.read(contracts.pool, 'get-attester', by)).toEqual(row ? Cl.some(row) : Cl.none())
        expect(network.read(contracts.quorum, 'is-banned', by)).toEqual(Cl.bool(banned.has(key)))
      }
    }
    expect([appOf(third).attesters.size, appOf(third).banned.size]).toEqual([1, 1])
  })

  it('adds up to the balances that the contracts hold', () => {
    const apps = [...projectChain(verifyLog(network.entries)).apps.values()]
    const bonds = apps.flatMap(({ mirrors }) => [...mirrors.values()]).filter(({ withdrawn }) => !withdrawn)
    expect(network.balance(contracts.registry)).toBe(bonds.reduce((sum, { bond }) => sum + bond, 0n))
    expect(network.balance(contracts.pool)).toBe(
      apps.reduce((sum, { pool }) => sum + pool.free + pool.parked + pool.owed + pool.bonded, 0n),
    )
  })

  it('says whose bond counts in an epoch, at its owner and key', () => {
    const bonded = bondedMirrors(appOf(first), 0)
    expect(bonded.map(({ mirror, owner, bond }) => ({ mirror, owner, bond }))).toEqual([
      { mirror: 1, owner: operator, bond: terms.minBond + 5n },
      { mirror: 2, owner: neighbour, bond: terms.minBond * 3n },
    ])
    // Unbonded before its epoch 0 began.
    expect(bondedMirrors(appOf(second), 0)).toEqual([])
  })

  it('below a burn height knows nothing of what came at that height or later', () => {
    const settledAt = appOf(first).settlements.get(1)!.burn
    expect(stateBelow(events, settledAt).apps.get(first.id)!.settlements.size).toBe(1)
    expect(stateBelow(events, settledAt + 1).apps.get(first.id)!.settlements.size).toBe(2)
    expect(stateBelow(events, 0).apps.size).toBe(0)
  })

  it('is not made of events that contradict each other', () => {
    expect(() => projectChain(events.filter((event) => event.topic !== 'app-registered'))).toThrow(
      'not registered',
    )
    expect(() => projectChain([...events, ...events.filter((event) => event.topic === 'settled')])).toThrow(
      'already settled',
    )
  })
})

/** Serves a contract's prints newest first, like the API, and counts what is asked. */
class Pages {
  entries: readonly SourcedEntry[] = []
  requests = 0

  async contractEvents(
    contract: string,
    page: { limit?: number; offset?: number } = {},
  ): Promise<PrintedEntry[]> {
    this.requests++
    const { limit = 50, offset = 0 } = page
    const ours = this.entries.filter((entry) => contracts[entry.source] === contract).reverse()
    return ours.slice(offset, offset + limit).map(({ source: _, ...entry }) => entry)
  }

  async callReadOnly(contract: string, name: string, args: readonly ClarityValue[]): Promise<ClarityValue> {
    return network.read(contract, name, [...args])
  }
}

describe('the log reader', () => {
  it('reads what is new and no more', async () => {
    const pages = new Pages()
    const reader = createLogReader(pages, contracts)
    expect(await reader.read()).toEqual([])
    pages.entries = entries.slice(0, 8)
    expect(await reader.read()).toEqual(verifyLog(entries.slice(0, 8)))
    pages.entries = entries
    expect(await reader.read()).toEqual(events)
    pages.requests = 0
    expect(await reader.read()).toEqual(events)
    expect(pages.requests).toBe(3)
  })

  it('pages through a log that is longer than a page', { timeout: 120_000 }, async () => {
    const app = network.openApp()
    network.bondMirror(app)
    for (let i = 0; i < 120; i++)
      network.send(
        setEndpoint(contracts, { app: app.id, mirror: 1, endpoint: `https://${i}.example` }),
        operator,
      )
    const pages = new Pages()
    pages.entries = [...network.entries]
    const read = await createLogReader(pages, contracts).read()
    expect(read).toHaveLength(network.entries.length)
    expect(projectChain(read).apps.get(app.id)!.mirrors.get(1)!.endpoint).toBe('https://119.example')
  })

  it('reads everything again after a fork took events back', async () => {
    const pages = new Pages()
    const reader = createLogReader(pages, contracts)
    pages.entries = entries
    await reader.read()
    pages.entries = entries.slice(0, -3)
    expect(await reader.read()).toEqual(verifyLog(entries.slice(0, -3)))
  })

  it('keeps what it read when an answer has a hole', async () => {
    const pages = new Pages()
    const reader = createLogReader(pages, contracts)
    const followed = entries.findIndex(({ source }) => source === 'pool')
    pages.entries = entries.filter((_, at) => at !== followed)
    await expect(reader.read()).rejects.toMatchObject({ reason: 'missing' })
    pages.entries = entries
    expect(await reader.read()).toEqual(events)
  })

  it('proves a log complete by the chain’s own heads, or says what is missing', async () => {
    const pages = new Pages()
    pages.entries = [...network.entries]
    const complete = await readComplete(pages, contracts, createLogReader(pages, contracts), first.id)
    expect(complete).toEqual(events.filter((event) => event.app === first.id))
    const last = entries.findLastIndex((entry) => entry.source === 'pool')
    pages.entries = entries.filter((_, at) => at !== last)
    const reading = readComplete(pages, contracts, createLogReader(pages, contracts), first.id)
    await expect(reading).rejects.toMatchObject({ reason: 'missing' })
  })
})
