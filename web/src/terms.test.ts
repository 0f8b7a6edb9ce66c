import { describe, expect, it } from 'vitest'
import contract from '../../contracts/attester-quorum.clar?raw'
import { type AppForm, defaultForm, inAsset, readAppForm } from './terms.ts'

const key = '7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e'
const others = ['1', '2', '3', '4', '6', '8'].map((digit) => digit.padStart(64, '0'))
const height = 1_000
const form: AppForm = {
  ...defaultForm,
  pubkey: key,
  d: 'demo',
  start: '1144',
  attesters: others.slice(0, 3).join('\n'),
}
const problemsOf = (change: Partial<AppForm>) => {
  const read = readAppForm({ ...form, ...change }, height)
  return read.ok ? [] : Object.keys(read.problems)
}

describe('the form of an app', () => {
  it('takes its defaults once the keys are there', () => {
    const read = readAppForm(form, height)
    expect(read).toMatchObject({
      ok: true,
      value: {
        coordinate: `30617:${key}:demo`,
        schedule: { start: 1_144, length: 144, notice: 3, cap: 1_000_000_000n },
        terms: { budget: 250_000_000n, floor: 900_000, levels: ['network'], releaseKey: key, window: 72 },
      },
    })
  })

  it('takes its defaults in sBTC as well, and leaves alone what was typed when the asset changes', () => {
    const typed = { ...form, fee: '0.5' }
    const changed = { ...typed, ...inAsset(typed, 'sbtc') }
    expect(changed).toMatchObject({ asset: 'sbtc', budget: '0.0025', cap: '0.01', fee: '0.5' })
    expect(readAppForm({ ...changed, fee: '0.0001' }, height)).toMatchObject({
      ok: true,
      value: {
        asset: 'sbtc',
        schedule: { cap: 1_000_000n },
        terms: { budget: 250_000n, fee: 10_000n, minBond: 100_000n, domainBond: 500_000n },
      },
    })
    expect({ ...changed, ...inAsset(changed, 'stx') }).toEqual(typed)
    expect(problemsOf({ budget: '10 sBTC' })).toContain('budget')
  })

  it('puts attester keys in the order that the contract wants, whatever way they were written', () => {
    const read = readAppForm({ ...form, attesters: `${others[2]}, 02${others[0]}\n${others[1]}` }, height)
    expect(read.ok && read.value.terms.keys).toEqual(others.slice(0, 3).map((x) => `02${x}`))
  })

  const atTheBound: [string, Partial<AppForm>][] = [
    ['the farthest start', { start: String(height + 52_560) }],
    ['the shortest epoch', { length: '48', window: '24', challenge: '6' }],
    ['the longest epoch', { length: '52560', claimPeriod: '52560' }],
    ['a budget of the whole cap', { budget: '1000' }],
    ['a fee of the whole budget', { fee: '250' }],
    ['no fee', { fee: '0' }],
    ['one attester', { attesters: others[0]!, faults: '0' }],
    ['all but one attester at fault', { faults: '2' }],
    ['the smallest bond counting alone', { domainBond: '100' }],
    ['the widest window', { window: '72' }],
    ['the longest challenge', { challenge: '18' }],
    ['the shortest claim period', { claimPeriod: '144' }],
    ['a floor of everything', { floor: '100' }],
    ['no grace', { grace: '0' }],
    ['every level', { continent: true, country: true, network: true }],
  ]
  it.each(atTheBound)('takes %s', (_, change) => {
    expect(problemsOf(change)).toEqual([])
  })

  const beyond: [keyof AppForm, Partial<AppForm>][] = [
    ['pubkey', { pubkey: 'me' }],
    ['d', { d: 'two words' }],
    ['d', { d: 'x'.repeat(65) }],
    ['releaseKey', { releaseKey: '12' }],
    ['start', { start: String(height) }],
    ['start', { start: String(height + 52_561) }],
    ['length', { length: '52561', claimPeriod: '52560' }],
    ['notice', { notice: '2' }],
    ['cap', { cap: '0', budget: '0', fee: '0' }],
    ['budget', { budget: '1000.000001' }],
    ['budget', { budget: '0', fee: '0' }],
    ['attesters', { attesters: others.slice(0, 2).join(' ') }],
    ['attesters', { attesters: [others[0], others[0], others[1]].join(' ') }],
    ['attesters', { attesters: '' }],
    ['places', { places: '0' }],
    ['network', { network: false }],
    ['floor', { floor: '100.1' }],
    ['domainBond', { domainBond: '99' }],
    ['minBond', { minBond: '0' }],
    ['fee', { fee: '251' }],
    ['grace', { grace: '52561' }],
    ['faults', { faults: '3' }],
    ['window', { window: '73' }],
    ['challenge', { challenge: '5' }],
    ['challenge', { challenge: '19' }],
    ['claimPeriod', { claimPeriod: '143' }],
    ['claimPeriod', { claimPeriod: '52561' }],
  ]
  it.each(beyond)('names %s when it is %o', (field, change) => {
    expect(problemsOf(change)).toContain(field)
  })

  it('was written for the constants that the contract has', () => {
    const constant = (name: string) =>
      contract.match(new RegExp(`\\(define-constant ${name} u(\\d+)\\)`))?.[1]
    expect(['MAX_BLOCKS', 'MIN_NOTICE', 'MIN_CHALLENGE', 'PPM'].map(constant)).toEqual([
      '52560',
      '3',
      '6',
      '1000000',
    ])
  })
})
