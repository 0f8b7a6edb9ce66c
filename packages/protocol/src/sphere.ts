/**
 * Geometry that decides money, in integers alone, so that every machine and language comes to the same verdict. Angles are millionths of a
 * degree (µ°); lengths are chords of a sphere of radius 2²⁴, about 0.4 m each. All numbers stay below 2⁵³. docs/protocol.md: Place.
 */

const bits = 64n
/** π · 2⁶⁴, down. */
const pi = (314159265358979323846264338327950288419716939937510n << bits) / 10n ** 50n
export const radius = 2 ** 24
/** Covers all rounding below: about 3 m. */
const slack = 8

/**
 * The integer nearest to 2²⁴ · sin(angle). The runtime's sine, some ten digits more exact than needed here, only says which one: close to a
 * half, where its last digits could matter, integers decide.
 */
export function sine(angle: number): number {
  const turn = ((angle % 360_000_000) + 360_000_000) % 360_000_000
  if (turn >= 180_000_000) return -sine(turn - 180_000_000) || 0
  const acute = turn > 90_000_000 ? 180_000_000 - turn : turn
  const about = radius * Math.sin((acute * Math.PI) / 180_000_000)
  const nearest = Math.round(about)
  return Math.abs(about - nearest) < 0.499 ? nearest : exactSine(acute)
}

/** The same for 0 to 90°, by integers alone. */
export function exactSine(acute: number): number {
  const x = (BigInt(acute) * pi) / 180_000_000n
  const square = (x * x) >> bits
  let term = x
  let sum = 0n
  for (let n = 1n; term !== 0n; n += 2n) {
    sum += term
    term = -((term * square) >> bits) / ((n + 1n) * (n + 2n))
  }
  return Number((sum + (1n << (bits - 25n))) >> (bits - 24n))
}

export const cosine = (angle: number): number => sine(angle + 90_000_000)

/** A point on the sphere. */
export interface Vector {
  readonly x: number
  readonly y: number
  readonly z: number
}

const scaled = (product: number): number => Math.floor(product / radius + 0.5)

/** From the sines and cosines of latitude and longitude. */
export const vectorFrom = (sinLat: number, cosLat: number, sinLon: number, cosLon: number): Vector => ({
  x: scaled(cosLat * cosLon),
  y: scaled(cosLat * sinLon),
  z: sinLat,
})

/** The point at a latitude and longitude, µ°. */
export const vector = (latitude: number, longitude: number): Vector =>
  vectorFrom(sine(latitude), cosine(latitude), sine(longitude), cosine(longitude))

const distanceSquared = (a: Vector, b: Vector): number =>
  (a.x - b.x) ** 2 + (a.y - b.y) ** 2 + (a.z - b.z) ** 2

/** A disc on the sphere. */
export interface Cap {
  readonly centre: Vector
  /** Its radius, µ°; 180,000,000 or more is the whole sphere. */
  readonly angle: number
  /** 2²⁴ times the sine and cosine of half its radius. */
  readonly halfSine: number
  readonly halfCosine: number
}

export function cap(centre: Vector, angle: number): Cap {
  const half = Math.ceil(Math.min(angle, 180_000_000) / 2)
  return { centre, angle, halfSine: sine(half), halfCosine: cosine(half) }
}

/** A box between meridians and parallels, widened to the ball around its middle that holds it. */
export interface Box {
  readonly centre: Vector
  /** Chord within which all of it lies. */
  readonly reach: number
}

/**
 * The chord that reaches all of a box from its middle: first along the parallel, then along the meridian. `halfLat` and `halfLon` µ°,
 * `widest` 2²⁴ times the cosine of its latitude nearest the equator.
 */
export function boxReach(halfLat: number, halfLon: number, widest: number): number {
  const way = halfLat + Math.ceil((halfLon * widest) / radius)
  // 2²⁴ · π / 180,000,000 = 0.29282
  return Math.floor((way * 293) / 1_000) + 1
}

/** Whether a box may touch a disc. Never denies it of one that does. */
export const touches = (box: Box, disc: Cap): boolean =>
  distanceSquared(box.centre, disc.centre) <= (2 * disc.halfSine + box.reach + slack) ** 2

/** Whether two discs share no point. Never says so of two that do. */
export function disjoint(a: Cap, b: Cap): boolean {
  if (a.angle + b.angle >= 180_000_000) return false
  const chord = 2 * Math.ceil((a.halfSine * b.halfCosine + a.halfCosine * b.halfSine) / radius) + slack
  return distanceSquared(a.centre, b.centre) > chord ** 2
}

/** Whether a disc reaches less than halfway to a point. */
export function shortOf(disc: Cap, point: Vector): boolean {
  if (disc.angle >= 90_000_000) return false
  const chord = 4 * Math.ceil((disc.halfSine * disc.halfCosine) / radius) + slack
  return distanceSquared(disc.centre, point) > chord ** 2
}
