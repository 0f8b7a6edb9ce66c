import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Report } from './attestation.ts'
import { continents, quadtree, sets } from './borders.ts'
import { type City, cities } from './cities.ts'
import { type Bundle, type OutcomeInputs, outcomeOf } from './outcome.ts'
import { discOf, distanceKm, encodeGeohash, judgeClaim, kmPerMs } from './place.ts'
import type { Level, Rules } from './rules.ts'
import { disjoint, shortOf, vector } from './sphere.ts'

// What other verifiers are tried against: docs/protocol.md, Outcome, Place and Borders. UPDATE_VECTORS=1 writes them anew.

const folder = new URL('../vectors/', import.meta.url)
const governing = {
  ...{ version: 1, from: 0, until: null, grace: 5, minBond: 1n, window: 30, challenge: 6 },
  ...{ claimPeriod: 100, releaseKey: '', minSeq: 1 },
}

/** What an outcome follows from, and nothing else. */
interface Given {
  readonly name: string
  readonly rules: Pick<
    Rules,
    'keys' | 'levels' | 'budget' | 'fee' | 'places' | 'domainBond' | 'floor' | 'faults'
  >
  readonly free: bigint
  readonly mirrors: OutcomeInputs['mirrors']
  readonly bundles: readonly Told[]
  readonly former: readonly Told[]
}

type Said = Pick<
  Report,
  | 'mirror'
  | 'nodeKey'
  | 'passed'
  | 'failed'
  | 'wrongBytes'
  | 'principal'
  | 'address'
  | 'asn'
  | 'rttMicros'
  | 'geohash'
>
interface Told {
  readonly key: string
  readonly header: Pick<Bundle['header'], 'stx' | 'latitude' | 'longitude'>
  readonly reports: readonly Said[]
}

/** What else a bundle holds changes no outcome. */
const whole = ({ key, header, reports }: Told): Bundle => ({
  key,
  header: { ...header, seed: '' },
  reports: reports.map((said) => ({ ...said, inconclusive: 0, reasons: {}, commit: '' })),
})

const compute = ({ rules, free, mirrors, bundles, former }: Given) =>
  outcomeOf({
    ...{ rules: { ...governing, ...rules }, free, mirrors },
    ...{ bundles: bundles.map(whole), former: former.map(whole) },
  })

/** Amounts as decimal strings, as everywhere in our JSON. */
const json = (value: unknown) => JSON.stringify(value, (_, of) => (typeof of === 'bigint' ? String(of) : of))

/** Where a city is, millionths of a degree. */
const micro = ({ latitude, longitude }: City) => ({
  latitude: Math.round(latitude * 1e6),
  longitude: Math.round(longitude * 1e6),
})

const principals = [
  'ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM',
  'ST1SJ3DTE5DN7X54YDH5D64R3BCB6A2AG2ZQ8YPD5',
  'ST2CY5V39NHDPWSXMW9QDT3HC3GD6Q6XX4CFRK9AG',
  'ST2JHG361ZXG51QTKY2NQCVBPPRRE2KZB1HR05NNC',
]
const levelSets: readonly (readonly Level[])[] = [
  ['network'],
  ['continent', 'network'],
  ['continent', 'country', 'network'],
  ['continent', 'country'],
]

/** A small invented world, drawn from a seed. */
function draw(seed: number): Given {
  let state = seed * 7_919 + 1
  const below = (n: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
  const oneOf = <T>(from: readonly T[]): T => from[below(from.length)]!
  // Now and then an attester in each of three cities, so that money overflows between places.
  const wide = seed % 5 === 0
  const rarely = (n: number) => below(wide ? 6 * n : n) === 0
  const faults = wide ? 0 : below(2)
  const n = faults === 0 ? 3 : 5
  const keys = Array.from({ length: n }, (_, at) => `02${String(at + 1).repeat(64)}`)
  // Attesters and mirrors share a few cities, so that some places are proven.
  const here = Array.from({ length: wide ? 3 : 2 }, () => oneOf(cities))
  const stands = keys.map((_, at) => here[at % here.length]!)
  const count = 3 + below(wide ? 6 : 4)
  const mirrors = Array.from({ length: count }, (_, at) => ({
    ...{ mirror: at + 1, nodeKey: `node ${at + 1}`, owner: oneOf(principals) },
    ...{ bond: BigInt(1 + below(5)) * 1_000_000n, since: 100 + below(6) },
  }))
  const truth = mirrors.map(() => {
    const city = oneOf(here)
    const anycast = rarely(9)
    return {
      city,
      anycast,
      geohash: encodeGeohash(rarely(6) ? oneOf(cities) : city, 5),
      asn: 64_500 + below(2),
      down: oneOf([0, 0, 0, 0, 3, 8]),
      wrong: rarely(7),
      address: `203.0.113.${below(200)}`,
    }
  })
  const say = (stand: City): Said[] =>
    mirrors.flatMap(({ mirror, nodeKey, owner }, at): Said[] => {
      const { city, anycast, geohash, asn, down, wrong, address } = truth[at]!
      if (rarely(12)) return []
      const far = distanceKm(stand, anycast ? stand : city)
      const rttMicros = rarely(9) ? 0 : Math.round(((far * 2_600) / kmPerMs) * 1.1) + 300 + below(900)
      const failed = down + below(2)
      const probes = rarely(20) ? failed : 10 + below(3)
      return [
        {
          ...{ mirror, nodeKey: rarely(25) ? 'another key' : nodeKey, passed: probes - failed, failed },
          ...{ wrongBytes: wrong && below(5) > 0, principal: rarely(15) ? '' : owner },
          ...{
            address: rarely(15) ? '203.0.113.250' : address,
            asn: rarely(8) ? 0 : asn,
            rttMicros,
          },
          geohash: rarely(15) ? '' : geohash,
        },
      ]
    })
  const bundleOf = (key: string, at: number): Told => {
    const stand = rarely(16) ? oneOf(cities) : stands[at]!
    return {
      key,
      header: { stx: oneOf(principals), ...micro(stand) },
      reports: say(stands[at]!).slice(rarely(4) ? 2 + below(3) : 0),
    }
  }
  const absent = seed % 3 === 0 ? new Set([keys[below(n)]!]) : new Set<string>()
  const told = keys.map(bundleOf)
  return {
    name: `drawn from ${seed}`,
    rules: {
      ...{ keys, levels: levelSets[seed % levelSets.length]!, budget: oneOf([30_000_000n, 100_000_007n]) },
      ...{
        fee: oneOf([0n, 1_000_001n, 20_000_000n]),
        places: 1 + below(4),
        floor: oneOf([300_000, 500_000]),
      },
      ...{ domainBond: oneOf([2_000_000n, 4_000_000n, 100_000_000n]), faults },
    },
    free: oneOf([25_000_003n, 500_000_000n]),
    mirrors,
    bundles: told.filter(({ key }) => !absent.has(key)),
    former: told.filter(({ key }) => absent.has(key)),
  }
}

const drawn = Array.from({ length: 40 }, (_, at) => draw(at + 1))

/** Where what is left of a branch goes, networks that are not proven, mirrors that answer everywhere: seldom drawn, so set up. */
function arrange(name: string, rules: Pick<Rules, 'levels' | 'places' | 'domainBond'>, liar?: City): Given {
  const at = (city: string) => cities.find((one) => one.name === city)!
  const stands = ['Madrid', 'Paris', 'Chicago', 'Tokyo', 'SaoPaulo'].map(at)
  const keys = stands.map((_, nth) => `02${String(nth + 1).repeat(64)}`)
  const cast = [
    { city: 'Madrid', asn: 64_500, down: 0, claims: 'Madrid' },
    { city: 'Madrid', asn: 64_500, down: 1, claims: '' },
    { city: 'Madrid', asn: 0, down: 0, claims: '' },
    { city: 'Madrid', asn: 64_501, down: 2, claims: '' },
    { city: 'Paris', asn: 64_502, down: 0, claims: 'Paris' },
    { city: 'Chicago', asn: 0, down: 0, claims: 'Chicago' },
    { city: 'Tokyo', asn: 64_503, down: 1, claims: 'Tokyo' },
    { city: 'SaoPaulo', asn: 64_504, down: 0, claims: '' },
    { city: '', asn: 64_505, down: 0, claims: '' },
    { city: 'Tokyo', asn: 64_503, down: 0, claims: '' },
  ]
  const mirrors = cast.map((_, nth) => ({
    ...{ mirror: nth + 1, nodeKey: `node ${nth + 1}`, owner: principals[nth % 4]! },
    // The oldest has the highest id.
    ...{ bond: 1_000_003n + BigInt(nth % 3) * 500_000n, since: 120 - nth },
  }))
  const said = (stand: City, lies: boolean): Said[] =>
    cast.map(({ city, asn, down, claims }, nth) => {
      const far = city ? distanceKm(stand, at(city)) : 0
      return {
        ...{ mirror: nth + 1, nodeKey: `node ${nth + 1}`, passed: 7 - down, failed: down, wrongBytes: false },
        ...{ principal: mirrors[nth]!.owner, address: `203.0.113.${nth + 1}`, asn },
        rttMicros: lies ? 700 : Math.round(((far * 2_000) / kmPerMs) * 1.4) + 400 + nth,
        geohash: claims ? encodeGeohash(at(claims), 9) : '',
      }
    })
  return {
    name,
    rules: { ...rules, keys, budget: 77_777_777n, fee: 3_333_333n, floor: 300_000, faults: 0 },
    ...{ free: 10n ** 9n, mirrors, former: [] },
    bundles: stands.map((stand, nth) => {
      const lies = nth === 0 && liar !== undefined
      const header = { stx: principals[nth % 4]!, ...micro(lies ? liar : stand) }
      return { key: keys[nth]!, header, reports: said(stand, lies) }
    }),
  }
}

const plenty = 10n ** 9n
const arranged = [
  ...[2, 4, 5, 9].map((places) =>
    arrange(`countries of continents, ${places} places wanted`, {
      levels: ['continent', 'country', 'network'],
      places,
      domainBond: plenty,
    }),
  ),
  arrange('countries alone', { levels: ['country'], places: 3, domainBond: 1_700_000n }),
  arrange('countries and networks', { levels: ['country', 'network'], places: 7, domainBond: 1_700_000n }),
  arrange('networks alone', { levels: ['network'], places: 4, domainBond: 1_700_000n }),
  arrange(
    'an attester that stands elsewhere',
    { levels: ['continent', 'country'], places: 5, domainBond: plenty },
    cities.find(({ name }) => name === 'Sydney')!,
  ),
]
const all = [...arranged, ...drawn]

/** What a file of vectors holds; this text from now on, where they are made anew. */
function held(name: string, text: string): unknown {
  const file = new URL(name, folder)
  if (process.env.UPDATE_VECTORS) writeFileSync(file, `${text}\n`)
  return JSON.parse(readFileSync(file, 'utf8'))
}

describe('outcome.json', () => {
  test('holds what these small epochs pay', () => {
    const fresh = all.map((given) => json({ given, outcome: compute(given) }))
    const vectors = held('outcome.json', `[\n${fresh.join(',\n')}\n]`) as readonly unknown[]
    expect(vectors.map(json)).toEqual(fresh)
  })

  test('shows every verdict, and every rule of the score at work', () => {
    const outcomes = all.map((given) => ({ given, ...compute(given) }))
    const mirrors = outcomes.flatMap((of) => of.mirrors)
    const reasons = new Set(mirrors.map(({ reason }) => reason))
    expect([...reasons].sort()).toEqual(
      [
        ...[undefined, 'not bound', 'too few reports', 'wrong bytes', 'below the floor'],
        ...['place falsified', 'no share'],
      ].sort(),
    )
    expect(new Set(mirrors.map(({ claim }) => claim)).size).toBe(3)
    expect(mirrors.some(({ anycast }) => anycast)).toBe(true)
    expect(new Set(mirrors.map(({ place }) => place.length))).toEqual(new Set([0, 1, 2]))
    const payees = (of: { readonly leaves: readonly { readonly mirror: number }[] }) =>
      of.leaves.filter(({ mirror }) => mirror === 0).length
    const shows = (what: (of: (typeof outcomes)[number]) => boolean) => outcomes.filter(what).length
    // The tenth that bounds fees; an attester who says too little for one; a bond that counts in part; money and places short.
    expect(
      shows(({ given, leaves }) => given.rules.fee > given.free / 10n && leaves.length > 0),
    ).toBeGreaterThan(0)
    expect(shows((of) => payees(of) > 0 && payees(of) < of.given.bundles.length)).toBeGreaterThan(0)
    expect(
      shows(({ given, mirrors: all }) =>
        all.some((m) => m.counted > 0n && m.counted < given.mirrors.find((b) => b.mirror === m.mirror)!.bond),
      ),
    ).toBeGreaterThan(0)
    expect(shows(({ given }) => given.free < given.rules.budget)).toBeGreaterThan(0)
    expect(
      shows(
        (of) =>
          new Set(of.mirrors.filter((m) => m.amount > 0n).map((m) => m.place.join())).size >
          of.given.rules.places,
      ),
    ).toBeGreaterThan(0)
    // Who is absent is heard: without it another outcome.
    const unheard = (given: Given) => json(compute({ ...given, former: [] }))
    expect(shows(({ given }) => unheard(given) !== json(compute(given)))).toBeGreaterThan(0)
    // Each of these would go unnoticed where no vector depended on it.
    for (const change of [
      (given: Given) => ({ ...given, rules: { ...given.rules, faults: given.rules.faults + 1 } }),
      (given: Given) => ({ ...given, rules: { ...given.rules, floor: 0 } }),
      (given: Given) => ({ ...given, mirrors: given.mirrors.map((m) => ({ ...m, since: 0 })) }),
      (given: Given) => ({ ...given, rules: { ...given.rules, domainBond: 10n ** 12n } }),
      (given: Given) => ({ ...given, rules: { ...given.rules, keys: [...given.rules.keys, 'a', 'b'] } }),
    ])
      expect(shows(({ given }) => json(compute(change(given))) !== json(compute(given)))).toBeGreaterThan(2)
  })
})

/** Smallest round trip, µs, from which on something is so. */
function from(isSo: (rttMicros: number) => boolean): number {
  let [low, high] = [0, 400_000]
  if (isSo(low) || !isSo(high)) throw new Error('always so, or never')
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (isSo(middle)) high = middle
    else low = middle
  }
  return high
}

test('place.json holds the round trips at which discs begin to touch', () => {
  const spot = (city: City) => {
    const { latitude, longitude } = micro(city)
    return { latitude: latitude + 7, longitude: longitude - 13 }
  }
  const centre = (city: City) => vector(spot(city).latitude, spot(city).longitude)
  const disc = (at: City, rttMicros: number) => discOf(centre(at), rttMicros)
  const pairs = cities.slice(0, 24).map((a, nth) => ({ a, b: cities.at(-1 - nth)!, other: 500 + 631 * nth }))
  const fresh = {
    note: 'Angles in millionths of a degree, round trips in µs; each is the smallest at which what its name says is so.',
    discs: pairs.map(({ a, other }) => ({ at: spot(a), rttMicros: other, ...disc(a, other) })),
    pairs: pairs.map(({ a, b, other }) => ({
      ...{ at: spot(a), other: { at: spot(b), rttMicros: other } },
      notDisjointFrom: from((t) => !disjoint(disc(a, t), disc(b, other))),
      notShortFrom: from((t) => !shortOf(disc(a, t), centre(b))),
    })),
    claims: pairs.map(({ a, b }, nth) => {
      const geohash = encodeGeohash(b, 2 + (nth % 9))
      const holds = (t: number) => judgeClaim(geohash, [disc(a, t)], 0) === 'not falsified'
      return { at: spot(a), geohash, notFalsifiedFrom: from(holds) }
    }),
  }
  expect(held('place.json', JSON.stringify(fresh, undefined, 1))).toEqual(fresh)
})

test('borders.json holds the borders that we compute with', () => {
  const borders = { continents, sets, quadtree }
  expect(held('borders.json', JSON.stringify(borders))).toEqual(borders)
})
