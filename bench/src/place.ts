import { performance } from 'node:perf_hooks'
import { type City, cities } from '@understudy/protocol/cities'
import { discOf, distanceKm, encodeGeohash, isAnycast, judgeClaim, kmPerMs } from '@understudy/protocol/place'
import { regionOf } from '@understudy/protocol/region'
import { type Cap, vector } from '@understudy/protocol/sphere'
import { dice } from './dice.ts'
import type { BenchResult } from './result.ts'

const perCell = 1_250
const attesterCounts = [3, 5, 7, 9, 13, 21]
const faultCounts = [0, 1, 2, 3]

type Pick = (below: number) => number
const micro = (degrees: number) => Math.round(degrees * 1_000_000)

/** A round trip over fibre, µs: never faster than light, mostly 1.2 to 2 times the great circle and up to 3 ms of last miles; one in ten straight. */
function roundTrip(from: City, to: City, pick: Pick): number {
  const straight = pick(10) === 0
  const detour = straight ? 1 : 1.2 + pick(80) / 100
  const lastMile = straight ? 0 : 100 + pick(2_900)
  return Math.ceil(((2 * distanceKm(from, to)) / kmPerMs) * 1_000 * detour) + lastMile + 1
}

const disc = (at: City, rttMicros: number): Cap =>
  discOf(vector(micro(at.latitude), micro(at.longitude)), rttMicros)

/** What the outcome makes of the discs: the same steps in the same order. */
const proven = (discs: readonly Cap[], f: number) => (isAnycast(discs, f) ? {} : regionOf(discs, f))
const claimOf = (city: City) => encodeGeohash(city, 5)

/** `n` different cities. */
function draw(n: number, pick: Pick): City[] {
  const left = [...cities]
  return Array.from({ length: n }, () => left.splice(pick(left.length), 1)[0]!)
}

/**
 * Honest mirrors: f attesters lie about them, by a random round trip seen from a random city. Lying mirrors: they claim another country,
 * delay answers to whom they like, and f attesters vouch for them by tiny round trips from beside the claimed place.
 */
export async function bench(): Promise<BenchResult> {
  const started = performance.now()
  const pick = dice(1)
  let honest = 0
  let honestFalsified = 0
  let honestMisplaced = 0
  let liars = 0
  let liarsProven = 0
  let liarsFalsified = 0
  const table: Record<string, number>[] = []
  for (const n of attesterCounts)
    for (const f of faultCounts) {
      if (f * 2 >= n) continue
      const shown = { continent: 0, country: 0, nearContinent: 0, nearCountry: 0 }
      for (let i = 0; i < perCell; i++) {
        const home = cities[pick(cities.length)]!
        const attesters = draw(n, pick)
        const truth = attesters.map((at) => disc(at, roundTrip(at, home, pick)))
        const region = proven(truth, f)
        if (region.continent) shown.continent++
        if (region.country) shown.country++
        // The same with f + 1 of the attesters in the mirror's own city.
        const beside = attesters.map((at, k) => (k <= f ? home : at))
        const near = proven(
          beside.map((at) => disc(at, roundTrip(at, home, pick))),
          f,
        )
        if (near.continent) shown.nearContinent++
        if (near.country) shown.nearCountry++
        const slandered = truth.map((is, k) =>
          k < f ? disc(cities[pick(cities.length)]!, 1 + pick(50_000)) : is,
        )
        honest++
        if (judgeClaim(claimOf(home), slandered, f) === 'falsified') honestFalsified++
        for (const seen of [region, near, proven(slandered, f)])
          if (
            (seen.country ?? home.country) !== home.country ||
            (seen.continent ?? home.continent) !== home.continent
          )
            honestMisplaced++

        const claimed = cities[pick(cities.length)]!
        if (claimed.country === home.country) continue
        const vouched = truth.map((is, k) => {
          if (k < f) return disc(claimed, 1 + pick(3_000))
          return pick(2) === 0
            ? is
            : disc(attesters[k]!, roundTrip(attesters[k]!, home, pick) + pick(200_000))
        })
        liars++
        if (judgeClaim(claimOf(claimed), vouched, f) === 'falsified') liarsFalsified++
        const told = proven(vouched, f)
        if (
          (told.country ?? home.country) !== home.country ||
          (told.continent ?? home.continent) !== home.continent
        )
          liarsProven++
      }
      const share = (count: number) => Math.round((count / perCell) * 1_000) / 10
      table.push({
        attesters: n,
        f,
        continentPercent: share(shown.continent),
        countryPercent: share(shown.country),
        nearContinentPercent: share(shown.nearContinent),
        nearCountryPercent: share(shown.nearCountry),
      })
    }
  for (const row of table) console.error(`| ${Object.values(row).join(' | ')} |`)
  const wrong = honestFalsified + honestMisplaced + liarsProven
  return {
    bench: 'place',
    value: wrong,
    unit: 'wrong verdicts',
    floor: 0,
    ratio: wrong,
    goal: 0,
    met: wrong === 0 && honest >= 20_000,
    honest,
    honestFalsified,
    honestMisplaced,
    liars,
    liarsProven,
    liarsFalsified,
    table,
    seconds: Math.round((performance.now() - started) / 1_000),
  }
}
