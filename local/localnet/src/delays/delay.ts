import { distanceKm, kmPerMs, type Point } from '@understudy/protocol/place'

/** Cables are longer than great circles. */
export const detour = 1.2

/** How long bytes take from one point to another, ms: light in fibre along a detour. */
export function oneWayMs(from: Point, to: Point): number {
  return (distanceKm(from, to) / kmPerMs) * detour
}

/** Where addresses stand. */
export interface Located extends Point {
  readonly addresses: readonly string[]
}

/** One-way delay between two addresses, ms; 0 when either stands nowhere. */
export function delayBetween(places: readonly Located[], source: string, destination: string): number {
  // A dual-stack socket names IPv4 peers in IPv6 form.
  const at = (address: string) =>
    places.find((place) => place.addresses.includes(address.replace(/^::ffff:/, '')))
  const from = at(source)
  const to = at(destination)
  return from && to ? oneWayMs(from, to) : 0
}
