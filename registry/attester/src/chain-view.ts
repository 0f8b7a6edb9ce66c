import type { StacksClient } from '@understudy/chain/client'
import type { Contracts } from '@understudy/chain/contracts'
import type { ChainEvent } from '@understudy/chain/log'
import { createLogReader, readComplete } from '@understudy/chain/logReader'
import { type ChainApp, projectChain, rulesAt, stateBelow } from '@understudy/chain/state'
import { epochAt } from '@understudy/protocol/epoch'
import type { Rules } from '@understudy/protocol/rules'
import type { Anchor } from '@understudy/protocol/settlement'

/** The chain as it was last read. */
export interface ChainSight {
  readonly burnHeight: number
  readonly height: number
  readonly apps: ReadonlyMap<string, ChainApp>
}

export interface ChainView {
  /** Undefined before the first read. */
  sight(): ChainSight | undefined
  /** Reads what is new. Throws when the chain cannot be read; the last sight stays. */
  refresh(): Promise<ChainSight>
  /** What an epoch that ended at this burn height is settled on. To be asked at 6 burn confirmations: it is read once. */
  basisBelow(app: string, burnHeight: number): Promise<Basis>
}

export interface Basis {
  /** The last Stacks block below the height. */
  readonly anchor: Anchor
  /** The app as it stood there, its log proven complete by reads of the chain's state. */
  readonly app: ChainApp
}

/** Bases that are kept. */
const maxBases = 64

export function createChainView(client: StacksClient, contracts: Contracts): ChainView {
  const reader = createLogReader(client, contracts)
  let sight: ChainSight | undefined
  let events: readonly ChainEvent[] = []
  const bases = new Map<string, Basis>()
  return {
    sight: () => sight,
    async refresh() {
      const { burnHeight, height } = await client.info()
      // Nothing can be printed without a Stacks block.
      if (sight && sight.height === height) sight = { ...sight, burnHeight }
      else {
        const read = await reader.read()
        const apps = read === events && sight ? sight.apps : projectChain(read).apps
        events = read
        sight = { burnHeight, height, apps }
      }
      return sight
    },
    async basisBelow(app, burnHeight) {
      const key = `${app}:${burnHeight}`
      const known = bases.get(key)
      if (known) return known
      const { height, hash } = await client.anchorBelow(burnHeight)
      const complete = await readComplete(client, contracts, reader, app)
      const state = stateBelow(complete, burnHeight).apps.get(app)
      if (!state) throw new Error(`app ${app} was not registered below burn height ${burnHeight}`)
      if (bases.size >= maxBases) bases.delete(bases.keys().next().value!)
      const basis = { anchor: { height, hash }, app: state }
      bases.set(key, basis)
      return basis
    },
  }
}

/** An app, the epoch that a burn height lies in, and the rules that govern it, or governed the last one where none do. */
export interface AppEpoch {
  readonly app: ChainApp
  readonly epoch: number
  readonly rules: Rules
}

/**
 * The apps that a key attests at this height; `only` narrows them down to some coordinates. An epoch is settled in the next one, by those
 * whom its own rules list: whoever leaves still has that to do, and so has everybody when an app ends.
 */
export function attestedApps(sight: ChainSight, key: string, only: readonly string[] = []): AppEpoch[] {
  return [...sight.apps.values()].flatMap((app) => {
    // Before the start the rules of epoch 0 are near: releases are seen and mirrors followed already.
    const epoch = epochAt(app.schedule, sight.burnHeight)
    const governing = [epoch, epoch - 1].flatMap((at) => rulesAt(app, Math.max(0, at)) ?? [])
    const wanted = only.length === 0 || only.includes(app.coordinate)
    return wanted && governing.some(({ keys }) => keys.includes(key))
      ? [{ app, epoch, rules: governing[0]! }]
      : []
  })
}
