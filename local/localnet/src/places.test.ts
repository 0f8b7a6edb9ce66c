import { decodeGeohash, distanceKm, encodeGeohash } from '@understudy/protocol/place'
import { expect, test } from 'vitest'
import { attesterPlans, forgeAddress, forgeHost, mirrorPlans, placeOf, places, placesFile } from './places.ts'

test('every address stands in exactly one place, and is a loopback address of its own', () => {
  const addresses = places.flatMap((place) => place.addresses)
  expect(new Set(addresses).size).toBe(addresses.length)
  expect(addresses).toHaveLength(mirrorPlans.length + attesterPlans.length)
  for (const address of [...addresses, forgeAddress]) expect(address).toMatch(/^127\.0\.[1-9]\.\d+$/)
})

test('places A and B hold a good mirror and a faulty one, place C a good one', () => {
  const in_ = (name: string) =>
    mirrorPlans.filter((plan) => plan.place === name).map((plan) => plan.fault ?? 'good')
  expect([in_('A'), in_('B'), in_('C')]).toEqual([['good', 'stale'], ['good', 'tampering'], ['good']])
})

test('the file names networks of the documentation range and the host of the forge', () => {
  const file = JSON.parse(placesFile())
  expect(file.hosts).toEqual({ [forgeHost]: forgeAddress })
  for (const place of file.places) {
    expect(place.network).toBeGreaterThanOrEqual(64_496)
    expect(place.network).toBeLessThanOrEqual(64_511)
  }
})

test('a geohash of five characters lies within a few kilometres of its place', () => {
  for (const place of places) {
    expect(distanceKm(decodeGeohash(encodeGeohash(place, 5)).centre, place)).toBeLessThan(5)
  }
})

test('an unknown place is an error', () => {
  expect(() => placeOf('D')).toThrow('no place is called D')
})
