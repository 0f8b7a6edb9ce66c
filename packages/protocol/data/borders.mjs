// Writes src/borders.ts from Natural Earth's country borders (public domain), 1:10,000,000, version 4.1:
//   npm pack world-atlas@2.0.2 i18n-iso-countries countries-list, unpack, then
//   node data/borders.mjs <countries-10m.json> <numeric to alpha-2, JSON> <alpha-2 to continent, JSON> > src/borders.ts
// Floating point is fine here: what decides is the committed result, not the way to it.
import { readFileSync } from 'node:fs'

const [atlas, alpha2, continents] = process.argv
  .slice(2)
  .map((path) => JSON.parse(readFileSync(path, 'utf8')))

const size = 4096 // cells of 1/8° over the square −256° … 256°
const perDegree = 8
/** Widened by this much, because the map is drawn with a pen. */
const marginDegrees = 0.03
/** Up to this size (cells), a box with one country and sea becomes the country's. */
const coast = 4

// What has no code of its own goes to every state that might answer for it.
const unnamed = {
  Dhekelia: ['CY'],
  Akrotiri: ['CY'],
  'N. Cyprus': ['CY'],
  'Cyprus U.N. Buffer Zone': ['CY'],
  Somaliland: ['SO'],
  Kosovo: ['XK'],
  'USNB Guantanamo Bay': ['CU'],
  'Siachen Glacier': ['IN', 'PK'],
  Baikonur: ['KZ'],
  'Indian Ocean Ter.': ['AU'],
  'Coral Sea Is.': ['AU'],
}

// Enclaves smaller than a leaf, without which no disc around Rome would lie in one country.
const within = { VA: 'IT', SM: 'IT' }

const { scale, translate } = atlas.transform
const arcs = atlas.arcs.map((arc) => {
  let x = 0
  let y = 0
  return arc.map(([dx, dy]) => {
    x += dx
    y += dy
    return [x * scale[0] + translate[0], y * scale[1] + translate[1]]
  })
})
/** A ring with longitudes that run on across the antimeridian, where the atlas has none of its cuts. */
function ringOf(indices) {
  const ring = indices.flatMap((i, n) => (i < 0 ? [...arcs[~i]].reverse() : arcs[i]).slice(n === 0 ? 0 : 1))
  let turns = 0
  const whole = ring.map(([x, y], i) => {
    if (i > 0 && Math.abs(x - ring[i - 1][0]) > 180) turns += x < ring[i - 1][0] ? 360 : -360
    return [x + turns, y]
  })
  // Around the pole: Antarctica.
  if (turns !== 0) whole.push([whole.at(-1)[0], -90], [whole[0][0], -90], whole[0])
  return whole
}

const cells = new Map() // row * size + column → set of codes
const column = (longitude) => Math.floor((longitude + 256) * perDegree)
const mark = (row, col, code) => {
  const west = column(-180)
  const wrapped = west + ((((col - west) % (360 * perDegree)) + 360 * perDegree) % (360 * perDegree))
  const at = row * size + wrapped
  if (!cells.has(at)) cells.set(at, new Set())
  cells.get(at).add(code)
}

for (const { id, type, properties, arcs: shape } of atlas.objects.countries.geometries) {
  const codes = id ? [within[alpha2[id]] ?? alpha2[id]] : (unnamed[properties.name] ?? [])
  for (const code of codes) {
    if (!continents[code]) throw new Error(`${properties.name}: no continent`)
    for (const polygon of type === 'Polygon' ? [shape] : shape) {
      const rings = polygon.map(ringOf).map((ring, i, [outer]) => {
        const west = Math.min(...outer.map(([x]) => x))
        const shift = i > 0 && ring[0][0] < west ? 360 : 0
        return ring.map(([x, y]) => [x + shift, y])
      })
      for (const ring of rings)
        for (let i = 1; i < ring.length; i++) {
          const [[x0, y0], [x1, y1]] = [ring[i - 1], ring[i]]
          const steps = Math.ceil(Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0)) * 100) || 1
          for (let s = 0; s <= steps; s++) {
            const x = x0 + ((x1 - x0) * s) / steps
            const y = y0 + ((y1 - y0) * s) / steps
            const wide = marginDegrees / Math.max(0.1, Math.cos((y * Math.PI) / 180))
            for (let row = column(y - marginDegrees); row <= column(y + marginDegrees); row++)
              for (let col = column(x - wide); col <= column(x + wide); col++) mark(row, col, code)
          }
        }
      const edges = rings.flatMap((ring) => ring.slice(1).map((to, i) => [ring[i], to]))
      const south = Math.min(...rings[0].map(([, y]) => y))
      const north = Math.max(...rings[0].map(([, y]) => y))
      for (let row = column(south); row <= column(north); row++) {
        const y = (row + 0.5) / perDegree - 256
        const crossings = edges
          .filter(([[, y0], [, y1]]) => y0 > y !== y1 > y)
          .map(([[x0, y0], [x1, y1]]) => x0 + ((x1 - x0) * (y - y0)) / (y1 - y0))
          .sort((a, b) => a - b)
        for (let i = 0; i + 1 < crossings.length; i += 2)
          for (let col = column(crossings[i]); col <= column(crossings[i + 1]); col++) mark(row, col, code)
      }
    }
  }
}

// Quadtree, south-west, south-east, north-west, north-east.
const grid = new Array(size * size).fill('')
for (const [at, codes] of cells) grid[at] = [...codes].sort().join(' ')
function tree(row, col, width) {
  if (width === 1) return grid[row * size + col]
  const half = width / 2
  const four = [
    tree(row, col, half),
    tree(row, col + half, half),
    tree(row + half, col, half),
    tree(row + half, col + half, half),
  ]
  if (four.every((child) => typeof child === 'string')) {
    const sets = [...new Set(four)]
    if (sets.length === 1) return sets[0]
    const land = sets.filter(Boolean)
    if (width <= coast && land.length === 1 && !land[0].includes(' ')) return land[0]
  }
  return four
}
const root = tree(0, 0, size)

const sets = []
const seen = new Map()
const count = (node) => {
  if (typeof node === 'string') seen.set(node, (seen.get(node) ?? 0) + 1)
  else node.forEach(count)
}
count(root)
for (const [set] of [...seen].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))) sets.push(set)

// Depth first: bit 1 = four children follow, 0 = a leaf: the rank of its set, 0 first, in a list that moves to the front what was named;
// rank + 1 in Elias' gamma code.
const bits = []
const recent = sets.map((_, i) => i)
function write(node) {
  if (typeof node !== 'string') {
    bits.push(1)
    node.forEach(write)
    return
  }
  bits.push(0)
  const rank = recent.indexOf(sets.indexOf(node))
  recent.unshift(...recent.splice(rank, 1))
  const binary = (rank + 1).toString(2)
  for (let i = 1; i < binary.length; i++) bits.push(0)
  for (const bit of binary) bits.push(Number(bit))
}
write(root)
while (bits.length % 6) bits.push(0)
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
let text = ''
for (let i = 0; i < bits.length; i += 6) text += alphabet[Number.parseInt(bits.slice(i, i + 6).join(''), 2)]

const used = [...new Set(sets.flatMap((set) => set.split(' ').filter(Boolean)))].sort()
const groups = {}
for (const code of used) groups[continents[code]] = [...(groups[continents[code]] ?? []), code]
console.error(
  `${cells.size} cells, ${[...seen.values()].reduce((a, b) => a + b)} leaves, ${sets.length} sets, ${text.length} characters`,
)
console.log(`// Written by data/borders.mjs from Natural Earth 4.1 (public domain). Do not edit: the outcome of every epoch depends on it.

/** Countries (ISO 3166-1 alpha-2) of each continent; a country belongs to one, whole. */
export const continents: Readonly<Record<string, string>> = {
${Object.keys(groups)
  .sort()
  .map((continent) => `  ${continent}: '${groups[continent].join(' ')}',`)
  .join('\n')}
}

/** Sets of countries that a leaf can touch. */
export const sets: readonly string[] = '${sets.join(',')}'.split(',')

/** The quadtree of leaves. docs/protocol.md: Borders. */
export const quadtree =
  '${text}'`)
