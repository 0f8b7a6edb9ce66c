import { Cl, cvToString } from '@stacks/transactions'
import { registerApp, type Terms } from '@understudy/chain/calls'
import { appId } from '@understudy/protocol/app'
import { epochEnd, type Schedule } from '@understudy/protocol/epoch'
import { beforeAll, describe, expect, it } from 'vitest'
import { accounts, attestersOf, contracts, type Network, openNetwork, terms } from './network.ts'

let network: Network
beforeAll(async () => {
  network = await openNetwork()
})

function register(changes: {
  coordinate?: string
  schedule?: Partial<Schedule>
  terms?: Partial<Terms>
}): string {
  const app = {
    coordinate: changes.coordinate ?? network.nextCoordinate(),
    schedule: { ...network.nextSchedule(), ...changes.schedule },
    terms: { ...terms, ...changes.terms },
  }
  return network.send(registerApp(contracts, app), accounts.maintainer).outcome
}

const keysOf = (n: number): string[] => attestersOf(n).map(({ key }) => key)

describe('register-app', () => {
  it('registers an app under the hash of its coordinate, with its sender as maintainer', () => {
    const app = network.openApp()
    expect(app.id).toBe(appId(app.coordinate))
    const row = cvToString(network.read(contracts.quorum, 'get-app', [Cl.bufferFromHex(app.id)]))
    expect(row).toContain(`(maintainer ${accounts.maintainer})`)
    expect(row).toContain('(version u1)')
  })

  it('refuses an app that is registered, whoever asks', () => {
    const { coordinate, schedule } = network.openApp()
    const again = registerApp(contracts, { coordinate, schedule, terms })
    expect(network.send(again, accounts.stranger).outcome).toBe('ERR_APP_EXISTS')
  })

  it.each([
    ['another kind', `30618:${'ab'.repeat(32)}:d`],
    ['a short pubkey', `30617:${'ab'.repeat(31)}:d`],
    ['a long pubkey', `30617:${'ab'.repeat(33)}:d`],
    ['no identifier', `30617:${'ab'.repeat(32)}:`],
    ['nothing', ''],
  ])('refuses a coordinate with %s', (_, coordinate) => {
    expect(register({ coordinate })).toBe('ERR_COORDINATE')
  })

  it('takes a start in the future only, and within a year', () => {
    expect(register({ schedule: { start: network.burnHeight } })).toBe('ERR_START')
    expect(register({ schedule: { start: network.burnHeight + 100_000 } })).toBe('ERR_START')
    expect(register({ schedule: { start: network.burnHeight + 52_561 } })).toBe('ERR_START')
    expect(register({ schedule: { start: network.burnHeight + 52_560 } })).toBe('ok')
  })

  const bounds: readonly [error: string, Partial<Schedule>, Partial<Terms>][] = [
    ['ERR_LENGTH', { length: 0 }, {}],
    ['ERR_LENGTH', { length: 52_561 }, {}],
    ['ERR_NOTICE', { notice: 2 }, {}],
    ['ERR_NOTICE', { notice: 52_561 }, {}],
    ['ERR_CAP', { cap: 0n }, {}],
    ['ERR_BUDGET', {}, { budget: 0n }],
    ['ERR_BUDGET', { cap: 99_999_999n }, { budget: 100_000_000n }],
    ['ERR_KEY_COUNT', {}, { keys: [] }],
    ['ERR_KEY_COUNT', {}, { keys: keysOf(2) }],
    ['ERR_KEYS', {}, { keys: keysOf(3).reverse() }],
    ['ERR_KEYS', {}, { keys: [keysOf(1)[0]!, keysOf(1)[0]!, keysOf(1)[0]!] }],
    ['ERR_KEYS', {}, { keys: keysOf(3).map((key) => key.replace(/^02/, '03')) }],
    ['ERR_KEYS', {}, { keys: [keysOf(1)[0]!.slice(0, 64)], faults: 0 }],
    ['ERR_PLACES', {}, { places: 0 }],
    ['ERR_LEVELS', {}, { levels: [] }],
    ['ERR_LEVELS', {}, { levels: ['network', 'country'] }],
    ['ERR_LEVELS', {}, { levels: ['country', 'country'] }],
    ['ERR_LEVELS', {}, { levels: ['city' as 'country'] }],
    ['ERR_FLOOR', {}, { floor: 1_000_001 }],
    ['ERR_DOMAIN_BOND', {}, { domainBond: 9_999_999n }],
    ['ERR_FEE', {}, { fee: 100_000_001n }],
    ['ERR_GRACE', {}, { grace: 52_561 }],
    ['ERR_MIN_BOND', {}, { minBond: 0n }],
    ['ERR_FAULTS', {}, { faults: 3 }],
    ['ERR_WINDOW', {}, { window: 31 }],
    ['ERR_CHALLENGE', {}, { challenge: 5 }],
    ['ERR_CHALLENGE', {}, { challenge: 8 }],
    ['ERR_CLAIM_PERIOD', {}, { claimPeriod: 59 }],
    ['ERR_CLAIM_PERIOD', {}, { claimPeriod: 52_561 }],
    ['ERR_RELEASE_KEY', {}, { releaseKey: '11'.repeat(31) }],
  ]
  it.each(bounds)('answers %s to %o %o', (error, schedule, changes) => {
    expect(register({ schedule, terms: changes })).toBe(error)
  })

  it.each<[Partial<Schedule>, Partial<Terms>]>([
    [{ length: 52_560 }, { claimPeriod: 52_560 }],
    [{ notice: 52_560 }, {}],
    [{}, { places: 1_000_000_000 }],
    [{}, { floor: 1_000_000 }],
    [{}, { fee: terms.budget }],
    [{}, { grace: 52_560 }],
    [{}, { minSeq: 1_000_000_000 }],
  ])('takes what is as large as may be: %o %o', (schedule, changes) => {
    expect(register({ schedule, terms: changes })).toBe('ok')
  })

  it.each([1, 3, 19])('takes %i attesters', (n) => {
    expect(register({ terms: { keys: keysOf(n), faults: 0 } })).toBe('ok')
  })

  it('takes every choice of levels that goes from coarse to fine', () => {
    for (const levels of [
      ['continent'],
      ['country'],
      ['continent', 'country'],
      ['country', 'network'],
      ['continent', 'country', 'network'],
    ] as const)
      expect(register({ terms: { levels } })).toBe('ok')
  })

  it('leaves nothing behind where it refuses', () => {
    const coordinate = network.nextCoordinate()
    register({ coordinate, terms: { places: 0 } })
    const id = Cl.bufferFromHex(appId(coordinate))
    expect(cvToString(network.read(contracts.quorum, 'get-app', [id]))).toBe('none')
    expect(cvToString(network.read(contracts.quorum, 'get-log', [id]))).toContain('(seq u0)')
  })
})

describe('what epochs are governed by', () => {
  it('finds the first rules for every epoch', () => {
    const app = network.openApp()
    for (const epoch of [0, 1, 1_000]) {
      const row = network.read(contracts.quorum, 'rules-at', [Cl.bufferFromHex(app.id), Cl.uint(epoch)])
      expect(cvToString(row)).toContain('(version u1)')
    }
  })

  it('knows no rules of an unknown app', () => {
    const unknown = Cl.bufferFromHex('00'.repeat(32))
    expect(cvToString(network.read(contracts.quorum, 'rules-at', [unknown, Cl.uint(0)]))).toBe('none')
    expect(cvToString(network.read(contracts.quorum, 'epoch-end', [unknown, Cl.uint(0)]))).toBe('none')
  })

  it('ends epochs where the protocol does', () => {
    const app = network.openApp()
    for (const epoch of [0, 1, 77]) {
      const end = network.read(contracts.quorum, 'epoch-end', [Cl.bufferFromHex(app.id), Cl.uint(epoch)])
      expect(cvToString(end)).toBe(`(some u${epochEnd(app.schedule, epoch)})`)
    }
  })
})
