import { describe, expect, it } from 'vitest'
import { cities } from './cities.ts'
import {
  contradict,
  discOf,
  distanceKm,
  encodeGeohash,
  isAnycast,
  judgeClaim,
  kmPerMs,
  misplaced,
  type Vantage,
} from './place.ts'
import { vector } from './sphere.ts'

const city = (name: string) => cities.find((c) => c.name === name)!
const at = (name: string) =>
  vector(Math.round(city(name).latitude * 1e6), Math.round(city(name).longitude * 1e6))
const within = (name: string, ms: number) => discOf(at(name), ms * 1_000)
const claim = (name: string) => encodeGeohash(city(name), 6)

describe('place', () => {
  it('falsifies a claim that more than f discs rule out', () => {
    const discs = [within('Paris', 5), within('London', 8), within('Tokyo', 300)]
    expect(judgeClaim(claim('Sydney'), discs, 1)).toBe('falsified')
    expect(judgeClaim(claim('Sydney'), discs, 2)).toBe('not falsified')
    expect(judgeClaim(claim('Paris'), discs, 0)).toBe('not falsified')
    expect(judgeClaim(claim('Madrid'), discs, 0)).toBe('falsified')
  })

  it('takes what is no geohash for no claim, and reads eight characters', () => {
    expect(judgeClaim('', [within('Paris', 1)], 0)).toBe('no claim')
    expect(judgeClaim('u0a', [within('Paris', 1)], 0)).toBe('no claim')
    expect(judgeClaim('u09tvw0fzzzz', [within('Paris', 1)], 0)).toBe('not falsified')
    expect(judgeClaim('u09tvw0f!!!!', [within('Paris', 1)], 0)).toBe('not falsified')
  })

  it('counts a claim whose cell the disc only reaches', () => {
    expect(judgeClaim('u', [within('Paris', 1)], 0)).toBe('not falsified')
    expect(judgeClaim('s', [within('Tokyo', 1)], 0)).toBe('falsified')
  })

  it('calls a key anycast when f wrong attesters cannot explain its disjoint discs', () => {
    const here = [within('Paris', 3), within('London', 5)]
    const there = [within('Tokyo', 3), within('Seoul', 12)]
    expect(isAnycast(here, 0)).toBe(false)
    expect(isAnycast([...here, there[0]!], 0)).toBe(true)
    expect(isAnycast([...here, there[0]!], 1)).toBe(false)
    expect(isAnycast([...here, ...there], 1)).toBe(true)
    expect(isAnycast([...here, ...there], 2)).toBe(false)
  })

  const honest = ['Tokyo', 'Osaka', 'Seoul', 'Taipei', 'HongKong', 'Paris']
  const mirrors = ['Tokyo', 'Osaka', 'Seoul', 'Taipei', 'Paris', 'Dallas']
  /** An attester in one city that says it stands in another. */
  const attester = (really: string, says = really): Vantage => ({
    key: really,
    centre: at(says),
    discs: new Map(
      mirrors.map((mirror, i) => {
        const micros = (2_000 * distanceKm(city(really), city(mirror))) / kmPerMs
        return [i, discOf(at(says), 1_000 + Math.ceil(micros))] as const
      }),
    ),
  })

  it('finds no contradiction between attesters that stand where they say', () => {
    const all = honest.map((name) => attester(name))
    for (const a of all) for (const b of all) if (a !== b) expect(contradict(a, b)).toBe(false)
    expect(misplaced(all, 0)).toEqual(new Set())
  })

  it('finds the attester whose coordinates more than f others contradict', () => {
    const all = honest.map((name) => (name === 'Osaka' ? attester('Osaka', 'Paris') : attester(name)))
    expect(misplaced(all, 1)).toEqual(new Set(['Osaka']))
    expect(misplaced(all, 9)).toEqual(new Set())
  })

  it('blames a mirror that answers in two places, not the attesters that saw it', () => {
    const tokyo = attester('Tokyo')
    const paris = attester('Paris')
    const anycast = { ...paris, discs: new Map([...paris.discs, [0, within('Paris', 1)]]) }
    expect(contradict(tokyo, anycast)).toBe(false)
  })
})
