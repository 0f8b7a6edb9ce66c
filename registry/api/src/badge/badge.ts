import type { AppView, MirrorView } from '@understudy/protocol/api'
import { type Asset, units } from '@understudy/protocol/money'

/** What a badge says. Colors are those of shields.io. */
export interface Badge {
  readonly label: string
  readonly message: string
  readonly color: 'brightgreen' | 'yellow' | 'orange' | 'red' | 'lightgrey'
  /** Set where the badge stands for something that is wrong or cannot be known. */
  readonly isError?: true
}

export const badgeNames = ['backup-servers', 'code-integrity', 'uptime', 'regions', 'reward-pool'] as const
export type BadgeName = (typeof badgeNames)[number]

const labels: Readonly<Record<BadgeName, string>> = {
  'backup-servers': 'backup servers',
  'code-integrity': 'code integrity',
  uptime: 'backup uptime',
  regions: 'regions',
  'reward-pool': 'reward pool',
}

/** What is said of an app or a mirror that nothing is known of. */
export function unknownBadge(name: BadgeName | 'mirror'): Badge {
  const label = name === 'mirror' ? 'mirror' : labels[name]
  return { label, message: 'unknown', color: 'lightgrey', isError: true }
}

/** Only what attesters found counts; a mirror's own word does not. */
export function appBadge(name: BadgeName, app: AppView, mirrors: readonly MirrorView[]): Badge {
  const label = labels[name]
  const up = mirrors.filter((mirror) => mirror.state === 'up')
  const judged = mirrors.filter((mirror) => mirror.state !== 'unknown')
  const wanted = app.rules.places
  switch (name) {
    case 'backup-servers':
      if (judged.length === 0 && mirrors.length > 0) return unknownBadge(name)
      return { label, message: `${up.length} of ${mirrors.length} up`, color: enough(up.length, wanted) }
    case 'code-integrity': {
      if (judged.length === 0) return unknownBadge(name)
      const tampering = judged.filter((mirror) => mirror.state === 'tampering').length
      const verified = `${up.length} of ${judged.length} verified`
      if (tampering > 0) return { label, message: `${verified}, ${tampering} tampering`, color: 'orange' }
      return { label, message: verified, color: up.length === judged.length ? 'brightgreen' : 'yellow' }
    }
    case 'uptime': {
      const passed = judged.reduce((sum, mirror) => sum + mirror.probes.passed, 0)
      const probes = judged.reduce((sum, mirror) => sum + mirror.probes.failed, passed)
      if (probes === 0) return unknownBadge(name)
      return { label, message: percent(passed / probes), color: rated(passed / probes) }
    }
    case 'regions': {
      if (judged.length === 0) return unknownBadge(name)
      // A place is proven by round trips; until one is, the networks that M attesters dialled are all that is certain.
      const networks = new Set(up.flatMap((mirror) => (mirror.network ? [mirror.network] : []))).size
      const message = `${networks} ${networks === 1 ? 'network' : 'networks'}`
      return { label, message, color: enough(networks, wanted) }
    }
    case 'reward-pool': {
      const left = app.pool.epochsLeft
      const money = inWhole(BigInt(app.pool.free), app.asset)
      if (left === null) return { label, message: money, color: 'lightgrey' }
      const message = `${money}, ${left} ${left === 1 ? 'epoch' : 'epochs'}`
      return { label, message, color: left >= 3 ? 'brightgreen' : left >= 1 ? 'yellow' : 'red' }
    }
  }
}

export function mirrorBadge(mirror: MirrorView): Badge {
  const label = shortened(mirror.name)
  const { state, availability } = mirror
  if (state === 'unknown') return { label, message: 'unknown', color: 'lightgrey' }
  if (state === 'up')
    return { label, message: `up ${percent((availability ?? 0) / 1e6)}`, color: 'brightgreen' }
  return { label, message: state, color: state === 'stale' ? 'orange' : 'red' }
}

function enough(count: number, wanted: number): Badge['color'] {
  if (count === 0) return 'red'
  return count >= wanted ? 'brightgreen' : 'yellow'
}

function rated(share: number): Badge['color'] {
  return share >= 0.99 ? 'brightgreen' : share >= 0.9 ? 'yellow' : share >= 0.5 ? 'orange' : 'red'
}

/** Rounded down: 99.99 % is not 100 %. */
function percent(share: number): string {
  return `${Math.floor(share * 1_000) / 10}%`
}

/** Digits after the point, below ten and from ten on: one sBTC is worth many STX. */
const shown = { stx: [2, 0], sbtc: [5, 2] } as const

/** STX or sBTC as a badge has room for it, rounded down, thousands set apart; what is there never reads as nothing. */
function inWhole(amount: bigint, asset: Asset): string {
  const { name, decimals } = units[asset]
  const one = 10n ** BigInt(decimals)
  const whole = amount / one
  const digits = shown[asset][whole < 10n ? 0 : 1]
  const part = ((amount % one) * 10n ** BigInt(digits)) / one
  if (amount > 0n && whole === 0n && part === 0n) return `< ${(1 / 10 ** digits).toFixed(digits)} ${name}`
  const grouped = whole.toString().replace(/\B(?=(\d{3})+$)/g, ',')
  return `${digits === 0 ? grouped : `${grouped}.${part.toString().padStart(digits, '0')}`} ${name}`
}

/** Names come from strangers: one line, of a length that a badge can carry. */
function shortened(name: string): string {
  const line = name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, ' ').trim() || 'mirror'
  const letters = [...line]
  return letters.length > 32 ? `${letters.slice(0, 31).join('')}…` : line
}
