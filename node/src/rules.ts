import type { StacksClient } from '@understudy/chain/client'
import type { Contracts } from '@understudy/chain/contracts'
import { createLogReader } from '@understudy/chain/logReader'
import { projectChain, rulesAt } from '@understudy/chain/state'
import { appId } from '@understudy/protocol/app'
import { epochAt } from '@understudy/protocol/epoch'
import { pubkeyOf, threshold } from '@understudy/protocol/rules'
import type { Members } from './relay/scope.ts'

/** What a node obeys of an app's rules. Keys are Nostr public keys, hex. */
export interface AppRules {
  /** Signs releases in the running epoch. */
  readonly releaseKey: string
  readonly minSeq: number
  /** Burn blocks within which a mirror must follow a release. */
  readonly grace: number
  /** The running epoch; 0 before the first. */
  readonly epoch: number
  /** M: attesters that must agree. */
  readonly quorum: number
  /** Of the running epoch and of those announced or past: what they signed stays true. */
  readonly members: Required<Members>
}

/** Where the rules come from. */
export interface RulesSource {
  /** `undefined` while nobody has registered the app. Throws when it cannot be read just now. */
  read(): Promise<AppRules | undefined>
}

/** The rules as the contracts' verified log tells them. */
export function chainRules(client: StacksClient, contracts: Contracts, coordinate: string): RulesSource {
  const reader = createLogReader(client, contracts)
  const id = appId(coordinate)
  return {
    async read() {
      const { burnHeight } = await client.info()
      const app = projectChain(await reader.read()).apps.get(id)
      if (!app) return undefined
      // Before the start the rules of epoch 0 are near.
      const epoch = Math.max(0, epochAt(app.schedule, burnHeight))
      const rules = rulesAt(app, epoch)
      if (!rules) throw new Error('no rules govern the running epoch')
      return {
        releaseKey: rules.releaseKey,
        minSeq: rules.minSeq,
        grace: rules.grace,
        epoch,
        quorum: threshold(rules.keys),
        members: {
          releaseKeys: new Set(app.rules.map((row) => row.releaseKey)),
          attesters: new Set(app.rules.flatMap((row) => row.keys.map(pubkeyOf))),
          mirrors: new Set([...app.mirrors.values()].map((mirror) => mirror.nodeKey)),
        },
      }
    },
  }
}
