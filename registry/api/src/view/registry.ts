import { type ChainApp, isPayable, rulesAt } from '@understudy/chain/state'
import type {
  AccountView,
  AppView,
  EpochDetail,
  EpochView,
  LeafProof,
  MirrorDetail,
  MirrorView,
} from '@understudy/protocol/api'
import { epochAt } from '@understudy/protocol/epoch'
import { threshold } from '@understudy/protocol/rules'
import type { Db } from '../db/database.ts'
import {
  announcementsOfApp,
  attestationsOfMirror,
  attestedEpochs,
  evidenceOfEpochs,
  heartbeatsOfApp,
  namedByInputs,
  newestRelease,
  publishedAbout,
  repositoryOfApp,
} from '../db/queries.ts'
import type { ChainSnapshot } from '../projector/follower.ts'
import { accountView } from './account.ts'
import { appView, currentRules } from './app.ts'
import { epochDetail, epochView, leafProof } from './epoch.ts'
import { mirrorDetail, mirrorView, type Verdict } from './mirror.ts'
import { bundlesOf, outcomeAt, type Recomputed, recompute } from './outcome.ts'

/** An app with its mirrors, as one look at the database and the chain gives them. */
export interface Picture {
  readonly view: AppView
  readonly mirrors: readonly MirrorView[]
}

export interface Page {
  /** Epochs below this one; absent for the newest. */
  readonly before?: number
  readonly limit: number
}

/** What anybody may ask. `undefined` means that there is no such thing; an away database throws. */
export interface Registry {
  readonly apps: () => Promise<AppView[]>
  readonly picture: (app: string) => Promise<Picture | undefined>
  readonly mirror: (app: string, mirror: number) => Promise<MirrorDetail | undefined>
  readonly account: (app: string, address: string) => Promise<AccountView | undefined>
  readonly epochs: (app: string, page: Page) => Promise<EpochView[] | undefined>
  readonly epoch: (app: string, epoch: number) => Promise<EpochDetail | undefined>
  readonly proof: (app: string, epoch: number, index: number) => Promise<LeafProof | undefined>
}

/** A mirror's state is at most this many epochs old; an older one is unknown. */
const verdictEpochs = 3
/** Attestations shown with a mirror. */
const shownAttestations = 500
/** Epochs in which an account's unclaimed payments are looked for. */
const unclaimedEpochs = 20
/** Settled epochs whose payouts are remembered. */
const maxRecomputed = 500
/** Pictures are looked at anew after this long even where nothing new came in, s: announcements expire. */
const pictureSeconds = 5

/** @param revision grows with every change of the rows */
export function createRegistry(
  db: Db,
  chain: () => ChainSnapshot,
  revision: () => number,
  now: () => number,
): Registry {
  const payouts = new Map<string, Recomputed>()
  const pictures = new Map<string, { readonly of: string; readonly picture: Promise<Picture> }>()

  async function look(app: ChainApp, { burnHeight, events }: ChainSnapshot): Promise<Picture> {
    const rules = currentRules(app, burnHeight)
    const running = epochAt(app.schedule, burnHeight)
    const [repository, release, announcements, heartbeats, verdicts] = await Promise.all([
      repositoryOfApp(db, app.id),
      newestRelease(db, app.id, rules),
      announcementsOfApp(db, app.id),
      heartbeatsOfApp(db, app.id),
      verdictsOf(app, running, events),
    ])
    const said = new Map(announcements.map((row) => [row.nodeKey, row]))
    const beats = new Map(heartbeats.map((row) => [row.nodeKey, row]))
    const mirrors = [...app.mirrors.values()]
      .filter((mirror) => !mirror.withdrawn)
      .map((mirror) => {
        const { nodeKey } = mirror
        const words = { announcement: said.get(nodeKey), heartbeat: beats.get(nodeKey) }
        return mirrorView(app, mirror, words, verdicts, now())
      })
    return { view: appView(app, burnHeight, repository, release, mirrors), mirrors }
  }

  async function verdictsOf(
    app: ChainApp,
    running: number,
    events: ChainSnapshot['events'],
  ): Promise<Verdict[]> {
    const epochs = (await attestedEpochs(db, app.id, running, verdictEpochs)).filter(
      (epoch) => epoch >= running - verdictEpochs,
    )
    const evidence = await evidenceOfEpochs(db, app.id, epochs)
    return epochs.flatMap((epoch) => {
      const rules = rulesAt(app, epoch)
      if (!rules) return []
      const bundles = bundlesOf(rules, evidence.get(epoch)!)
      if (bundles.length < threshold(rules.keys)) return []
      return [{ epoch, rules, bundles, outcome: outcomeAt(events, app, epoch, rules, bundles) }]
    })
  }

  /** One look at a time per app, shared by all who ask while nothing has changed. */
  function pictureOf(app: ChainApp, snapshot: ChainSnapshot): Promise<Picture> {
    const of = `${revision()} ${snapshot.burnHeight} ${snapshot.events.length} ${Math.floor(now() / pictureSeconds)}`
    const before = pictures.get(app.id)
    if (before?.of === of) return before.picture
    const picture = look(app, snapshot)
    pictures.set(app.id, { of, picture })
    picture.catch(() => pictures.delete(app.id))
    return picture
  }

  async function payoutsOf(
    app: ChainApp,
    epoch: number,
    events: ChainSnapshot['events'],
  ): Promise<Recomputed | undefined> {
    const settlement = app.settlements.get(epoch)
    if (!settlement) return undefined
    const key = `${app.id} ${epoch} ${settlement.root} ${settlement.txid}`
    const known = payouts.get(key)
    if (known) return known
    const inputs = await namedByInputs(db, app.id, epoch, settlement.inputs)
    const epochs = [epoch, ...(inputs?.former ?? []).map((named) => named.epoch)]
    const evidence = await evidenceOfEpochs(db, app.id, [...new Set(epochs)])
    const recomputed = recompute(events, app, settlement, evidence, inputs)
    if (recomputed.state === 'same') {
      payouts.set(key, recomputed)
      if (payouts.size > maxRecomputed) payouts.delete(payouts.keys().next().value!)
    }
    return recomputed
  }

  const has = (app: ChainApp, epoch: number, burnHeight: number) =>
    epoch >= 0 && epoch <= epochAt(app.schedule, burnHeight)

  return {
    async apps() {
      const snapshot = chain()
      const pictures = [...snapshot.state.apps.values()].map((app) => pictureOf(app, snapshot))
      return (await Promise.all(pictures)).map((picture) => picture.view)
    },

    async picture(id) {
      const snapshot = chain()
      const app = snapshot.state.apps.get(id)
      return app && pictureOf(app, snapshot)
    },

    async mirror(id, number) {
      const snapshot = chain()
      const app = snapshot.state.apps.get(id)
      const mirror = app?.mirrors.get(number)
      if (!app || !mirror) return undefined
      const [{ mirrors }, attestations] = await Promise.all([
        pictureOf(app, snapshot),
        attestationsOfMirror(db, id, number, shownAttestations),
      ])
      const view = mirrors.find((m) => m.mirror === number)
      const counts = (key: string, epoch: number) => rulesAt(app, epoch)?.keys.includes(key) ?? false
      return view && mirrorDetail(view, app, mirror, attestations, counts)
    },

    async account(id, address) {
      const { state, events, ...heights } = chain()
      const app = state.apps.get(id)
      if (!app) return undefined
      const open = [...app.settlements.values()]
        .filter((settlement) => !settlement.swept && settlement.claims.size < settlement.count)
        .filter((settlement) => isPayable(settlement, heights))
        .sort((a, b) => b.epoch - a.epoch)
        .slice(0, unclaimedEpochs)
      const unclaimed = await Promise.all(
        open.map(async ({ epoch, claims }) => {
          const recomputed = await payoutsOf(app, epoch, events)
          if (recomputed?.state !== 'same') return []
          return recomputed.outcome.leaves
            .filter(({ index, recipient }) => recipient === address && !claims.has(index))
            .map(({ index, mirror, amount }) => ({ epoch, index, mirror, amount: amount.toString() }))
        }),
      )
      return accountView(app, address, heights, unclaimed.flat())
    },

    async epochs(id, { before, limit }) {
      const { state, ...heights } = chain()
      const app = state.apps.get(id)
      if (!app) return undefined
      const running = epochAt(app.schedule, heights.burnHeight)
      const newest = Math.min(running, before === undefined ? running : before - 1)
      const oldest = Math.max(0, newest - limit + 1)
      const epochs = Array.from({ length: Math.max(0, newest - oldest + 1) }, (_, at) => newest - at)
      const published = await publishedAbout(db, id, epochs)
      return epochs.map((epoch) => epochView(app, epoch, heights, published))
    },

    async epoch(id, epoch) {
      const { state, events, ...heights } = chain()
      const app = state.apps.get(id)
      if (!app || !has(app, epoch, heights.burnHeight)) return undefined
      const [published, recomputed] = await Promise.all([
        publishedAbout(db, id, [epoch]),
        payoutsOf(app, epoch, events),
      ])
      return epochDetail(epochView(app, epoch, heights, published), app, recomputed)
    },

    async proof(id, epoch, index) {
      const { state, events, ...heights } = chain()
      const app = state.apps.get(id)
      if (!app || !has(app, epoch, heights.burnHeight)) return undefined
      return leafProof(app, epoch, index, heights, await payoutsOf(app, epoch, events))
    },
  }
}
