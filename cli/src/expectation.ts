import type { ChainApp } from '@understudy/chain/state'
import { formatMoney } from '@understudy/protocol/money'
import { type Candidate, score } from '@understudy/protocol/score'
import type { Match } from '@understudy/protocol/verify'

/** What a newcomer brings: its network (0 unknown) and its bond. */
export interface Newcomer {
  readonly network: number
  readonly bond: bigint
}

export interface Expectation {
  readonly lines: readonly string[]
  /** Mirrors of the last settled epoch in the same network. */
  readonly neighbours: number
  /** Most that an epoch would pay the newcomer: in its network, and in one of its own; null where nothing is known yet. */
  readonly here: bigint | null
  readonly alone: bigint
}

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b)
const plural = (n: number, one: string) => `${n} ${one}${n === 1 ? '' : 's'}`

/**
 * What a place already has, and what one more mirror in it can expect: today's rules and pool, the mirrors that the last settled epoch found
 * live, and the very function that divides the money. A mirror stays live at best, so that it is the most, not a promise.
 */
export function expectationOf(
  app: ChainApp,
  last: Match | undefined,
  { network, bond }: Newcomer,
): Expectation {
  const rules = app.rules.at(-1)!
  const money = (amount: bigint) => formatMoney(amount, app.asset)
  const free = app.pool.free
  const budget = smaller(rules.budget, free)
  const earnings = budget - smaller(rules.fee, budget / 10n)
  const terms = { earnings, places: rules.places, domainBond: rules.domainBond }
  const byPlace = rules.levels.some((level) => level !== 'network')
  const live = last ? liveIn(last, byPlace) : []
  const name = `AS${network}`
  const neighbours = live.filter((one) => network !== 0 && (byPlace ? one.network : one.path[0]) === name)
  const earned = (path: readonly string[], of: string) => {
    const mine: Candidate = {
      mirror: 0,
      availability: 1_000_000,
      path,
      network: of,
      bond,
      since: Number.MAX_SAFE_INTEGER,
    }
    return score([...live, mine], terms).find(({ mirror }) => mirror === 0)?.amount ?? 0n
  }
  const own = 'a place of its own'
  const alone = byPlace ? earned([own], name) : earned([own], '')
  const here =
    !last || network === 0 ? null : byPlace ? earned(neighbours[0]?.path ?? [own], name) : earned([name], '')
  const bonded = neighbours.reduce((sum, one) => sum + one.bond, 0n)
  const lines =
    free === 0n
      ? ['The pool is empty: nothing is paid until somebody funds it.']
      : [
          `The pool holds ${money(free)}. An epoch of ${app.schedule.length} burn blocks gives ${money(earnings)} to ${plural(rules.places, 'place')}.`,
          `A place of its own earns up to ${money(alone)} an epoch, times its availability.`,
        ]
  if (!last) lines.push('No epoch is settled yet, so that nobody knows who shares a network.')
  else if (network === 0)
    lines.push('The network of your address is not known from here: attesters will see it.')
  else if (neighbours.length === 0) lines.push(`No live mirror of this app is in ${name} yet.`)
  else
    lines.push(
      `${name} has ${plural(neighbours.length, 'live mirror')} already, bonded with ${money(bonded)} together. They share one place's money by the bond that counts.`,
      here === 0n && bonded >= rules.domainBond
        ? `The ${money(rules.domainBond)} of bond that count there are taken: yours would stand by, and earn while older mirrors are down.`
        : `Yours, bonded with ${money(bond)}, would earn up to ${money(here ?? 0n)} an epoch there.`,
    )
  lines.push(
    'That is the most, with the rules, the pool and the live mirrors of today: no promise.',
    `Availability below ${rules.floor / 10_000} % earns nothing. The bond of ${money(bond)} stays yours; taking it back takes about ${app.schedule.length + rules.window + rules.challenge} burn blocks.`,
  )
  return { lines, neighbours: neighbours.length, here, alone }
}

/** The mirrors that an epoch paid, as the score saw them. */
function liveIn({ outcome, facts }: Match, byPlace: boolean): Candidate[] {
  const known = new Map(facts.mirrors.map((mirror) => [mirror.mirror, mirror]))
  return outcome.mirrors.flatMap(({ mirror, availability, asn, place, reason }) => {
    const bonded = known.get(mirror)
    if (!bonded || (reason && reason !== 'no share') || availability === 0) return []
    const name = asn === 0 ? '' : `AS${asn}`
    const path = byPlace ? place : name ? [name] : []
    return [
      { mirror, availability, path, network: byPlace ? name : '', bond: bonded.bond, since: bonded.since },
    ]
  })
}
