import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Candidate, livePlaces, score } from './score.ts'
import { properties, randomTrial } from './score-properties.ts'

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

/** Chance comes from fast-check, so that a failing population shrinks. */
const trial = fc
  .infiniteStream(fc.integer({ min: 0, max: 2 ** 30 - 1 }))
  .map((stream) => randomTrial((below) => stream.next().value! % below, 16))

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

  it('counts an unproven place only where no sibling is proven', () => {
    const at = (id: number, path: string[]) => mirror(id, '', { path })
    expect(livePlaces([at(1, ['EU', 'DE']), at(2, ['EU']), at(3, []), at(4, ['AS'])])).toBe(2)
    expect(livePlaces([at(2, ['EU']), at(3, [])])).toBe(1)
    expect(livePlaces([at(3, []), { ...at(1, ['EU', 'DE']), availability: 0 }])).toBe(1)
    expect(livePlaces([])).toBe(0)
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

  for (const [property, holds] of Object.entries(properties))
    it(property, () => {
      fc.assert(
        fc.property(trial, (t) => holds(t)),
        { numRuns: 300 },
      )
    })
})
