/** A point on Earth, degrees. */
export interface Point {
  readonly latitude: number
  readonly longitude: number
}

/** A disc that a round trip proves the responder to be in. */
export interface Disc {
  readonly centre: Point
  readonly radiusKm: number
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

/** The disc that a round trip of `rttMicros` µs seen at `centre` puts the responder in. */
export function discOf(centre: Point, rttMicros: number): Disc {
  return { centre, radiusKm: (rttMicros / 2_000) * kmPerMs }
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

/** What the round trips say of a claimed place. Proving a level is another matter: it needs attesters near it. */
export type ClaimVerdict = 'falsified' | 'not falsified' | 'no claim'

/**
 * Whether a claimed place can be true: it must lie (its cell touching) in at least n − f of the n discs, since f of the
 * attesters may be wrong. design: Place.
 */
export function judgeClaim(geohash: string, discs: readonly Disc[], faults: number): ClaimVerdict {
  if (!geohash) return 'no claim'
  const claim = decodeGeohash(geohash)
  const outside = discs.filter(
    (disc) => distanceKm(claim.centre, disc.centre) - claim.radiusKm > disc.radiusKm,
  )
  return outside.length > faults ? 'falsified' : 'not falsified'
}
