import { type Candidate, livePlaces, type Pay, type ScoreTerms, score } from './score.ts'

/** A population to try the score's properties on; `pick(n)` chooses among 0 … n − 1. Availabilities are 0 or above the floor. */
export interface Trial {
  readonly mirrors: readonly Candidate[]
  readonly terms: ScoreTerms
  /** Number of levels above the network that count. */
  readonly levels: number
  readonly pick: (below: number) => number
}

const sum = (pays: readonly Pay[], of: (pay: Pay) => bigint = (pay) => pay.amount) =>
  pays.reduce((total, pay) => total + of(pay), 0n)
const paidTo = (pays: readonly Pay[], owns: (mirror: number) => boolean) =>
  sum(pays.filter((pay) => owns(pay.mirror)))
const placeOf = (mirror: Candidate) => mirror.path.join('/')
const dealt = ({ mirrors, terms }: Trial) => {
  const wanted = (terms.earnings / BigInt(terms.places)) * BigInt(livePlaces(mirrors))
  return wanted < terms.earnings ? wanted : terms.earnings
}
/** Every division loses less than 1 µSTX; a mirror, its network, its country and its continent are one each. */
const dust = (trial: Trial) => BigInt(4 * (trial.mirrors.length + 1))

/** What one owner earned before and after it split a mirror, or hid where it is, µSTX. */
export interface Move {
  readonly before: bigint
  readonly after: bigint
}

const hide = (mirror: Candidate, pick: Trial['pick']): Candidate => ({
  ...mirror,
  path: mirror.path.slice(0, pick(mirror.path.length + 1)),
  network: pick(2) ? mirror.network : '',
})

/** One mirror becomes two to five at the same place: the first keeps its age, all share its bond, some hide. */
export function splitting({ mirrors, terms, pick }: Trial): Move {
  const victim = mirrors[pick(mirrors.length)]
  if (!victim) return { before: 0n, after: 0n }
  const n = 2 + pick(4)
  const bond = victim.bond / BigInt(n)
  const parts = Array.from({ length: n }, (_, i) => {
    const part = {
      ...victim,
      mirror: i === 0 ? victim.mirror : 1_000_000 + i,
      since: i === 0 ? victim.since : victim.since + pick(20),
      bond: i === 0 ? victim.bond - bond * BigInt(n - 1) : bond,
    }
    return pick(3) === 0 ? hide(part, pick) : part
  })
  const own = (mirror: number) => mirror === victim.mirror || mirror > 1_000_000
  const others = mirrors.filter((m) => m !== victim)
  return {
    before: paidTo(score(mirrors, terms), own),
    after: paidTo(score([...others, ...parts], terms), own),
  }
}

/** One mirror lets fewer levels of its place be proven. */
export function hiding({ mirrors, terms, pick }: Trial): Move {
  const victim = mirrors[pick(mirrors.length)]
  if (!victim) return { before: 0n, after: 0n }
  const own = (mirror: number) => mirror === victim.mirror
  const hidden = mirrors.map((m) => (m === victim ? hide(m, pick) : m))
  return { before: paidTo(score(mirrors, terms), own), after: paidTo(score(hidden, terms), own) }
}

/** What must hold of every population. design: What a mirror earns. */
export const properties: Readonly<Record<string, (trial: Trial) => boolean>> = {
  'never pays more than E, nor more than D · q': (trial) => {
    const pays = score(trial.mirrors, trial.terms)
    return sum(pays) <= sum(pays, (pay) => pay.share) && sum(pays, (pay) => pay.share) <= dealt(trial)
  },

  'deals out all of min(E, D · q) but dust': (trial) =>
    sum(score(trial.mirrors, trial.terms), (pay) => pay.share) + dust(trial) >= dealt(trial),

  'never pays for splitting one mirror into several at one place': (trial) => {
    const { before, after } = splitting(trial)
    return after <= before
  },

  'never pays for hiding a place': (trial) => {
    const { before, after } = hiding(trial)
    return after <= before
  },

  'never pays less for more availability, nor changes anybody else': ({ mirrors, terms, pick }) => {
    const one = mirrors[pick(mirrors.length)]
    if (!one || one.availability === 0) return true
    const better = { ...one, availability: one.availability + pick(1_000_001 - one.availability) }
    const before = score(mirrors, terms)
    const after = score(
      mirrors.map((m) => (m === one ? better : m)),
      terms,
    )
    return mirrors.every((m) => {
      const was = paidTo(before, (id) => id === m.mirror)
      const is = paidTo(after, (id) => id === m.mirror)
      return m === one ? is >= was : is === was
    })
  },

  "lets no proven place gain by another's absence while D ≤ T": ({ mirrors, terms, levels, pick }) => {
    const gone = mirrors[pick(mirrors.length)]
    if (!gone || livePlaces(mirrors) > terms.places) return true
    const left = mirrors.filter((m) => placeOf(m) !== placeOf(gone))
    const before = score(mirrors, terms)
    const after = score(left, terms)
    const proven = new Set(left.filter((m) => m.path.length === levels).map(placeOf))
    return [...proven].every((place) => {
      const members = new Set(left.filter((m) => placeOf(m) === place).map((m) => m.mirror))
      return paidTo(after, (id) => members.has(id)) <= paidTo(before, (id) => members.has(id))
    })
  },

  'never pays out less, but for dust, for a new place': (trial) => {
    const { mirrors, terms, levels, pick } = trial
    const known = mirrors[pick(mirrors.length)]?.path[0]
    const path = Array.from({ length: levels }, (_, i) =>
      i === 0 && levels > 1 && known !== undefined && pick(2) ? known : `new${i}`,
    )
    const fresh = { mirror: 999_999, availability: 1_000_000, path, network: '', bond: 1n, since: 0 }
    const before = sum(score(mirrors, terms), (pay) => pay.share)
    const after = sum(score([...mirrors, fresh], terms), (pay) => pay.share)
    return dealt({ ...trial, mirrors: [...mirrors, fresh] }) >= dealt(trial) && after + dust(trial) >= before
  },
}

/** A population of up to `most` mirrors in up to three continents, their countries and networks. */
export function randomTrial(pick: Trial['pick'], most: number): Trial {
  const levels = pick(3)
  const mirrors = Array.from({ length: pick(most + 1) }, (_, i): Candidate => {
    const continent = `C${pick(3)}`
    const whole = [continent, `${continent}-${pick(4)}`].slice(0, levels)
    return {
      mirror: i + 1,
      availability: pick(6) === 0 ? 0 : 500_000 + pick(500_001),
      path: pick(4) === 0 ? whole.slice(0, pick(levels + 1)) : whole,
      network: pick(5) === 0 ? '' : `AS${pick(3)}`,
      bond: BigInt(1 + pick(200)),
      since: pick(50),
    }
  })
  const terms = {
    earnings: BigInt(pick(2) ? pick(100) : pick(1_000_000_000)),
    places: 1 + pick(8),
    domainBond: BigInt(1 + pick(400)),
  }
  return { mirrors, terms, levels, pick }
}
