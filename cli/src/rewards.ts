import { type ChainApp, isPayable, rulesAt } from '@understudy/chain/state'
import { verifyBundle } from '@understudy/chain/verify'
import { epochAt, epochEnd, settleBefore } from '@understudy/protocol/epoch'
import { writeBundle } from '@understudy/protocol/epochBundle'
import { type Asset, formatMoney } from '@understudy/protocol/money'
import type { Match } from '@understudy/protocol/verify'
import type { Relays } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import { collect, refusal } from './epoch.ts'
import { Failure } from './failure.ts'
import type { Chain } from './network.ts'

/** What an epoch gave to one mirror. */
export interface MirrorReward {
  readonly mirror: number
  readonly owner: string
  /** In the smallest unit of the app's asset. */
  readonly amount: bigint
  /** Why nothing. */
  readonly reason: string | null
  /** ppm; null where too few attesters reported. */
  readonly availability: number | null
  /** The transaction that paid it. */
  readonly txid: string | null
}

/** What became of an epoch that has ended. */
export interface EpochRewards {
  readonly epoch: number
  readonly state: 'closing' | 'lapsed' | 'settled' | 'payable' | 'unverified'
  /** One sentence. */
  readonly about: string
  readonly allocated: bigint
  readonly mirrors: readonly MirrorReward[]
}

/** Computes an epoch again from relays and chain. Throws `Failure` where that does not lead to what the chain settled. */
export async function verified(
  chain: Chain,
  relays: Pick<Relays, 'query'>,
  app: string,
  epoch: number,
): Promise<Match> {
  const bundle = new TextEncoder().encode(writeBundle(await collect(chain, relays, app, epoch)))
  const verdict = verifyBundle(bundle, { app, epoch }, await loadVerify())
  if (verdict.ok !== 'match') throw refusal(verdict, epoch)
  return verdict
}

/** The last epoch that was settled, computed again; nothing where none was, or where it cannot be verified from here. */
export async function lastVerified(
  chain: Chain,
  relays: Pick<Relays, 'query'>,
  app: ChainApp,
): Promise<Match | undefined> {
  const epoch = Math.max(-1, ...app.settlements.keys())
  if (epoch < 0) return undefined
  return verified(chain, relays, app.id, epoch).catch((error: unknown) => {
    if (error instanceof Failure) return undefined
    throw error
  })
}

/** What each of the last `count` ended epochs paid, and why not; the newest first. */
export async function rewardsOf(
  chain: Chain,
  relays: Pick<Relays, 'query'>,
  app: ChainApp,
  count: number,
): Promise<EpochRewards[]> {
  const running = epochAt(app.schedule, chain.info.burnHeight)
  const first = Math.max(0, running - count)
  const epochs = Array.from({ length: Math.max(0, running - first) }, (_, at) => running - 1 - at)
  return Promise.all(epochs.map((epoch) => rewardsIn(chain, relays, app, epoch)))
}

async function rewardsIn(
  chain: Chain,
  relays: Pick<Relays, 'query'>,
  app: ChainApp,
  epoch: number,
): Promise<EpochRewards> {
  const { burnHeight } = chain.info
  const settlement = app.settlements.get(epoch)
  const nothing = { epoch, allocated: 0n, mirrors: [] }
  if (!settlement) {
    const rules = rulesAt(app, epoch)
    if (!rules) return { ...nothing, state: 'lapsed', about: 'no rules govern it' }
    const round = app.rounds.get(epoch) ?? 0
    const until = settleBefore(app.schedule, rules, epoch, round)
    return burnHeight < until
      ? {
          ...nothing,
          state: 'closing',
          about: `ended at burn block ${epochEnd(app.schedule, epoch)}; attesters settle it before ${until}`,
        }
      : {
          ...nothing,
          state: 'lapsed',
          about: `nobody was paid: too few attesters settled it before burn block ${until}`,
        }
  }
  const { allocated, burn, challenge } = settlement
  const payable = isPayable(settlement, chain.info)
  const about = payable
    ? `${formatMoney(allocated, app.asset)} allocated, ${formatMoney(settlement.paid, app.asset)} of it paid`
    : `${formatMoney(allocated, app.asset)} allocated, payable from burn block ${burn + challenge} on`
  try {
    const { outcome } = await verified(chain, relays, app.id, epoch)
    const claims = [...settlement.claims.values()]
    const mirrors = outcome.mirrors.map(({ mirror, owner, amount, reason, reported }) => ({
      mirror,
      owner,
      amount,
      reason: reason ?? null,
      availability: reported,
      txid: claims.find((claim) => claim.mirror === mirror)?.txid ?? null,
    }))
    return { epoch, state: payable ? 'payable' : 'settled', about, allocated, mirrors }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return {
      epoch,
      state: 'unverified',
      about: `${about}; not verified from here: ${error.message}`,
      allocated,
      mirrors: [],
    }
  }
}

/** What an epoch paid a mirror, in words. */
export function rewardLine(
  { mirror, amount, reason, availability, txid }: MirrorReward,
  asset: Asset,
): string {
  const share = availability === null ? '' : `, availability ${(availability / 10_000).toFixed(1)} %`
  if (reason) return `mirror ${mirror}: nothing, ${reason}${share}`
  return `mirror ${mirror}: ${formatMoney(amount, asset)}${share}, ${txid ? `paid by ${txid}` : 'not claimed yet: understudy claim'}`
}
