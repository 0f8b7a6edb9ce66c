import type { Point } from '@understudy/protocol/place'
import { bind } from './ports.ts'

/** A pretended place: a point on Earth, an autonomous system, and the loopback addresses that stand in it. */
export interface Place extends Point {
  readonly name: string
  readonly city: string
  /** From the range that is kept for documentation (RFC 5398). */
  readonly network: number
  readonly country: string
  readonly addresses: readonly string[]
}

/** What a demo mirror does wrong. */
export type Fault = 'stale' | 'tampering'

export interface MirrorPlan {
  readonly name: string
  readonly place: string
  readonly address: string
  readonly fault?: Fault
}

export interface AttesterPlan {
  readonly name: string
  readonly place: string
  /** Where its probes leave from: the delay proxies know the place by it. */
  readonly egress: string
}

export const mirrorPlans: readonly MirrorPlan[] = [
  { name: 'good-a', place: 'A', address: '127.0.1.1' },
  { name: 'stale', place: 'A', address: '127.0.1.2', fault: 'stale' },
  { name: 'good-b', place: 'B', address: '127.0.2.1' },
  { name: 'tamperer', place: 'B', address: '127.0.2.2', fault: 'tampering' },
  { name: 'good-c', place: 'C', address: '127.0.3.1' },
]

export const attesterPlans: readonly AttesterPlan[] = [
  { name: 'attester-a', place: 'A', egress: '127.0.1.101' },
  { name: 'attester-b', place: 'B', egress: '127.0.2.101' },
  { name: 'attester-c', place: 'C', egress: '127.0.3.101' },
]

const addressesIn = (place: string): string[] => [
  ...mirrorPlans.filter((plan) => plan.place === place).map((plan) => plan.address),
  ...attesterPlans.filter((plan) => plan.place === place).map((plan) => plan.egress),
]

export const places: readonly Place[] = [
  { name: 'A', city: 'Frankfurt', network: 64501, country: 'DE', latitude: 50.11, longitude: 8.68 },
  { name: 'B', city: 'Ashburn', network: 64502, country: 'US', latitude: 39.04, longitude: -77.49 },
  { name: 'C', city: 'Singapore', network: 64503, country: 'SG', latitude: 1.35, longitude: 103.82 },
].map((place) => ({ ...place, addresses: addressesIn(place.name) }))

/** Stands for a public git host. */
export const forgeHost = 'forge.understudy.test'
export const forgeAddress = '127.0.9.1'

export function placeOf(name: string): Place {
  const place = places.find((p) => p.name === name)
  if (!place) throw new Error(`no place is called ${name}`)
  return place
}

/** The file that the programs' `PLACES_FILE` names. */
export function placesFile(): string {
  const rows = places.map(({ name, network, latitude, longitude, addresses }) => ({
    name,
    network,
    latitude,
    longitude,
    addresses,
  }))
  return `${JSON.stringify({ places: rows, hosts: { [forgeHost]: forgeAddress } }, undefined, 2)}\n`
}

/** One line that says how to mend it when a loopback address of a place cannot be bound; undefined when all can. */
export async function unboundAddresses(): Promise<string | undefined> {
  const wanted = [...places.flatMap((place) => place.addresses), forgeAddress]
  const bound = await Promise.all(wanted.map((address) => bind(address, 0)))
  const missing = wanted.filter((_, at) => bound[at] === undefined)
  if (missing.length === 0) return undefined
  return (
    `cannot listen on ${missing[0]}: give the loopback interface the addresses of the places, on macOS with: ` +
    `for a in ${missing.join(' ')}; do sudo ifconfig lo0 alias $a; done`
  )
}
