import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { boxReach, cap, cosine, disjoint, exactSine, radius, sine, touches, vector } from './sphere.ts'

const latitude = fc.integer({ min: -90_000_000, max: 90_000_000 })
const longitude = fc.integer({ min: -180_000_000, max: 180_000_000 })
const point = fc.tuple(latitude, longitude)
const rad = (angle: number) => (angle * Math.PI) / 180_000_000
/** Great-circle angle, µ°, by floating point. */
const between = ([lat1, lon1]: readonly [number, number], [lat2, lon2]: readonly [number, number]) => {
  const h =
    Math.sin(rad(lat2 - lat1) / 2) ** 2 +
    Math.cos(rad(lat1)) * Math.cos(rad(lat2)) * Math.sin(rad(lon2 - lon1) / 2) ** 2
  return (2 * Math.asin(Math.min(1, Math.sqrt(h))) * 180_000_000) / Math.PI
}

describe('sphere', () => {
  it('has the sine as the nearest integer', () => {
    expect([0, 30, 90, 180, 210, 270, 360, -30].map((degrees) => sine(degrees * 1_000_000))).toEqual([
      0, 8_388_608, 16_777_216, 0, -8_388_608, -16_777_216, 0, -8_388_608,
    ])
    expect([1, 1_000_000, 45_000_000, 50_110_000, 89_999_999].map(sine)).toEqual([
      0, 292_803, 11_863_283, 12_872_774, 16_777_216,
    ])
    fc.assert(
      fc.property(fc.integer({ min: -720_000_000, max: 720_000_000 }), (angle) => {
        expect(Math.abs(sine(angle) - radius * Math.sin(rad(angle)))).toBeLessThan(0.5001)
        expect(Math.abs(cosine(angle) - radius * Math.cos(rad(angle)))).toBeLessThan(0.5001)
      }),
    )
  })

  it('has the same sine by integers alone, at every hundredth of a degree and next to every half', () => {
    const check = (angle: number) => {
      if (sine(angle) !== exactSine(angle)) expect([angle, sine(angle)]).toEqual([angle, exactSine(angle)])
    }
    for (let angle = 0; angle <= 90_000_000; angle += 9_973) check(angle)
    // Where the runtime's sine says half: one step on the angle's scale is up to 0.3 of a unit.
    for (let value = 0; value < radius; value += 10_007) {
      const near = Math.round((Math.asin((value + 0.5) / radius) * 180_000_000) / Math.PI)
      for (const angle of [near - 1, near, near + 1]) if (angle <= 90_000_000) check(angle)
    }
  })

  it('never denies that a box touches a disc that holds a point of it', () => {
    const size = fc.constantFrom(20, 125_000, 1_000_000, 32_000_000)
    const inside = fc.tuple(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
    )
    fc.assert(
      fc.property(point, size, inside, point, ([lat, lon], half, [x, y], from) => {
        const [south, north] = [lat - half, lat + half]
        const nearest = south >= 0 ? south : Math.min(0, north)
        const at = [lat - half + 2 * half * y, lon - half + 2 * half * x] as const
        if (Math.abs(at[0]) > 90_000_000) return
        const box = { centre: vector(lat, lon), reach: boxReach(half, half, Math.abs(cosine(nearest))) }
        expect(touches(box, cap(vector(...from), Math.ceil(between(at, from))))).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  it('calls two discs disjoint only when they are, and by 50 m always', () => {
    const angle = fc.integer({ min: 1, max: 90_000_000 })
    fc.assert(
      fc.property(point, point, angle, angle, (a, b, ra, rb) => {
        const gap = between(a, b) - ra - rb
        const found = disjoint(cap(vector(...a), ra), cap(vector(...b), rb))
        if (gap <= 0) expect(found).toBe(false)
        // Near the antipode a chord hardly grows with its angle.
        if (gap > 500 && ra + rb < 150_000_000) expect(found).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })
})
