import {
  type Box,
  boxReach,
  type Cap,
  cap,
  cosine,
  disjoint,
  shortOf,
  touches,
  type Vector,
  vector,
} from './sphere.ts'

/** A point on Earth, degrees. */
export interface Point {
  readonly latitude: number
  readonly longitude: number
}

/** Two thirds of the speed of light, km per ms: light in fibre. design: Place. */
export const kmPerMs = 199.86
const earthRadiusKm = 6_371.0088

/** Great-circle distance, km. */
export function distanceKm(a: Point, b: Point): number {
  const rad = Math.PI / 180
  const dLat = (b.latitude - a.latitude) * rad
  const dLon = (b.longitude - a.longitude) * rad
  const h =
    Math.sin(dLat / 2) ** 2 +
    Math.cos(a.latitude * rad) * Math.cos(b.latitude * rad) * Math.sin(dLon / 2) ** 2
  return 2 * earthRadiusKm * Math.asin(Math.min(1, Math.sqrt(h)))
}

const alphabet = '0123456789bcdefghjkmnpqrstuvwxyz'

/** Centre and half-diagonal (km) of a geohash cell. */
export function decodeGeohash(geohash: string): { centre: Point; radiusKm: number } {
  const lat: [number, number] = [-90, 90]
  const lon: [number, number] = [-180, 180]
  let even = true
  for (const char of geohash) {
    const value = alphabet.indexOf(char)
    if (value < 0) throw new Error(`geohash: ${JSON.stringify(char)} is not in its alphabet`)
    for (let bit = 16; bit > 0; bit >>= 1) {
      const range = even ? lon : lat
      range[value & bit ? 0 : 1] = (range[0] + range[1]) / 2
      even = !even
    }
  }
  const centre = { latitude: (lat[0] + lat[1]) / 2, longitude: (lon[0] + lon[1]) / 2 }
  return { centre, radiusKm: distanceKm(centre, { latitude: lat[1], longitude: lon[1] }) }
}

/** Geohash of a point. */
export function encodeGeohash(point: Point, length: number): string {
  const lat: [number, number] = [-90, 90]
  const lon: [number, number] = [-180, 180]
  let hash = ''
  let even = true
  while (hash.length < length) {
    let value = 0
    for (let bit = 0; bit < 5; bit++) {
      const range = even ? lon : lat
      const middle = (range[0] + range[1]) / 2
      const upper = (even ? point.longitude : point.latitude) >= middle
      range[upper ? 0 : 1] = middle
      value = value * 2 + (upper ? 1 : 0)
      even = !even
    }
    hash += alphabet[value]
  }
  return hash
}

/**
 * How far light in fibre gets in 1 µs of round trip, µ°: 199.86 km/ms / 2 where a degree is shortest on the ellipsoid (110.574 km),
 * rounded up. On the sphere this never makes a disc too small.
 */
const anglePerMicro = 904

/** The disc that a round trip of `rttMicros` µs seen at `centre` puts the responder in. */
export const discOf = (centre: Vector, rttMicros: number): Cap => cap(centre, anglePerMicro * rttMicros)

/** What the round trips say of a claimed place. What they prove is another matter, and needs no claim. */
export type ClaimVerdict = 'falsified' | 'not falsified' | 'no claim'

/** The cell of a geohash, µ°, rounded outward; characters after the eighth (38 m) are not read. Undefined when it is none. */
function cellOf(geohash: string): Box | undefined {
  const index: [number, number] = [0, 0]
  const size: [number, number] = [1, 1]
  let axis: 0 | 1 = 0
  for (const char of geohash.slice(0, 8)) {
    const value = alphabet.indexOf(char)
    if (value < 0) return undefined
    for (let bit = 16; bit > 0; bit >>= 1) {
      index[axis] = index[axis] * 2 + (value & bit ? 1 : 0)
      size[axis] *= 2
      axis = axis === 0 ? 1 : 0
    }
  }
  const range = (of: 0 | 1, whole: number) => {
    const low = Math.floor((whole * index[of]) / size[of]) - whole / 2
    const high = Math.ceil((whole * (index[of] + 1)) / size[of]) - whole / 2
    const middle = Math.floor((low + high) / 2)
    return { low, high, middle, half: high - middle }
  }
  const lon = range(0, 360_000_000)
  const lat = range(1, 180_000_000)
  const nearest = lat.low >= 0 ? lat.low : Math.min(0, lat.high)
  return { centre: vector(lat.middle, lon.middle), reach: boxReach(lat.half, lon.half, cosine(nearest)) }
}

/**
 * Whether a claimed place can be true: its cell must touch at least n − f of the n discs, since f of the attesters may be wrong.
 * design: Place.
 */
export function judgeClaim(geohash: string, discs: readonly Cap[], faults: number): ClaimVerdict {
  const cell = geohash ? cellOf(geohash) : undefined
  if (!cell) return 'no claim'
  return discs.filter((disc) => !touches(cell, disc)).length > faults ? 'falsified' : 'not falsified'
}

/** Whether leaving out `faults` discs can leave none disjoint. */
function coverable(pairs: readonly (readonly [Cap, Cap])[], faults: number): boolean {
  const first = pairs[0]
  if (!first) return true
  return (
    faults > 0 &&
    first.some((disc) =>
      coverable(
        pairs.filter((pair) => !pair.includes(disc)),
        faults - 1,
      ),
    )
  )
}

/** Whether one key answers in several places: more discs are disjoint than f wrong attesters explain. */
export function isAnycast(discs: readonly Cap[], faults: number): boolean {
  const pairs = discs.flatMap((a, i) =>
    discs.slice(i + 1).flatMap((b) => (disjoint(a, b) ? [[a, b] as const] : [])),
  )
  return !coverable(pairs, faults)
}

/** Where an attester says it stands, and the disc of every mirror that it timed. */
export interface Vantage {
  readonly key: string
  readonly centre: Vector
  readonly discs: ReadonlyMap<number, Cap>
}

/** Mirrors on which two attesters must contradict each other before it is theirs rather than the mirrors' doing. */
const fewest = 3

/**
 * Whether two attesters cannot both stand where they say: of the mirrors that one of them sees within less than half of the way to the other,
 * most have disjoint discs.
 */
export function contradict(a: Vantage, b: Vantage): boolean {
  let telling = 0
  let apart = 0
  for (const [mirror, discA] of a.discs) {
    const discB = b.discs.get(mirror)
    if (!discB || !(shortOf(discA, b.centre) || shortOf(discB, a.centre))) continue
    telling++
    if (disjoint(discA, discB)) apart++
  }
  return apart >= fewest && apart * 2 > telling
}

/** Attesters that more than f others contradict: while at most f are wrong, their coordinates are. */
export function misplaced(attesters: readonly Vantage[], faults: number): Set<string> {
  const against = new Map<string, number>()
  for (const [i, a] of attesters.entries())
    for (const b of attesters.slice(i + 1)) {
      if (!contradict(a, b)) continue
      for (const { key } of [a, b]) against.set(key, (against.get(key) ?? 0) + 1)
    }
  return new Set([...against].filter(([, count]) => count > faults).map(([key]) => key))
}
