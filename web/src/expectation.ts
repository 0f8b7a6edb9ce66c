import type { AppView, MirrorView } from '@understudy/protocol/api'
import { formatMoney } from './money.ts'
import { plural } from './time.ts'

type Pool = Pick<AppView, 'rules' | 'asset'> & { readonly pool: Pick<AppView['pool'], 'free'> }

/** E and q of an epoch that began now: budget or what is free, less fees, over the places wanted. design: What a mirror earns. */
function shareOfPlace({ rules, pool }: Pool): bigint {
  const budget = smaller(BigInt(rules.budget), BigInt(pool.free))
  const fees = smaller(BigInt(rules.fee), budget / 10n)
  return (budget - fees) / BigInt(rules.places)
}

/** The networks that mirrors of this app were seen in, and how many in each. */
export function networksOf(mirrors: readonly MirrorView[]): { network: string; count: number }[] {
  const counts = new Map<string, number>()
  for (const { network } of mirrors) if (network) counts.set(network, (counts.get(network) ?? 0) + 1)
  return [...counts]
    .map(([network, count]) => ({ network, count }))
    .sort((a, b) => b.count - a.count || a.network.localeCompare(b.network))
}

/** What a new mirror with this bond can expect in a network; `''` is one without any other mirror. */
export function expectation(
  app: Pool,
  mirrors: readonly MirrorView[],
  network: string,
  bond: bigint,
): string[] {
  const share = shareOfPlace(app)
  const domainBond = BigInt(app.rules.domainBond)
  const here = mirrors.filter((mirror) => network !== '' && mirror.network === network)
  const bonded = here.reduce((sum, mirror) => sum + BigInt(mirror.bond), 0n)
  const money = (amount: bigint) => formatMoney(amount, app.asset)
  const upTo = (amount: bigint) => `up to ${money(amount)} an epoch`
  const excess = (counted: bigint) =>
    `Only ${money(counted)} of your bond would count; the rest would lie idle.`
  if (BigInt(app.pool.free) === 0n)
    return [
      'The pool is empty: nothing is paid until somebody funds it.',
      ...neighbours(here, network, money(bonded)),
    ]
  if (bonded >= domainBond)
    return [
      ...neighbours(here, network, money(bonded)),
      `The ${money(domainBond)} of bond that count there are taken. Yours would stand by, and earn while older mirrors are down.`,
    ]
  const counted = smaller(bond, domainBond - bonded)
  const mine = (share * counted) / (bonded + counted)
  if (here.length === 0)
    return [
      `A network of its own earns ${upTo(share)} at today's budget and pool, times its availability.`,
      `The app wants ${plural(app.rules.places, 'place')}. When more are live, they split the same budget.`,
      ...(bond > domainBond ? [excess(domainBond)] : []),
    ]
  return [
    ...neighbours(here, network, money(bonded)),
    `They share one place's ${money(share)} by the bond that counts: yours would earn ${upTo(mine)}, times its availability.`,
    ...(counted < bond ? [excess(counted)] : []),
    'Another network, far from the others, would earn more.',
  ]
}

function neighbours(here: readonly MirrorView[], network: string, bonded: string): string[] {
  if (here.length === 0) return []
  return [`${network} has ${plural(here.length, 'mirror')} already, bonded with ${bonded} together.`]
}

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b)
