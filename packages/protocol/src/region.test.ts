import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type City, cities } from './cities.ts'
import { discOf } from './place.ts'
import { regionOf } from './region.ts'
import { cap, vector } from './sphere.ts'

const micro = (degrees: number) => Math.round(degrees * 1_000_000)
const at = (city: City) => vector(micro(city.latitude), micro(city.longitude))
const city = (name: string) => cities.find((c) => c.name === name)!
/** The disc around a city of so many ms of round trip. */
const within = (name: string, ms: number) => discOf(at(city(name)), ms * 1_000)

describe('region', () => {
  it('knows the continent of every city, and the country unless a border is near', () => {
    const regions = cities.map((c) => ({ c, region: regionOf([cap(at(c), 100_000)], 0) }))
    for (const { c, region } of regions) {
      expect(region.continent, c.name).toBe(c.continent)
      expect(region.country ?? c.country, c.name).toBe(c.country)
    }
    const near = regions.filter(({ region }) => !region.country).map(({ c }) => c.name)
    expect(near).toEqual(['Zurich', 'Copenhagen', 'Toronto', 'Singapore', 'HongKong', 'TelAviv', 'Almaty'])
  })

  it('proves less the longer the round trip', () => {
    const paris = [1, 3, 60].map((ms) => regionOf([within('Paris', ms)], 0))
    expect(paris).toEqual([{ continent: 'EU', country: 'FR' }, { continent: 'EU' }, {}])
  })

  it('proves a country by two discs that only together leave one', () => {
    expect(regionOf([within('Madrid', 7)], 0).country).toBeUndefined()
    expect(regionOf([within('Lisbon', 4)], 0).country).toBeUndefined()
    expect(regionOf([within('Madrid', 4.5), within('Sydney', 400)], 0)).toEqual(
      regionOf([within('Madrid', 4.5)], 0),
    )
  })

  it('needs f + 1 discs that agree, since f may be wrong', () => {
    const one = [within('Tokyo', 2), within('Paris', 300), within('Dallas', 300)]
    expect(regionOf(one, 0)).toEqual({ continent: 'AS', country: 'JP' })
    expect(regionOf(one, 1)).toEqual({})
    expect(regionOf([...one, within('Osaka', 3)], 1)).toEqual({ continent: 'AS', country: 'JP' })
    expect(regionOf(one.slice(0, 1), 1)).toEqual({})
    expect(regionOf([], 0)).toEqual({})
  })

  it('goes on across the antimeridian and around the pole', () => {
    expect(regionOf([within('Suva', 3)], 0)).toEqual({ continent: 'OC', country: 'FJ' })
    expect(regionOf([cap(vector(64_700_000, 179_900_000), 3_000_000)], 0)).toEqual({
      continent: 'EU',
      country: 'RU',
    })
    expect(regionOf([cap(vector(-90_000_000, 0), 10_000_000)], 0)).toEqual({ continent: 'AN', country: 'AQ' })
  })

  it('lets open sea prove nothing', () => {
    expect(regionOf([cap(vector(-40_000_000, -120_000_000), 5_000_000)], 0)).toEqual({})
  })

  it('never proves a place where the responder is not, while at most f discs are wrong', () => {
    const anyCity = fc.constantFrom(...cities)
    const disc = fc.record({ from: anyCity, late: fc.integer({ min: 0, max: 60_000 }) })
    const lie = fc.record({ from: anyCity, rtt: fc.integer({ min: 1, max: 60_000 }) })
    fc.assert(
      fc.property(
        anyCity,
        fc.array(disc, { maxLength: 12 }),
        fc.array(lie, { maxLength: 3 }),
        (home, honest, lies) => {
          const truth = honest.map(({ from, late }) => {
            const gap = Math.hypot(
              ...(['x', 'y', 'z'] as const).map((axis) => at(from)[axis] - at(home)[axis]),
            )
            const angle = (2 * Math.asin(Math.min(1, gap / 2 ** 25)) * 180_000_000) / Math.PI
            return discOf(at(from), Math.ceil(angle / 904) + late)
          })
          const region = regionOf(
            [...truth, ...lies.map(({ from, rtt }) => discOf(at(from), rtt))],
            lies.length,
          )
          expect(region.continent ?? home.continent).toBe(home.continent)
          expect(region.country ?? home.country).toBe(home.country)
        },
      ),
      { numRuns: 500 },
    )
  })
})
