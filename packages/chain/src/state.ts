import { hexToBytes } from '@noble/hashes/utils.js'
import { epochAt, epochEnd, epochStart, formerEpochs, type Schedule } from '@understudy/protocol/epoch'
import type { Asset } from '@understudy/protocol/money'
import type { BondedMirror } from '@understudy/protocol/outcome'
import type { Rules } from '@understudy/protocol/rules'
import type { ChainEvent } from './log.ts'

/** A mirror as the registry knows it. Money in its app's asset, heights in burn blocks. */
export interface ChainMirror {
  readonly id: number
  readonly owner: string
  /** Nostr public key, hex. */
  readonly nodeKey: string
  readonly endpoint: string
  /** What the registry holds for it. */
  readonly bond: bigint
  /** With which bond it counts, ascending: each in the epochs that begin after its `since`, until the next row's. */
  readonly bonds: readonly BondRow[]
  /** Height of the registration. */
  readonly since: number
  /** Height from which the bond no longer counts. */
  readonly unbonding: number | null
  /** Height from which it can be withdrawn; 0 before unbonding. */
  readonly ready: number
  /** Gone for good; its node key may be another mirror's. */
  readonly retired: boolean
  readonly withdrawn: boolean
}

/** A bond that counts in epochs that begin after a burn height. */
export interface BondRow {
  readonly since: number
  readonly bond: bigint
}

/** In the app's asset, µSTX or satoshis. deposited + slashed = free + parked + owed + paid + refunded. */
export interface PoolAccount {
  readonly deposited: bigint
  /** Not yet allocated. Parked deposits are not part of it. */
  readonly free: bigint
  /** The part of `free` that no share stands for: it is spent first and leaves only as pay. */
  readonly common: bigint
  /** Deposits that wait for a quiet moment. */
  readonly parked: bigint
  /** Allocated, not yet paid. */
  readonly owed: bigint
  readonly paid: bigint
  /** Taken out again by funders. */
  readonly refunded: bigint
  /** Bonds of attesters. */
  readonly bonded: bigint
  /** Taken from them into the free money. */
  readonly slashed: bigint
  /** Of the generation that runs. */
  readonly shares: bigint
  readonly generation: number
}

/** A deposit that waits, with the rules version that its funder accepted. */
export interface ParkedDeposit {
  readonly amount: bigint
  readonly version: number
  readonly minShares: bigint
}

/** A funder's wish to leave, possible from an epoch on. */
export interface ExitRequest {
  readonly generation: number
  readonly shares: bigint
  readonly ready: number
}

/** What is at stake for an attester's key. */
export interface AttesterBond {
  readonly owner: string
  readonly amount: bigint
}

/** A replaced release key: from its epoch on it holds for the rules rows up to `version`. */
export interface ReleaseKeyRow {
  readonly from: number
  readonly version: number
  readonly releaseKey: string
  readonly minSeq: number
}

export interface ChainClaim {
  readonly index: number
  /** 0 for an attester's fee. */
  readonly mirror: number
  readonly recipient: string
  readonly amount: bigint
  readonly burn: number
  readonly txid: string
}

export interface ChainSettlement {
  readonly epoch: number
  readonly round: number
  readonly rulesVersion: number
  readonly inputs: string
  readonly root: string
  readonly allocated: bigint
  /** How much of it came from the common part. */
  readonly common: bigint
  readonly count: number
  /** By position in the keys of the rules row. */
  readonly signers: readonly boolean[]
  /** Burn height. */
  readonly burn: number
  /** Stacks height. */
  readonly height: number
  /** Burn and Stacks blocks until it can be paid. */
  readonly challenge: number
  readonly paid: bigint
  /** Whether what was unclaimed has returned to the pool. */
  readonly swept: boolean
  /** By leaf index. */
  readonly claims: ReadonlyMap<number, ChainClaim>
  readonly txid: string
}

export interface ChainApp {
  readonly id: string
  /** `30617:<pubkey>:<d>`. */
  readonly coordinate: string
  readonly maintainer: string
  readonly schedule: Schedule
  /** What all its money is in. */
  readonly asset: Asset
  /** To whom the maintainer offers the app. */
  readonly offeredTo: string | null
  /** By version, ascending. What governs an epoch is `rulesAt`'s to say: release keys may have been replaced. */
  readonly rules: readonly Rules[]
  readonly releaseKeys: readonly ReleaseKeyRow[]
  /** By mirror id. */
  readonly mirrors: ReadonlyMap<number, ChainMirror>
  readonly pool: PoolAccount
  /** Shares of the generation that runs, by funder. */
  readonly shares: ReadonlyMap<string, bigint>
  /** Deposits that wait, by funder. */
  readonly parked: ReadonlyMap<string, ParkedDeposit>
  /** By funder. */
  readonly exits: ReadonlyMap<string, ExitRequest>
  /** By key. */
  readonly attesters: ReadonlyMap<string, AttesterBond>
  /** Keys that contradicted themselves: their signatures count no more. */
  readonly banned: ReadonlySet<string>
  /** Those that were not voided, by epoch. */
  readonly settlements: ReadonlyMap<number, ChainSettlement>
  /** The round in which an epoch settles next: how many of its settlements were voided, by epoch. Absent: 0. */
  readonly rounds: ReadonlyMap<number, number>
}

/** Everything that the contracts' events say. */
export interface ChainState {
  /** By app id. */
  readonly apps: ReadonlyMap<string, ChainApp>
}

/** The state while it is folded; nobody else sees it. */
interface Draft extends ChainApp {
  maintainer: string
  offeredTo: string | null
  pool: PoolAccount
  readonly rules: Rules[]
  readonly releaseKeys: ReleaseKeyRow[]
  readonly parked: Map<string, ParkedDeposit>
  readonly exits: Map<string, ExitRequest>
  readonly attesters: Map<string, AttesterBond>
  readonly banned: Set<string>
  readonly rounds: Map<number, number>
  readonly mirrors: Map<number, ChainMirror>
  readonly shares: Map<string, bigint>
  readonly settlements: Map<number, ChainSettlement & { readonly claims: Map<number, ChainClaim> }>
}

/** Folds a verified log into the state that it describes. Throws where an event contradicts those before it. */
export function projectChain(events: readonly ChainEvent[]): ChainState {
  const apps = new Map<string, Draft>()
  for (const event of events) {
    const app = apps.get(event.app)
    if (app) apply(app, event)
    else apps.set(event.app, register(event))
  }
  return { apps }
}

/**
 * The state that counts where something is to hold before a burn height: at the anchor of an epoch (its end), or in an epoch's first block
 * (its start).
 */
export function stateBelow(events: readonly ChainEvent[], burnHeight: number): ChainState {
  return projectChain(events.filter((event) => event.burn < burnHeight))
}

function register(event: ChainEvent): Draft {
  if (event.topic !== 'app-registered') throw contradiction(event, 'the app is not registered')
  return {
    id: event.app,
    coordinate: new TextDecoder().decode(hexToBytes(event.coordinate)),
    maintainer: event.maintainer,
    offeredTo: null,
    asset: event.sbtc ? 'sbtc' : 'stx',
    schedule: { start: event.start, length: event.length, notice: event.notice, cap: event.cap },
    rules: [{ version: event.version, from: event.from, until: null, ...event.terms }],
    releaseKeys: [],
    mirrors: new Map(),
    pool: {
      deposited: 0n,
      free: 0n,
      common: 0n,
      parked: 0n,
      owed: 0n,
      paid: 0n,
      refunded: 0n,
      bonded: 0n,
      slashed: 0n,
      shares: 0n,
      generation: 0,
    },
    shares: new Map(),
    parked: new Map(),
    exits: new Map(),
    attesters: new Map(),
    banned: new Set(),
    settlements: new Map(),
    rounds: new Map(),
  }
}

function apply(app: Draft, event: ChainEvent): void {
  if (event.source === 'quorum') applyRules(app, event)
  else if (event.source === 'registry') applyMirror(app, event)
  else applyMoney(app, event)
}

function applyRules(app: Draft, event: ChainEvent): void {
  switch (event.topic) {
    case 'app-registered':
      throw contradiction(event, 'the app is already registered')

    case 'rules-changed': {
      const { version, from, terms } = event
      const last = app.rules.at(-1)!
      if (version !== last.version + 1) throw contradiction(event, `the newest rules are ${last.version}`)
      app.rules[app.rules.length - 1] = { ...last, until: last.until ?? from }
      app.rules.push({ version, from, until: null, ...terms })
      return
    }

    case 'rules-ended':
      app.rules[app.rules.length - 1] = { ...app.rules.at(-1)!, until: event.until }
      return

    case 'release-key-replaced': {
      const { from, version, releaseKey, minSeq } = event
      app.releaseKeys.push({ from, version, releaseKey, minSeq })
      return
    }

    case 'maintainer-offered':
      app.offeredTo = event.to
      return

    case 'maintainer-changed':
      app.maintainer = event.maintainer
      app.offeredTo = null
  }
}

function applyMirror(app: Draft, event: ChainEvent): void {
  const { mirrors } = app
  switch (event.topic) {
    case 'mirror-registered': {
      const { mirror: id, owner, nodeKey, endpoint, bond, burn: since } = event
      if (mirrors.has(id)) throw contradiction(event, `mirror ${id} is already registered`)
      const bonds = [{ since, bond }]
      const unbonded = { unbonding: null, ready: 0, retired: false, withdrawn: false }
      mirrors.set(id, { id, owner, nodeKey, endpoint, bond, bonds, since, ...unbonded })
      return
    }

    case 'endpoint-set':
      mirrors.set(event.mirror, { ...mirrorOf(app, event), endpoint: event.endpoint })
      return

    case 'node-key-replaced':
      mirrors.set(event.mirror, { ...mirrorOf(app, event), nodeKey: event.nodeKey })
      return

    case 'bond-added': {
      const mirror = mirrorOf(app, event)
      const bond = mirror.bond + event.amount
      mirrors.set(event.mirror, { ...mirror, bond, bonds: [...mirror.bonds, { since: event.burn, bond }] })
      return
    }

    case 'unbond-begun':
      mirrors.set(event.mirror, unbonding(mirrorOf(app, event), event))
      return

    case 'mirror-retired':
      mirrors.set(event.mirror, { ...unbonding(mirrorOf(app, event), event), retired: true })
      return

    case 'bond-withdrawn':
      mirrors.set(event.mirror, { ...mirrorOf(app, event), withdrawn: true })
  }
}

function applyMoney(app: Draft, event: ChainEvent): void {
  const { pool, shares, parked, settlements } = app
  switch (event.topic) {
    case 'funded': {
      const { funder, amount, generation } = event
      const over = generation !== pool.generation
      if (over) shares.clear()
      if (event.waited) parked.delete(funder)
      app.pool = {
        ...pool,
        generation,
        deposited: event.waited ? pool.deposited : pool.deposited + amount,
        parked: event.waited ? pool.parked - amount : pool.parked,
        // What is left of a generation that is over is common.
        common: over ? pool.free : pool.common,
        free: pool.free + amount,
        shares: over ? event.shares : pool.shares + event.shares,
      }
      shares.set(funder, (shares.get(funder) ?? 0n) + event.shares)
      return
    }

    case 'deposit-parked': {
      const { funder, amount, version, minShares } = event
      const before = parked.get(funder) ?? { amount: 0n, minShares: 0n }
      const sum = { amount: before.amount + amount, version, minShares: before.minShares + minShares }
      parked.set(funder, sum)
      app.pool = { ...pool, deposited: pool.deposited + amount, parked: pool.parked + amount }
      return
    }

    case 'deposit-returned':
      parked.delete(event.funder)
      app.pool = {
        ...pool,
        parked: pool.parked - event.amount,
        refunded: pool.refunded + event.amount,
      }
      return

    case 'exit-requested': {
      const { generation, ready } = event
      app.exits.set(event.funder, { generation, shares: event.shares, ready })
      return
    }

    case 'exited': {
      const left = (shares.get(event.funder) ?? 0n) - event.shares
      if (left < 0n) throw contradiction(event, `${event.funder} has no such shares`)
      if (left === 0n) shares.delete(event.funder)
      else shares.set(event.funder, left)
      app.exits.delete(event.funder)
      app.pool = {
        ...pool,
        free: pool.free - event.amount,
        refunded: pool.refunded + event.amount,
        shares: pool.shares - event.shares,
      }
      return
    }

    case 'settled': {
      const { epoch, round, version: rulesVersion, inputs, root, allocated, common, count } = event
      const { signers, burn, height, challenge, txid } = event
      if (settlements.has(epoch)) throw contradiction(event, `epoch ${epoch} is already settled`)
      app.pool = {
        ...pool,
        free: pool.free - allocated,
        common: pool.common - common,
        owed: pool.owed + allocated,
      }
      const outcome = { epoch, round, rulesVersion, inputs, root, allocated, common, count, signers }
      const open = { burn, height, challenge, txid, paid: 0n, swept: false, claims: new Map() }
      settlements.set(epoch, { ...outcome, ...open })
      return
    }

    case 'voided': {
      const { allocated, common } = settlementOf(app, event)
      settlements.delete(event.epoch)
      app.rounds.set(event.epoch, event.round + 1)
      app.pool = {
        ...pool,
        free: pool.free + allocated,
        common: pool.common + common,
        owed: pool.owed - allocated,
      }
      return
    }

    case 'signatures-added':
      settlements.set(event.epoch, { ...settlementOf(app, event), signers: event.signers })
      return

    case 'banned': {
      const { bond, reward } = event
      app.banned.add(event.key)
      app.attesters.delete(event.key)
      app.pool = {
        ...pool,
        free: pool.free + bond - reward,
        common: pool.common + bond - reward,
        bonded: pool.bonded - bond,
        slashed: pool.slashed + bond - reward,
      }
      return
    }

    case 'attester-bonded': {
      const held = app.attesters.get(event.key)?.amount ?? 0n
      app.attesters.set(event.key, { owner: event.owner, amount: held + event.amount })
      app.pool = { ...pool, bonded: pool.bonded + event.amount }
      return
    }

    case 'attester-withdrawn':
      app.attesters.delete(event.key)
      app.pool = { ...pool, bonded: pool.bonded - event.amount }
      return

    case 'claimed':
      pay(app, event, [event])
      return

    case 'range-claimed':
      pay(app, event, event.leaves)
      return

    case 'swept': {
      const { amount } = event
      settlements.set(event.epoch, { ...settlementOf(app, event), swept: true })
      app.pool = {
        ...pool,
        free: pool.free + amount,
        common: pool.common + amount,
        owed: pool.owed - amount,
      }
    }
  }
}

function pay(
  app: Draft,
  event: ChainEvent & { readonly epoch: number },
  leaves: readonly Pick<ChainClaim, 'index' | 'mirror' | 'recipient' | 'amount'>[],
): void {
  const { burn, txid } = event
  const settlement = settlementOf(app, event)
  for (const { index, mirror, recipient, amount } of leaves) {
    if (settlement.claims.has(index)) throw contradiction(event, `leaf ${index} is already paid`)
    settlement.claims.set(index, { index, mirror, recipient, amount, burn, txid })
  }
  const amount = leaves.reduce((sum, leaf) => sum + leaf.amount, 0n)
  app.pool = { ...app.pool, owed: app.pool.owed - amount, paid: app.pool.paid + amount }
  app.settlements.set(event.epoch, { ...settlement, paid: settlement.paid + amount })
}

function unbonding(
  mirror: ChainMirror,
  event: { readonly burn: number; readonly ready: number },
): ChainMirror {
  if (mirror.unbonding !== null) return mirror
  const bonds = [...mirror.bonds, { since: event.burn, bond: 0n }]
  return { ...mirror, bonds, unbonding: event.burn, ready: event.ready }
}

function settlementOf(
  app: Draft,
  event: ChainEvent & { readonly epoch: number },
): ChainSettlement & { readonly claims: Map<number, ChainClaim> } {
  const settlement = app.settlements.get(event.epoch)
  if (!settlement) throw contradiction(event, `epoch ${event.epoch} is not settled`)
  return settlement
}

function mirrorOf(app: ChainApp, event: ChainEvent & { readonly mirror: number }): ChainMirror {
  const mirror = app.mirrors.get(event.mirror)
  if (!mirror) throw contradiction(event, `mirror ${event.mirror} is not registered`)
  return mirror
}

function contradiction(event: ChainEvent, why: string): Error {
  return new Error(`${event.source} ${event.app}, event ${event.seq} (${event.topic}): ${why}`)
}

/** The rules that govern an epoch, whenever it is settled, with the release key that holds in it. */
export function rulesAt(app: ChainApp, epoch: number): Rules | undefined {
  const row = app.rules.find((rules) => rules.from <= epoch && (rules.until === null || epoch < rules.until))
  const replaced = app.releaseKeys.findLast((key) => key.from <= epoch)
  if (!row || !replaced || replaced.version < row.version) return row
  return { ...row, releaseKey: replaced.releaseKey, minSeq: replaced.minSeq }
}

/** The bond with which a mirror counts in an epoch that begins at this burn height: as it stood just before. */
export function bondAt(mirror: ChainMirror, beginHeight: number): bigint {
  return mirror.bonds.findLast((row) => row.since < beginHeight)?.bond ?? 0n
}

/** Of the epochs whose commitments may still stand for an absent attester, those that are settled; ascending. design: Place. */
export function settledBefore({ settlements }: Pick<ChainApp, 'settlements'>, epoch: number): number[] {
  return [...settlements.keys()]
    .filter((of) => of < epoch && of >= epoch - formerEpochs)
    .sort((a, b) => a - b)
}

/** The mirrors whose bond counts in an epoch, by id: what `outcomeOf` takes. `app` as it stood at the epoch's anchor. */
export function bondedMirrors(app: ChainApp, epoch: number): BondedMirror[] {
  const begin = epochStart(app.schedule, epoch)
  return [...app.mirrors.values()]
    .map((mirror) => ({
      mirror: mirror.id,
      nodeKey: mirror.nodeKey,
      owner: mirror.owner,
      bond: bondAt(mirror, begin),
      since: mirror.since,
    }))
    .filter(({ bond }) => bond > 0n)
    .sort((a, b) => a.mirror - b.mirror)
}

/** Whether a settlement's leaves can be claimed at these heights. */
export function isPayable(
  settlement: ChainSettlement,
  now: { readonly burnHeight: number; readonly height: number },
): boolean {
  return (
    now.burnHeight >= settlement.burn + settlement.challenge &&
    now.height >= settlement.height + settlement.challenge
  )
}

/**
 * Whether every ended epoch of an app is final, settled and payable or lapsed: only then does the pool mint and redeem shares. The contract's
 * `is-quiet` may still say no for a challenge time after a settlement was voided.
 */
export function isQuiet(
  app: ChainApp,
  now: { readonly burnHeight: number; readonly height: number },
): boolean {
  if (![...app.settlements.values()].every((settlement) => isPayable(settlement, now))) return false
  const ended = epochAt(app.schedule, now.burnHeight) - 1
  if (ended < 0 || app.settlements.has(ended)) return true
  const rules = rulesAt(app, ended)
  return !rules || now.burnHeight >= epochEnd(app.schedule, ended) + rules.window
}
