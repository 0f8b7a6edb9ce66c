import { appsSchema, badgeSchema, type MirrorView } from '@understudy/protocol/api'
import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { Picture } from '../view/registry.ts'
import { appBadge, badgeNames, mirrorBadge } from './badge.ts'
import { type BoardParts, createBoard } from './board.ts'
import { renderBadge } from './render.ts'

const id = 'a'.repeat(64)

function mirror(number: number, over: Partial<MirrorView> = {}): MirrorView {
  return {
    mirror: number,
    nodeKey: 'b'.repeat(64),
    owner: 'ST1',
    name: `node ${number}`,
    web: '',
    relay: '',
    commit: '',
    geohash: '',
    claim: 'not falsified',
    network: `AS${number}`,
    bond: '0',
    since: 0,
    bound: true,
    state: 'up',
    availability: 999_900,
    attestedEpoch: 1,
    probes: { passed: 100, failed: 0, inconclusive: 0 },
    reasons: {},
    paid: '0',
    lastSeen: null,
    ...over,
  }
}

function picture(mirrors: readonly MirrorView[], pool: { free: string; epochsLeft: number | null }): Picture {
  const view = {
    app: id,
    coordinate: '',
    name: 'Demo',
    description: '',
    maintainer: 'ST1',
    asset: 'stx' as const,
    web: [],
    clone: [],
    bound: true,
    schedule: { start: 0, length: 60, notice: 3, cap: '1' },
    epoch: 1,
    mirrors: mirrors.length,
    mirrorsUp: 0,
    release: null,
    pool: { deposited: '0', allocated: '0', paid: '0', funders: 0, ...pool },
    announced: null,
    rules: {
      version: 1,
      from: 0,
      until: null,
      budget: '1',
      attesters: [],
      threshold: 2,
      places: 2,
      levels: ['network'],
      floor: 0,
      domainBond: '1',
      fee: '0',
      grace: 5,
      minBond: '1',
      faults: 1,
      window: 30,
      challenge: 6,
    },
  }
  z.parse(appsSchema, { apps: [view] })
  return { view, mirrors }
}

const says = ({ view, mirrors }: Picture) =>
  badgeNames.map((name) => {
    const { label, message, color } = appBadge(name, view, mirrors)
    return `${label}: ${message} (${color})`
  })

describe('badges say', () => {
  it('what attesters found', () => {
    const tampering = mirror(3, { state: 'tampering', probes: { passed: 50, failed: 50, inconclusive: 9 } })
    const all = picture([mirror(1), mirror(2), tampering], { free: '1234567890123', epochsLeft: 30 })
    expect(says(all)).toEqual([
      'backup servers: 2 of 3 up (brightgreen)',
      'code integrity: 2 of 3 verified, 1 tampering (orange)',
      'backup uptime: 83.3% (orange)',
      'regions: 2 networks (brightgreen)',
      'reward pool: 1,234,567 STX, 30 epochs (brightgreen)',
    ])
  })

  it('unknown before anything was attested, and that a pool is empty', () => {
    const unknown = mirror(1, { state: 'unknown', probes: { passed: 0, failed: 0, inconclusive: 0 } })
    expect(says(picture([unknown], { free: '0', epochsLeft: 0 }))).toEqual([
      'backup servers: unknown (lightgrey)',
      'code integrity: unknown (lightgrey)',
      'backup uptime: unknown (lightgrey)',
      'regions: unknown (lightgrey)',
      'reward pool: 0.00 STX, 0 epochs (red)',
    ])
  })

  it('what an sBTC pool holds, in sBTC', () => {
    const pool = (free: string) => {
      const { view, mirrors } = picture([], { free, epochsLeft: 4 })
      return says({ view: { ...view, asset: 'sbtc' }, mirrors }).at(-1)
    }
    expect(pool('123456789')).toBe('reward pool: 1.23456 sBTC, 4 epochs (brightgreen)')
    expect(pool('1299999999999')).toBe('reward pool: 12,999.99 sBTC, 4 epochs (brightgreen)')
    expect(pool('999')).toBe('reward pool: < 0.00001 sBTC, 4 epochs (brightgreen)')
  })

  it('100% of a mirror only when no probe failed', () => {
    expect(mirrorBadge(mirror(1)).message).toBe('up 99.9%')
    expect(mirrorBadge(mirror(1, { availability: 1_000_000 })).message).toBe('up 100%')
    expect(mirrorBadge(mirror(1, { state: 'stale' }))).toMatchObject({ message: 'stale', color: 'orange' })
  })
})

describe('a rendered badge', () => {
  it('can be read aloud', () => {
    const svg = renderBadge(
      { label: 'backup servers', message: '2 of 3 up', color: 'brightgreen' },
      'svg',
    ).body.toString()
    expect(svg).toContain('role="img"')
    expect(svg).toContain('aria-label="backup servers: 2 of 3 up"')
    expect(svg).toContain('<title>backup servers: 2 of 3 up</title>')
  })

  it('runs nothing that a hostile name smuggles in, and stays short', () => {
    const tagsOf = (svg: string) => svg.match(/<\/?[a-z!?]+/gi)
    const plain = renderBadge(mirrorBadge(mirror(1)), 'svg').body.toString()
    const names = [
      '<script>alert(1)</script>',
      '"><img src=x onerror=alert(1)>',
      ']]><!DOCTYPE x [<!ENTITY y "z">]>&y;',
      '\u202egnp.live\u0000\n\ud83d',
      '🎭'.repeat(5_000),
      '',
    ]
    for (const name of names) {
      const badge = mirrorBadge(mirror(1, { name }))
      expect([...badge.label].length).toBeLessThanOrEqual(32)
      const svg = renderBadge(badge, 'svg').body.toString()
      expect(tagsOf(svg), name).toEqual(tagsOf(plain))
      expect(svg).not.toMatch(/<!|\p{Cc}|\u202e/u)
      expect(z.parse(badgeSchema, JSON.parse(renderBadge(badge, 'json').body.toString())).schemaVersion).toBe(
        1,
      )
    }
  })

  it('is cached five minutes, one that says unknown for one', () => {
    const known = renderBadge({ label: 'x', message: 'y', color: 'red' }, 'json')
    const unknown = renderBadge({ label: 'x', message: 'unknown', color: 'lightgrey', isError: true }, 'json')
    expect(known.headers['cache-control']).toBe('public, max-age=300')
    expect(unknown.headers['cache-control']).toBe('public, max-age=60')
    expect(JSON.parse(unknown.body.toString())).toMatchObject({ isError: true, cacheSeconds: 60 })
  })
})

describe('the board', () => {
  const path = `/badge/${id}/reward-pool.svg`
  const pool = (free: string) => picture([mirror(1)], { free, epochsLeft: 3 })

  function board(over: Partial<BoardParts> = {}) {
    const clock = { now: 0 }
    const made = createBoard({
      picture: async (app) => (app === id ? pool('5000000') : undefined),
      now: () => clock.now,
      freshMs: 1_000,
      patienceMs: 200,
      maxBadges: 3,
      ...over,
    })
    return { ...made, clock }
  }

  it('gives what it has and looks again behind the answer', async () => {
    let free = '5000000'
    let looks = 0
    const look = async () => {
      looks++
      return pool(free)
    }
    const { badge, hot, clock } = board({ picture: look })
    expect(hot(path)).toBeUndefined()
    expect((await badge(path))!.body.toString()).toContain('5.00 STX')
    free = '7000000'
    clock.now = 999
    expect(hot(path)!.body.toString()).toContain('5.00 STX')
    expect(looks).toBe(1)
    clock.now = 1_000
    expect(hot(path)!.body.toString()).toContain('5.00 STX')
    expect(hot(path)!.body.toString()).toContain('5.00 STX')
    await expect.poll(() => hot(path)!.body.toString()).toContain('7.00 STX')
    expect(looks).toBe(2)
  })

  it('goes on with what it has while looking fails, and says unknown of what it never saw', async () => {
    let away = false
    const { badge, hot, clock } = board({
      picture: async () => {
        if (away) throw new Error('away')
        return pool('5000000')
      },
    })
    const before = (await badge(path))!
    away = true
    clock.now = 5_000
    expect(hot(path)).toEqual(before)
    expect((await badge(path))!.etag).toBe(before.etag)
    expect((await badge(`/badge/${id}/uptime.svg`))!.body.toString()).toContain('unknown')
  })

  it('does not wait for a look that hangs', async () => {
    const { badge } = board({ picture: () => new Promise(() => {}), patienceMs: 5 })
    expect((await badge(path))!.headers['cache-control']).toBe('public, max-age=60')
  })

  it('keeps no more badges than it may, and none of what does not exist', async () => {
    const { badge, hot } = board()
    for (const app of ['nobody', 'f'.repeat(64), '%3Cscript%3E'])
      expect((await badge(`/badge/${app}/uptime.svg`))!.body.toString()).toContain('unknown')
    expect((await badge(`/badge/${id}/mirror/77.json`))!.body.toString()).toContain('unknown')
    expect((await badge(`/badge/${id}/mirror/x.json`))!.body.toString()).toContain('unknown')
    expect(hot('/badge/nobody/uptime.svg')).toBeUndefined()
    expect(hot(`/badge/${id}/mirror/77.json`)).toBeUndefined()
    for (const name of badgeNames) await badge(`/badge/${id}/${name}.svg`)
    expect(badgeNames.map((name) => hot(`/badge/${id}/${name}.svg`) !== undefined)).toEqual([
      false,
      false,
      true,
      true,
      true,
    ])
    expect(await badge(`/badge/${id}/other.svg`)).toBeUndefined()
  })
})
