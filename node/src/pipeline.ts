import type { Log } from '@understudy/host/log'
import { appId } from '@understudy/protocol/app'
import { kinds } from '@understudy/protocol/kinds'
import type { Relays } from '@understudy/relays/relays'
import type { Preparation, PreparedRelease } from './preparation.ts'
import { createReleaseBook, type ReleaseBook, type SignedRelease } from './releases.ts'
import type { AppRules, RulesSource } from './rules.ts'
import type { Site } from './site.ts'

export interface PipelineParts {
  readonly coordinate: string
  readonly rules: RulesSource
  readonly relays: Pick<Relays, 'subscribe'>
  readonly site: Site
  prepare(signed: SignedRelease): Promise<Preparation>
  /** After each switch. */
  onSwitch(prepared: PreparedRelease): Promise<void>
  /** In [0, 1). */
  random(): number
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
  /** Pause between two looks at the chain, ms. */
  readonly rulesMs?: number
  /** First and longest pause before a release is tried again, ms. */
  readonly retryMs?: number
  readonly maxRetryMs?: number
}

export interface Pipeline {
  /** As last read; `undefined` before, or while nobody has registered the app. */
  rules(): AppRules | undefined
  /** Why the newest release is not served, or nothing is; empty when all is well. */
  troubles(): readonly string[]
  /** Serves what an earlier run had accepted; the caller has verified the event. False when it cannot be. */
  resume(signed: SignedRelease): Promise<boolean>
  start(): void
  stop(): Promise<void>
}

/**
 * How a node keeps up: rules ──▶ release ──▶ preparation ──▶ switch.
 * The chain says whose releases count, relays bring them, the fork must hold what they name; only then is it served, at once and
 * as a whole. A fork that lacks a commit leaves the node where it is: that is how a mirror gets stale.
 */
export function createPipeline(parts: PipelineParts): Pipeline {
  const { rules: source, relays, site, log, random } = parts
  const app = appId(parts.coordinate)
  const { rulesMs = 15_000, retryMs = 1_000, maxRetryMs = 60_000 } = parts
  const troubles = new Map<'rules' | 'release', string>()
  /** Event ids of releases that no fork can make right. */
  const rejected = new Set<string>()
  let rules: AppRules | undefined
  let following: { readonly book: ReleaseBook; close(): void } | undefined
  let rulesTimer: ReturnType<typeof setTimeout> | undefined
  let retryTimer: ReturnType<typeof setTimeout> | undefined
  let attempts = 0
  let working: Promise<void> | undefined
  let again = false
  let stopped = false

  const pause = (attempt: number, first: number, longest: number) =>
    Math.min(longest, first * 2 ** Math.min(attempt, 20)) * (0.75 + random() / 2)

  function trouble(about: 'rules' | 'release', reason: string | undefined): void {
    if (reason === troubles.get(about)) return
    if (reason === undefined) troubles.delete(about)
    else {
      troubles.set(about, reason)
      log.warn({ about, reason }, 'not as it should be')
    }
  }

  // rules
  async function followRules(attempt = 0): Promise<void> {
    let failures = 0
    try {
      const read = await source.read()
      trouble('rules', read ? undefined : 'nobody has registered the app on the chain')
      if (read) {
        rules = read
        follow(read.releaseKey)
      } else failures = attempt + 1
    } catch (error) {
      failures = attempt + 1
      trouble('rules', `the chain cannot be read: ${error instanceof Error ? error.message : error}`)
    }
    if (stopped) return
    const ms = failures > 0 ? Math.min(rulesMs, pause(failures - 1, retryMs, rulesMs)) : rulesMs
    rulesTimer = setTimeout(() => void followRules(failures), ms)
  }

  // release
  function follow(releaseKey: string): void {
    if (stopped || following?.book.releaseKey === releaseKey) return
    following?.close()
    log.info({ releaseKey }, 'following releases')
    const book = createReleaseBook(app, releaseKey)
    let caughtUp = false
    const releases = { kinds: [kinds.releaseSnapshot, kinds.release], authors: [releaseKey] }
    const subscription = relays.subscribe([{ ...releases, '#a': [parts.coordinate] }], {
      onEvent(event) {
        const refused = book.add(event)
        if (refused) log.warn({ event: event.id, refused }, 'release refused')
        else if (caughtUp) wake()
      },
      // The first choice is made among all that there is, not among what came first.
      onCaughtUp() {
        caughtUp = true
        wake()
      },
    })
    following = { book, close: () => subscription.close() }
  }

  /** Looks whether there is something better to serve; one look at a time, and another when something came meanwhile. */
  function wake(): void {
    again = true
    working ??= (async () => {
      while (again && !stopped) {
        again = false
        await look()
      }
      working = undefined
    })()
  }

  // preparation, switch
  async function look(): Promise<void> {
    clearTimeout(retryTimer)
    if (!following || !rules) return
    const { book } = following
    const current = site.current()?.release
    const skipped = book.skipped(current)
    if (skipped.length > 0)
      log.warn({ serving: current?.seq, skipped }, 'release refused: one before it was never seen')
    let retry: string | undefined
    for (const signed of book.after(current, rules.minSeq)) {
      if (rejected.has(signed.event.id)) continue
      const made = await prepare(signed)
      if (stopped) return
      if (made.ok) {
        await adopt(made.prepared)
        break
      }
      const { seq, commit } = signed.release
      log.warn({ seq, commit, reason: made.reason }, made.passing ? 'release must wait' : 'release refused')
      if (made.passing) retry ??= `release ${seq}: ${made.reason}`
      else rejected.add(signed.event.id)
    }
    trouble('release', retry)
    attempts = retry ? attempts + 1 : 0
    if (retry && !stopped) retryTimer = setTimeout(wake, pause(attempts - 1, retryMs, maxRetryMs))
  }

  async function prepare(signed: SignedRelease): Promise<Preparation> {
    try {
      return await parts.prepare(signed)
    } catch (error) {
      log.error({ err: error, seq: signed.release.seq }, 'preparation failed')
      return { ok: false, passing: true, reason: error instanceof Error ? error.message : String(error) }
    }
  }

  async function adopt(prepared: PreparedRelease): Promise<void> {
    site.switchTo(prepared)
    const { seq, commit } = prepared.release
    log.info({ seq, commit, files: prepared.files.size }, 'serving release')
    try {
      await parts.onSwitch(prepared)
    } catch (error) {
      log.error({ err: error }, 'after the switch')
    }
  }

  return {
    rules: () => rules,
    troubles: () => [...troubles.values()],
    async resume(signed) {
      const made = await prepare(signed)
      if (made.ok) await adopt(made.prepared)
      else log.warn({ reason: made.reason }, 'what was served before cannot be served again yet')
      return made.ok
    },
    start: () => void followRules(),
    async stop() {
      stopped = true
      clearTimeout(rulesTimer)
      clearTimeout(retryTimer)
      following?.close()
      await working
    },
  }
}
