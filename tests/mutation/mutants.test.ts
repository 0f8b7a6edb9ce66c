import { readFileSync } from 'node:fs'
import { contractNames } from '@understudy/chain/contracts'
import { describe, expect, it } from 'vitest'
import { entriesOf, reaches } from './calls.ts'
import { brief, parse } from './expression.ts'
import { broken, mutantsOf } from './mutants.ts'

const sources = Object.fromEntries(
  contractNames.map((name) => [
    name,
    readFileSync(new URL(`../../contracts/${name}.clar`, import.meta.url), 'utf8'),
  ]),
)

const source = `;; (not code)
(define-constant LIMIT u1) ;; nor "this
(define-private (least (a uint) (b uint)) (if (< a b) a b))
(define-public (pay (to principal) (amount uint))
  (begin
    (asserts! (and (> amount u0) (is-standard to)) (err u1))
    (print { note: "(a; \\" b)", payer: tx-sender })
    (ok (+ (least amount LIMIT) u1))))
`

describe('what can be broken', () => {
  const told = mutantsOf('c', source).map(({ kind, id }) => `${kind}: ${id}`)

  it('is each assertion, comparison, operator, caller and condition, one at a time', () => {
    expect(told).toEqual([
      'comparison: c least (< a b) → (<= a b)',
      'comparison: c least (< a b) → (>= a b)',
      'assert: c pay (asserts! (and (> amount u0) (is-standard to)) (err u1)) → (asserts! true (err u1))',
      'condition: c pay (and (> amount u0) (is-standard to)) → (and true (is-standard to))',
      'condition: c pay (and (> amount u0) (is-standard to)) → (and (> amount u0) true)',
      'comparison: c pay (> amount u0) → (>= amount u0)',
      'comparison: c pay (> amount u0) → (<= amount u0)',
      'caller: c pay payer: tx-sender → payer: contract-caller',
      'arithmetic: c pay (+ (least amount LIMIT) u1) → (- (least amount LIMIT) u1)',
    ])
  })

  it('has a name of its own each, and is one change that still parses', () => {
    for (const name of contractNames) {
      const mutants = mutantsOf(name, sources[name]!)
      expect(mutants.length).toBeGreaterThan(50)
      expect(new Set(mutants.map(({ id }) => id)).size).toBe(mutants.length)
      const changed = mutants.map((mutant) => broken(sources[name]!, mutant))
      expect(changed.includes(sources[name]!)).toBe(false)
      const definitions = parse(sources[name]!).length
      // A tenth of them: parsing all takes seconds.
      for (const text of changed.filter((_, at) => at % 10 === 0))
        expect(parse(text).length).toBe(definitions)
    }
  })

  it('is touched through whoever calls it, in whatever contract', () => {
    const reachable = reaches(sources)
    expect(entriesOf(reachable, 'reward-pool', 'mint')).toEqual(
      new Set(['mint', 'fund', 'activate'].map((name) => `reward-pool ${name}`)),
    )
    expect(entriesOf(reachable, 'attester-quorum', 'version-at')).toContain('reward-pool settle')
  })
})

describe('an expression', () => {
  it('is refused where brackets do not match', () => {
    for (const wrong of ['(a', 'a)', '(a}', '"']) expect(() => parse(wrong)).toThrow()
  })

  it('is told on one line, without comments', () => {
    expect(brief('( and\n  a ;; why\n  { b: (c) })')).toBe('(and a {b: (c)})')
  })
})
