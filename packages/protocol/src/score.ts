/** A mirror as the score sees it. ppm = millionths; money in µSTX. */
export interface Candidate {
  readonly mirror: number
  /** Availability, ppm, 0 when below the floor or when it served wrong bytes. */
  readonly availability: number
  /** Proven levels of its place, outermost first, networks left out. */
  readonly path: readonly string[]
  /** Domain within the place: the proven network; empty where networks do not count, or where it is not proven. */
  readonly network: string
  readonly bond: bigint
  /** Burn height of its registration; ties by mirror id. */
  readonly since: number
}

export interface ScoreTerms {
  /** E: budget less fees, µSTX. */
  readonly earnings: bigint
  /** T. */
  readonly places: number
  readonly domainBond: bigint
}

export interface Pay {
  readonly mirror: number
  readonly amount: bigint
  /** Its share of the domain before availability, µSTX. */
  readonly share: bigint
  /** Bond that counted, µSTX. */
  readonly counted: bigint
}

const ppm = 1_000_000n

interface Branch {
  readonly key: string
  readonly children: readonly Branch[]
  readonly members: readonly Candidate[]
  readonly places: number
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group) group.push(item)
    else groups.set(keyOf(item), [item])
  }
  return groups
}

/** Groups live mirrors by their paths. An unproven mirror earns only where no sibling is proven. */
function branch(key: string, members: readonly Candidate[], depth: number): Branch {
  const groups = groupBy(
    members.filter((m) => m.path.length > depth),
    (m) => m.path[depth]!,
  )
  if (groups.size === 0) return { key, children: [], members, places: members.length > 0 ? 1 : 0 }
  const children = [...groups]
    .map(([name, group]) => branch(name, group, depth + 1))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
  return { key, children, members: [], places: children.reduce((sum, child) => sum + child.places, 0) }
}

/** D: the number of live places. */
export const livePlaces = (candidates: readonly Candidate[]): number =>
  branch(
    '',
    candidates.filter((c) => c.availability > 0),
    0,
  ).places

/** Splits `amount` equally, no branch above q × its places; what one leaves goes to its siblings. */
function split(amount: bigint, q: bigint, node: Branch, out: { place: Branch; share: bigint }[]): void {
  if (node.children.length === 0) {
    if (node.members.length > 0) out.push({ place: node, share: amount })
    return
  }
  let left = amount
  let open = [...node.children]
  while (open.length > 0) {
    const equal = left / BigInt(open.length)
    const full = open.filter((child) => q * BigInt(child.places) <= equal)
    if (full.length === 0) {
      for (const child of open) split(equal, q, child, out)
      return
    }
    for (const child of full) {
      const cap = q * BigInt(child.places)
      left -= cap
      split(cap, q, child, out)
    }
    open = open.filter((child) => q * BigInt(child.places) > equal)
  }
}

/**
 * What each mirror earns. design: What a mirror earns, rules 2 to 4. Pure integers; dust stays in the pool. Mirrors that earn
 * nothing are left out.
 */
export function score(candidates: readonly Candidate[], terms: ScoreTerms): Pay[] {
  const q = terms.earnings / BigInt(terms.places)
  const live = candidates.filter((c) => c.availability > 0)
  const root = branch('', live, 0)
  if (q === 0n || root.places === 0) return []
  const wanted = q * BigInt(root.places)
  const shares: { place: Branch; share: bigint }[] = []
  split(wanted < terms.earnings ? wanted : terms.earnings, q, root, shares)
  return shares
    .flatMap(({ place, share }) => {
      const networks = groupBy(place.members, (m) => m.network)
      if (networks.size > 1) networks.delete('')
      const each = share / BigInt(networks.size)
      return [...networks.values()].flatMap((members) => payDomain(members, each, terms.domainBond))
    })
    .sort((a, b) => a.mirror - b.mirror)
}

function payDomain(members: readonly Candidate[], share: bigint, domainBond: bigint): Pay[] {
  const oldest = [...members].sort((a, b) => a.since - b.since || a.mirror - b.mirror)
  let room = domainBond
  const counted = oldest.map((member) => {
    const counts = member.bond < room ? member.bond : room
    room -= counts
    return { member, counts }
  })
  const total = domainBond - room
  if (total === 0n) return []
  return counted
    .map(({ member, counts }) => ({
      mirror: member.mirror,
      amount: (share * counts * BigInt(member.availability)) / (ppm * total),
      share: (share * counts) / total,
      counted: counts,
    }))
    .filter((pay) => pay.amount > 0n)
}
