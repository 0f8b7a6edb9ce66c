import type { Picture } from '../view/registry.ts'
import { appBadge, type Badge, type BadgeName, badgeNames, mirrorBadge, unknownBadge } from './badge.ts'
import { type BadgeFormat, type RenderedBadge, renderBadge } from './render.ts'

export interface BoardParts {
  /** Looks an app up; undefined where the chain has none of that id. */
  readonly picture: (app: string) => Promise<Picture | undefined>
  /** Milliseconds. */
  readonly now: () => number
  /** How long a badge is given out without looking again, ms. */
  readonly freshMs: number
  /** How long somebody waits for the first look at an app, ms. */
  readonly patienceMs: number
  /** Badges kept. */
  readonly maxBadges: number
}

/** Every badge, always: fresh, or as it was, or `unknown`. */
export interface Board {
  /** The badge at a path that was asked for before: no waiting. What is no longer fresh is looked at behind the answer. */
  hot(path: string): RenderedBadge | undefined
  /** The badge at `/badge/…`; undefined where no badge can be. Waits `patienceMs` at most. */
  badge(path: string): Promise<RenderedBadge | undefined>
}

const badgePath = new RegExp(
  `^/badge/([^/]{1,100})/(?:(${badgeNames.join('|')})|mirror/([^/]{1,20}))\\.(svg|json)$`,
)

interface Wanted {
  readonly app: string
  readonly name: BadgeName | 'mirror'
  readonly mirror: number
  readonly format: BadgeFormat
}

interface Entry {
  readonly wanted: Wanted
  readonly rendered: RenderedBadge
  readonly lookedAt: number
}

function parsePath(path: string): Wanted | undefined {
  const match = badgePath.exec(path)
  if (!match) return undefined
  const [, app, name, mirror, format] = match
  return {
    app: app!,
    name: (name as BadgeName | undefined) ?? 'mirror',
    mirror: /^\d{1,9}$/.test(mirror ?? '') ? Number(mirror) : 0,
    format: format as BadgeFormat,
  }
}

function badgeOf({ name, mirror }: Wanted, picture: Picture | undefined): Badge {
  if (!picture) return unknownBadge(name)
  if (name !== 'mirror') return appBadge(name, picture.view, picture.mirrors)
  const found = picture.mirrors.find((m) => m.mirror === mirror)
  return found ? mirrorBadge(found) : unknownBadge(name)
}

export function createBoard({ picture, now, freshMs, patienceMs, maxBadges }: BoardParts): Board {
  const entries = new Map<string, Entry>()
  const looks = new Map<string, Promise<void>>()
  const unknowns = new Map<string, RenderedBadge>()

  /** Renders an app's wanted badge and all others of it that are kept. One look at a time per app. */
  function look(app: string): Promise<void> {
    const under = looks.get(app)
    if (under) return under
    const looking = picture(app)
      .then((found) => {
        const lookedAt = now()
        for (const [path, entry] of entries) {
          if (entry.wanted.app !== app) continue
          // Nobody fills the board with badges of what does not exist.
          if (
            !found ||
            (entry.wanted.name === 'mirror' && !found.mirrors.some((m) => m.mirror === entry.wanted.mirror))
          )
            entries.delete(path)
          else
            entries.set(path, {
              ...entry,
              rendered: renderBadge(badgeOf(entry.wanted, found), entry.wanted.format),
              lookedAt,
            })
        }
      })
      .finally(() => looks.delete(app))
    looks.set(app, looking)
    return looking
  }

  function unknown({ name, format }: Wanted): RenderedBadge {
    const key = `${name}.${format}`
    const rendered = unknowns.get(key) ?? renderBadge(unknownBadge(name), format)
    unknowns.set(key, rendered)
    return rendered
  }

  function hot(path: string): RenderedBadge | undefined {
    const entry = entries.get(path)
    if (!entry) return undefined
    if (now() - entry.lookedAt >= freshMs) {
      // Once per freshness, whether the look succeeds or not.
      entries.set(path, { ...entry, lookedAt: now() })
      look(entry.wanted.app).catch(() => {})
    }
    return entry.rendered
  }

  return {
    hot,
    async badge(path) {
      const ready = hot(path)
      if (ready) return ready
      const wanted = parsePath(path)
      if (!wanted) return undefined
      const found = await soon(picture(wanted.app), patienceMs)
      if (!found) return unknown(wanted)
      const badge = badgeOf(wanted, found)
      const rendered = renderBadge(badge, wanted.format)
      if (wanted.name !== 'mirror' || badge.isError === undefined) {
        entries.set(path, { wanted, rendered, lookedAt: now() })
        if (entries.size > maxBadges) entries.delete(entries.keys().next().value!)
      }
      return rendered
    },
  }
}

/** The value, or undefined when it fails or takes longer than `ms`. */
async function soon<T>(value: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((done) => {
    timer = setTimeout(done, ms, undefined)
  })
  try {
    return await Promise.race([value, late])
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}
