import { expect, it } from 'vitest'
import quorum from '../../contracts/attester-quorum.clar?raw'
import registry from '../../contracts/mirror-registry.clar?raw'
import pool from '../../contracts/reward-pool.clar?raw'
import { refusalInWords } from './refusal.ts'

/** Codes of the errors that a public function names, `ERR_OWNER` → 201. */
function errorsOf(source: string, name: string): number[] {
  const body = source.slice(source.indexOf(`(define-public (${name} `)).split('\n;; ')[0]!
  const codes = new Map(
    [...source.matchAll(/\(define-constant (ERR_\w+) \(err u(\d+)\)\)/g)].map((m) => [m[1]!, Number(m[2])]),
  )
  return [...new Set(body.match(/ERR_\w+/g))].map((error) => codes.get(error)!)
}

it('has words for every error that the page can meet', () => {
  const all = [...quorum.matchAll(/\(err u(\d+)\)\)/g)].map((m) => Number(m[1]))
  const bonds = [
    'register-mirror',
    'set-endpoint',
    'replace-node-key',
    'add-bond',
    'begin-unbond',
    'retire',
    'withdraw',
  ]
  const money = ['fund', 'activate', 'take-back', 'request-exit', 'exit', 'claim']
  const codes = [
    ...all,
    ...bonds.flatMap((name) => errorsOf(registry, name)),
    ...money.flatMap((name) => errorsOf(pool, name)),
  ]
  expect(codes.length).toBeGreaterThan(25)
  for (const code of codes) {
    const words = refusalInWords('abort_by_response', `(err u${code})`)
    expect(words).toContain(`(error ${code})`)
    expect(words).not.toContain('The contract refused it.')
  }
})

it('explains a transaction without a result', () => {
  expect(refusalInWords('abort_by_post_condition', '(ok true)')).toContain('not announced')
  expect(refusalInWords('dropped_replace_by_fee', undefined)).toContain('dropped')
})
