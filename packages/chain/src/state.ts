import { hexToBytes } from '@noble/hashes/utils.js'
import { epochStart, type Schedule } from '@understudy/protocol/epoch'
import type { BondedMirror } from '@understudy/protocol/outcome'
import type { Rules } from '@understudy/protocol/rules'
import type { ChainEvent } from './log.ts'

/** A mirror as the registry knows it. Money in µSTX, heights in burn blocks. */
export interface ChainMirror {
  readonly id: number
  readonly owner: string
  /** Nostr public key, hex. */
  readonly nodeKey: string
  readonly endpoint: string
  readonly bond: bigint
  /** Height of the registration. */
  readonly since: number
  /** Height from which the bond no longer counts. */
  readonly unbonding: number | null
  /** Height from which it can be withdrawn; 0 before unbonding. */
  readonly ready: number
  readonly withdrawn: boolean
}

/** µSTX. deposited = free + owed + paid. */
export interface PoolAccount {
  readonly deposited: bigint
  /** Not yet allocated. */
  readonly free: bigint
  /** Allocated, not yet paid. */
  readonly owed: bigint
  readonly paid: bigint
  readonly shares: bigint
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
  /** By version, ascending. */
  readonly rules: readonly Rules[]
  /** By mirror id. */
  readonly mirrors: ReadonlyMap<number, ChainMirror>
  readonly pool: PoolAccount
  /** Shares by funder. */
  readonly shares: ReadonlyMap<string, bigint>
  /** By epoch. */
  readonly settlements: ReadonlyMap<number, ChainSettlement>
}

/** Everything that the contracts' events say. */
export interface ChainState {
  /** By app id. */
  readonly apps: ReadonlyMap<string, ChainApp>
}

/** The state while it is folded; nobody else sees it. */
interface Draft extends ChainApp {
  pool: PoolAccount
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
    schedule: { start: event.start, length: event.length, notice: event.notice, cap: event.cap },
    rules: [{ version: event.version, from: event.from, until: null, ...event.terms }],
    mirrors: new Map(),
    pool: { deposited: 0n, free: 0n, owed: 0n, paid: 0n, shares: 0n },
    shares: new Map(),
    settlements: new Map(),
  }
}

function apply(app: Draft, event: ChainEvent): void {
  const { pool, mirrors, shares, settlements } = app
  switch (event.topic) {
    case 'app-registered':
      throw contradiction(event, 'the app is already registered')

    case 'mirror-registered': {
      const { mirror: id, owner, nodeKey, endpoint, bond, burn: since } = event
      if (mirrors.has(id)) throw contradiction(event, `mirror ${id} is already registered`)
      const unbonded = { unbonding: null, ready: 0, withdrawn: false }
      mirrors.set(id, { id, owner, nodeKey, endpoint, bond, since, ...unbonded })
      return
    }

    case 'endpoint-set':
      mirrors.set(event.mirror, { ...mirrorOf(app, event), endpoint: event.endpoint })
      return

    case 'unbond-begun':
      mirrors.set(event.mirror, { ...mirrorOf(app, event), unbonding: event.burn, ready: event.ready })
      return

    case 'bond-withdrawn':
      mirrors.set(event.mirror, { ...mirrorOf(app, event), withdrawn: true })
      return

    case 'funded':
      app.pool = {
        ...pool,
        deposited: pool.deposited + event.amount,
        free: pool.free + event.amount,
        shares: pool.shares + event.shares,
      }
      shares.set(event.funder, (shares.get(event.funder) ?? 0n) + event.shares)
      return

    case 'settled': {
      const { epoch, round, version: rulesVersion, inputs, root, allocated, count } = event
      const { signers, burn, height, challenge, txid } = event
      if (settlements.has(epoch)) throw contradiction(event, `epoch ${epoch} is already settled`)
      app.pool = { ...pool, free: pool.free - allocated, owed: pool.owed + allocated }
      const outcome = { epoch, round, rulesVersion, inputs, root, allocated, count, signers }
      const open = { burn, height, challenge, txid, paid: 0n, claims: new Map() }
      settlements.set(epoch, { ...outcome, ...open })
      return
    }

    case 'claimed': {
      const { epoch, index, mirror, recipient, amount, burn, txid } = event
      const settlement = settlements.get(epoch)
      if (!settlement) throw contradiction(event, `epoch ${epoch} is not settled`)
      if (settlement.claims.has(index)) throw contradiction(event, `leaf ${index} is already paid`)
      app.pool = { ...pool, owed: pool.owed - amount, paid: pool.paid + amount }
      settlement.claims.set(index, { index, mirror, recipient, amount, burn, txid })
      settlements.set(epoch, { ...settlement, paid: settlement.paid + amount })
    }
  }
}

function mirrorOf(app: ChainApp, event: ChainEvent & { readonly mirror: number }): ChainMirror {
  const mirror = app.mirrors.get(event.mirror)
  if (!mirror) throw contradiction(event, `mirror ${event.mirror} is not registered`)
  return mirror
}

function contradiction(event: ChainEvent, why: string): Error {
  return new Error(`${event.source} ${event.app}, event ${event.seq} (${event.topic}): ${why}`)
}

/** The rules that govern an epoch, whenever it is settled. */
export function rulesAt(app: ChainApp, epoch: number): Rules | undefined {
  return app.rules.find((row) => row.from <= epoch && (row.until === null || epoch < row.until))
}

/** The bond (µSTX) with which a mirror counts in an epoch that begins at this burn height: as it stood just before. */
export function bondAt(mirror: ChainMirror, beginHeight: number): bigint {
  const counts = mirror.since < beginHeight && (mirror.unbonding === null || mirror.unbonding >= beginHeight)
  return counts ? mirror.bond : 0n
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
