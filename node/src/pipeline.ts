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
  /** Asks our own server for files of the release, by its name or as any visitor; why not, when they are not what was signed. */
  check(prepared: PreparedRelease, as: 'named' | 'visitor'): Promise<string | undefined>
  /** After each switch that holds. */
  onSwitch(prepared: PreparedRelease): Promise<void>
  /** In [0, 1). */
  random(): number
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
  /** Pause between two looks at the chain, ms. */
  readonly rulesMs?: number
  /** First and longest pause before a release is tried again, ms. */
  readonly retryMs?: number
  readonly maxRetryMs?: number
  /** Mirrors follow a release at random moments within this time, ms, and within a quarter of the grace window. Default: at once. */
  readonly spreadMs?: number
}

/** A burn block's usual time, ms. */
const burnBlockMs = 600_000

export interface Pipeline {
  /** As last read; `undefined` before, or while nobody has registered the app. */
  rules(): AppRules | undefined
  /** Why the newest release is not served, or nothing is; empty when all is well. */
  troubles(): readonly string[]
  /** Serves what an earlier run had accepted (newest first); the caller has verified the events. False when the newest cannot be. */
  resume(accepted: readonly SignedRelease[]): Promise<boolean>
  start(): void
  stop(): Promise<void>
}

/**
 * How a node keeps up: rules ──▶ release ──▶ preparation ──▶ readiness ──▶ switch.
 * The chain says whose releases count, relays bring them, the fork must hold what they name, our own server must give the signed
 * bytes; only then is it served, at once and as a whole, and taken back if visitors would not get it. A fork that lacks a commit leaves the node where it is: that is how a mirror gets stale.
 */
export function createPipeline(parts: PipelineParts): Pipeline {
  const { rules: source, relays, site, log, random } = parts
  const app = appId(parts.coordinate)
  const { rulesMs = 15_000, retryMs = 1_000, maxRetryMs = 60_000, spreadMs = 0 } = parts
  const troubles = new Map<'rules' | 'release', string>()
  /** Event ids of releases that no fork can make right. */
  const rejected = new Set<string>()
  let rules: AppRules | undefined
  let following: { readonly book: ReleaseBook; close(): void } | undefined
  let rulesTimer: ReturnType<typeof setTimeout> | undefined
  let retryTimer: ReturnType<typeof setTimeout> | undefined
  let spreadTimer: ReturnType<typeof setTimeout> | undefined
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
        else if (caughtUp) wakeSoon()
      },
      // The first choice is made among all that there is, not among what came first.
      onCaughtUp() {
        caughtUp = true
        wake()
      },
    })
    following = { book, close: () => subscription.close() }
  }

  /** All mirrors hear of a release at once, and must not all fetch and switch at once. */
  function wakeSoon(): void {
    const within = Math.min(spreadMs, ((rules?.grace ?? 0) * burnBlockMs) / 4)
    if (within === 0) wake()
    else
      spreadTimer ??= setTimeout(() => {
        spreadTimer = undefined
        wake()
      }, within * random())
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
      const fault = made.ok ? await adopt(made.prepared) : undefined
      if (stopped) return
      if (made.ok && !fault) break
      if (made.ok) {
        retry ??= `release ${signed.release.seq}: ${fault}`
        continue
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

  /** Switches to a release, unless it is not served as it was signed: then all stays, or comes back, as it was. Why not, if so. */
  async function adopt(prepared: PreparedRelease): Promise<string | undefined> {
    const { seq, commit } = prepared.release
    site.stage(prepared)
    const unready = await checked(prepared, 'named')
    if (unready) {
      site.stage(undefined)
      log.warn({ seq, commit, reason: unready }, 'release not ready')
      return unready
    }
    const before = site.current()
    site.switchTo(prepared)
    const fault = await checked(prepared, 'visitor')
    if (fault) {
      site.rollBack()
      log.error({ seq, commit, reason: fault, serving: before?.release.seq }, 'release rolled back')
      return `rolled back: ${fault}`
    }
    await settle(prepared)
    return undefined
  }

  async function checked(prepared: PreparedRelease, as: 'named' | 'visitor'): Promise<string | undefined> {
    try {
      return await parts.check(prepared, as)
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  async function settle(prepared: PreparedRelease): Promise<void> {
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
    async resume(accepted) {
      const made: PreparedRelease[] = []
      for (const [at, signed] of accepted.entries()) {
        const one = await prepare(signed)
        if (one.ok) made.push(one.prepared)
        else log.warn({ reason: one.reason }, 'what was served before cannot be served again yet')
        if (!one.ok && at === 0) return false
      }
      const newest = made.shift()
      for (const former of made.reverse()) site.switchTo(former)
      return newest !== undefined && (await adopt(newest)) === undefined
    },
    start: () => void followRules(),
    async stop() {
      stopped = true
      clearTimeout(rulesTimer)
      clearTimeout(retryTimer)
      clearTimeout(spreadTimer)
      following?.close()
      await working
    },
  }
}
