import { continents, quadtree, sets } from './borders.ts'
import { type Box, boxReach, type Cap, cosine, radius, sine, touches, vectorFrom } from './sphere.ts'

/** What is known of where a region lies: the one country and continent that it touches, should it be one. Sea is nobody's. */
export interface Region {
  readonly continent?: string
  readonly country?: string
}

/** A leaf of the quadtree of borders, or four boxes. */
interface Node {
  readonly south: number
  readonly west: number
  /** Its side, µ°. */
  readonly size: number
  readonly box: Box
  readonly children: readonly Node[]
  /** Countries that it touches, ascending. */
  readonly countries: readonly string[]
  readonly continents: readonly string[]
}

const continentOf = new Map(
  Object.entries(continents).flatMap(([continent, countries]) =>
    countries.split(' ').map((country) => [country, continent] as const),
  ),
)

const side = 512_000_000
/** Verdicts are taken on cells of ⅛°; larger boxes only save time. */
const cell = 125_000
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

const angles = new Map<number, { sin: number; cos: number }>()
const trigonometry = (angle: number) => {
  const known = angles.get(angle)
  if (known) return known
  const fresh = { sin: sine(angle), cos: cosine(angle) }
  angles.set(angle, fresh)
  return fresh
}
const boxOf = (south: number, west: number, size: number): Box => {
  const half = size / 2
  const lat = trigonometry(south + half)
  const lon = trigonometry(west + half)
  const nearest = south >= 0 ? south : Math.min(0, south + size)
  const widest = nearest === 0 ? radius : trigonometry(nearest).cos
  return {
    centre: vectorFrom(lat.sin, lat.cos, lon.sin, lon.cos),
    // What holds cells is rounded apart from them: wide enough to touch whatever one of them touches.
    reach: boxReach(half, half, Math.abs(widest)) + (size > cell ? 64 : 0),
  }
}

/** South-west, south-east, north-west, north-east. */
function quarters(south: number, west: number, size: number): [south: number, west: number, size: number][] {
  const half = size / 2
  return [
    [south, west, half],
    [south, west + half, half],
    [south + half, west, half],
    [south + half, west + half, half],
  ]
}

/** Reads the quadtree; the rules are in docs/protocol.md: Borders. */
function readBorders(): Node {
  let at = 0
  const bit = () => {
    const value = alphabet.indexOf(quadtree[Math.floor(at / 6)]!)
    const read = (value >> (5 - (at % 6))) & 1
    at++
    return read
  }
  const gamma = () => {
    let length = 0
    while (bit() === 0) length++
    let value = 1
    for (; length > 0; length--) value = value * 2 + bit()
    return value
  }
  const named = sets.map((set) => {
    const countries = set === '' ? [] : set.split(' ')
    return { countries, continents: union(countries.map((country) => [continentOf.get(country)!])) }
  })
  const recent = named.map((_, index) => index)
  const read = (south: number, west: number, size: number): Node => {
    const box = boxOf(south, west, size)
    if (bit() === 0) {
      const [index] = recent.splice(gamma() - 1, 1)
      recent.unshift(index!)
      return { south, west, size, box, children: [], ...named[index!]! }
    }
    const children = quarters(south, west, size).map((quarter) => read(...quarter))
    return {
      south,
      west,
      size,
      box,
      children,
      countries: union(children.map((child) => child.countries)),
      continents: union(children.map((child) => child.continents)),
    }
  }
  return read(-side / 2, -side / 2, side)
}

const union = (lists: readonly (readonly string[])[]): readonly string[] => {
  const longest = lists.reduce((a, b) => (b.length > a.length ? b : a), [])
  if (lists.every((list) => list.every((value) => longest.includes(value)))) return longest
  return [...new Set(lists.flat())].sort()
}

let borders: Node | undefined

/**
 * The country and the continent that all of a region lies in, where the region is every cell that at least n − f of the n discs touch.
 * While at most f discs are wrong, whoever is in all the others is in one of its cells.
 */
export function regionOf(discs: readonly Cap[], faults: number): Region {
  if (discs.length <= faults) return {}
  const countries = new Set<string>()
  const found = new Set<string>()
  borders ??= readBorders()
  const within = (box: Box): boolean => {
    let outside = 0
    for (const disc of discs) if (!touches(box, disc) && ++outside > faults) return false
    return true
  }
  const holdsCell = (south: number, west: number, size: number): boolean => {
    if (!within(boxOf(south, west, size))) return false
    if (size === cell) return true
    return quarters(south, west, size).some((quarter) => holdsCell(...quarter))
  }
  const visit = (node: Node): void => {
    if (found.size > 1) return
    const more = countries.size > 1 ? [] : node.countries
    if (more.every((c) => countries.has(c)) && node.continents.every((c) => found.has(c))) return
    if (!within(node.box)) return
    for (const child of node.children) visit(child)
    if (node.children.length > 0 || !holdsCell(node.south, node.west, node.size)) return
    for (const country of node.countries) countries.add(country)
    for (const continent of node.continents) found.add(continent)
  }
  visit(borders)
  const only = <T>(values: ReadonlySet<T>): T | undefined => (values.size === 1 ? [...values][0] : undefined)
  const continent = only(found)
  const country = only(countries)
  return {
    ...(continent === undefined ? {} : { continent }),
    ...(country === undefined ? {} : { country }),
  }
}
