import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Candidate, score } from './score.ts'

const stx = 1_000_000n
const mirror = (id: number, network: string, over: Partial<Candidate> = {}): Candidate => ({
  mirror: id,
  availability: 1_000_000,
  path: [network],
  network: '',
  bond: 100n * stx,
  since: id,
  ...over,
})
const paid = (pays: readonly { amount: bigint }[]) => pays.reduce((sum, pay) => sum + pay.amount, 0n)

const places = fc.constantFrom('AS1', 'AS2', 'AS3', 'AS4', 'AS5')
const population = fc
  .array(
    fc.record({
      place: places,
      availability: fc.integer({ min: 0, max: 1_000_000 }),
      bond: fc.bigInt(1n, 200n),
    }),
    {
      maxLength: 12,
    },
  )
  .map((rows) =>
    rows.map((row, i) => mirror(i + 1, row.place, { availability: row.availability, bond: row.bond * stx })),
  )
const terms = fc.record({
  earnings: fc.bigInt(0n, 5_000n * stx),
  places: fc.integer({ min: 1, max: 7 }),
  domainBond: fc.bigInt(1n, 300n).map((n) => n * stx),
})

describe('score', () => {
  it('gives the worked example: 14 mirrors in one network, one in Frankfurt, one in Singapore', () => {
    const crowd = Array.from({ length: 14 }, (_, i) => mirror(i + 1, 'us-west'))
    const pays = score([...crowd, mirror(15, 'frankfurt'), mirror(16, 'singapore')], {
      earnings: 1_000n * stx,
      places: 3,
      domainBond: 1_400n * stx,
    })
    const of = (ids: number[]) => paid(pays.filter((pay) => ids.includes(pay.mirror)))
    expect(of([15])).toBe(333_333_333n)
    expect(of([16])).toBe(333_333_333n)
    expect(333_333_333n - of(crowd.map((c) => c.mirror))).toBeLessThan(14n)
  })

  it('pays each of fewer places than wanted exactly q, and leaves the rest in the pool', () => {
    const pays = score([mirror(1, 'AS1'), mirror(2, 'AS2')], {
      earnings: 900n,
      places: 3,
      domainBond: 100n * stx,
    })
    expect(pays.map((pay) => pay.amount)).toEqual([300n, 300n])
  })

  it('splits a place between its networks, and passes an excess to siblings', () => {
    const at = (id: number, path: string[], network = '') => mirror(id, '', { path, network })
    const pays = score(
      [at(1, ['EU', 'DE'], 'AS1'), at(2, ['EU', 'DE'], 'AS2'), at(3, ['AS', 'SG']), at(4, ['AS', 'JP'])],
      {
        earnings: 1_200n,
        places: 3,
        domainBond: 100n * stx,
      },
    )
    // q = 400; the continents get 600 each, Europe has one place and keeps 400, Asia takes 800.
    expect(pays.map((pay) => pay.amount)).toEqual([200n, 200n, 400n, 400n])
  })

  it('pays an unproven place only where no sibling is proven', () => {
    const hidden = mirror(2, '', { path: [] })
    const open = { earnings: 900n, places: 3, domainBond: 100n * stx }
    expect(score([mirror(1, 'AS1'), hidden], open).map((pay) => pay.mirror)).toEqual([1])
    expect(score([hidden], open).map((pay) => pay.amount)).toEqual([300n])
  })

  it('lets a later bond stand by until the older mirror is down', () => {
    const older = mirror(1, 'AS1')
    const later = mirror(2, 'AS1')
    const open = { earnings: 900n, places: 3, domainBond: 100n * stx }
    expect(score([older, later], open).map((pay) => pay.mirror)).toEqual([1])
    expect(score([{ ...older, availability: 0 }, later], open).map((pay) => pay.mirror)).toEqual([2])
  })

  it('never pays more than it has', () => {
    fc.assert(fc.property(population, terms, (mirrors, t) => paid(score(mirrors, t)) <= t.earnings))
  })

  it('never pays for splitting one mirror into several at the same place', () => {
    fc.assert(
      fc.property(population, terms, fc.integer({ min: 2, max: 5 }), (mirrors, t, n) => {
        const victim = mirrors[0]
        fc.pre(victim !== undefined)
        const parts = Array.from({ length: n }, (_, i) => ({
          ...victim!,
          mirror: 100 + i,
          bond: victim!.bond / BigInt(n),
        }))
        const before = paid(score(mirrors, t).filter((pay) => pay.mirror === victim!.mirror))
        const after = paid(score([...mirrors.slice(1), ...parts], t).filter((pay) => pay.mirror >= 100))
        expect(after).toBeLessThanOrEqual(before)
      }),
    )
  })

  it('never pays less for more availability, nor changes anybody else', () => {
    fc.assert(
      fc.property(population, terms, (mirrors, t) => {
        const one = mirrors[0]
        fc.pre(one !== undefined && one.availability > 0 && one.availability < 1_000_000)
        const more = [{ ...one!, availability: 1_000_000 }, ...mirrors.slice(1)]
        const before = new Map(score(mirrors, t).map((pay) => [pay.mirror, pay.amount]))
        const after = new Map(score(more, t).map((pay) => [pay.mirror, pay.amount]))
        expect(after.get(1) ?? 0n).toBeGreaterThanOrEqual(before.get(1) ?? 0n)
        for (const other of mirrors.slice(1)) expect(after.get(other.mirror)).toBe(before.get(other.mirror))
      }),
    )
  })
})
