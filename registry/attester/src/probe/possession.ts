import type { Dialler, LineOptions } from '@understudy/host/dial'
import type { Vantage } from '@understudy/host/vantage'
import {
  type Challenge,
  challengePath,
  challengeTemplate,
  parseAnswer,
  parseChallenge,
} from '@understudy/protocol/challenge'
import { type EventSigner, type NostrEvent, parseEvent, type Verify } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import type { Relays } from '@understudy/relays/relays'
import { failed, inconclusive, passed, type Verdict, verdictOfDial, wrongBytes } from './verdict.ts'

/** Answer's time on top of the lowest round trip, ms. design: A probe. */
export const answerSlackMs = 100
/** Challenges on one connection at most; the fastest answer counts. */
const maxTries = 5
/** Answers after which a fast enough one need not be bettered. */
const enoughTries = 3
const maxAnswerBytes = 16_384

/** Whom to ask, about what. */
export interface PossessionTarget {
  readonly app: string
  readonly nodeKey: string
  readonly commit: string
  readonly web: string
}

export interface PossessionDeps {
  readonly signer: EventSigner
  readonly verify: Verify
  readonly dialler: Dialler
  /** 32 bytes that nobody can guess, hex. */
  nonce(): string
  /** What the answer must be, from a clone of our own; undefined when we have none. */
  digestOf(challenge: Challenge): Promise<string | undefined>
  /** Milliseconds since 1970. */
  now(): number
  /** How late our own event loop was at most since a `performance.now()`, ms. */
  lagSince(start: number): number
}

export interface PossessionResult {
  readonly verdict: Verdict
  readonly address: string
  /** Lowest round trip of a correctly signed answer, µs; 0 when there was none. */
  readonly rttMicros: number
}

async function makeChallenge(
  target: PossessionTarget,
  host: string,
  address: string,
  deps: PossessionDeps,
): Promise<{ event: NostrEvent; challenge: Challenge }> {
  const { app, nodeKey, commit } = target
  const nonce = deps.nonce()
  const template = challengeTemplate(
    { app, nodeKey, commit, nonce, host, address },
    Math.floor(deps.now() / 1_000),
  )
  const event = await deps.signer.signEvent(template)
  const challenge = parseChallenge(event)
  if (!challenge.ok) throw new Error(`possession: our own challenge is malformed: ${challenge.reason}`)
  return { event, challenge: challenge.value }
}

/** What an answer is worth. Anything but a signed answer to this very challenge is none; a signed wrong digest is evidence. */
export async function judgeAnswer(
  event: NostrEvent,
  challenge: Challenge,
  deps: Pick<PossessionDeps, 'verify' | 'digestOf'>,
): Promise<Verdict> {
  const answer = parseAnswer(event)
  if (!answer.ok || answer.value.nodeKey !== challenge.nodeKey || !deps.verify(event))
    return failed('bad-answer')
  const { attester, challenge: id, nonce, host, address, digest } = answer.value
  const echoes =
    attester === challenge.attester &&
    id === challenge.eventId &&
    nonce === challenge.nonce &&
    host === challenge.host &&
    address === challenge.address
  if (!echoes) return failed('bad-answer')
  const expected = await deps.digestOf(challenge)
  if (expected === undefined) return inconclusive('own-clone')
  return digest === expected ? passed : wrongBytes('wrong-answer')
}

/**
 * Challenges the node at its dialled address on an open connection. The fastest of a few answers must come within the lowest round
 * trip (`baselineMicros`, 0 when there is none yet) + 100 ms, so that whoever must ask the master first is too slow.
 */
export async function askDirectly(
  target: PossessionTarget,
  baselineMicros: number,
  vantage: Vantage,
  options: LineOptions,
  deps: PossessionDeps,
): Promise<PossessionResult> {
  const start = performance.now()
  const line = await deps.dialler.openLine(target.web, vantage, options)
  if (!line.ok) return { verdict: verdictOfDial(line.reason), address: line.address ?? '', rttMicros: 0 }
  const { address } = line
  const { host, pathname } = new URL(target.web)
  const path = pathname.replace(/\/$/, '') + challengePath
  let lowest = 0
  try {
    for (let attempt = 0; attempt < maxTries; attempt++) {
      const { event, challenge } = await makeChallenge(target, host, address, deps)
      const reply = await line.request(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(event),
        maxBytes: maxAnswerBytes,
      })
      if (!reply.ok) {
        if (lowest > 0) break
        return { verdict: verdictOfDial(reply.reason), address, rttMicros: 0 }
      }
      if (reply.status !== 200)
        return { verdict: failed(`challenge-${reply.status}`), address, rttMicros: lowest }
      const verdict = await judgeBody(reply.body, challenge, deps)
      if (verdict.outcome !== 'passed') return { verdict, address, rttMicros: lowest }
      const micros = Math.max(1, Math.round(reply.phases.firstByte * 1_000))
      lowest = lowest === 0 ? micros : Math.min(lowest, micros)
      if (attempt + 1 >= enoughTries && inTime(lowest, baselineMicros)) break
    }
  } finally {
    line.close()
  }
  if (inTime(lowest, baselineMicros)) return { verdict: passed, address, rttMicros: lowest }
  const own = deps.lagSince(start) > answerSlackMs / 4
  return { verdict: own ? inconclusive('own-lag') : failed('late'), address, rttMicros: lowest }
}

/** Whether a round trip meets the deadline that the lowest one sets. */
export function inTime(rttMicros: number, baselineMicros: number): boolean {
  return baselineMicros === 0 || rttMicros <= baselineMicros + answerSlackMs * 1_000
}

async function judgeBody(body: Uint8Array, challenge: Challenge, deps: PossessionDeps): Promise<Verdict> {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder().decode(body))
  } catch {
    return failed('bad-answer')
  }
  const event = parseEvent(json)
  return event.ok ? judgeAnswer(event.value, challenge, deps) : failed('bad-answer')
}

/**
 * The same question over relays, without a tight deadline. Silence proves nothing (a relay may have lost either message), so only a
 * correct or a signed wrong answer says something.
 */
export async function askOverRelays(
  target: PossessionTarget,
  relays: Relays,
  deps: PossessionDeps,
  timeoutMs: number,
): Promise<Verdict> {
  const { event, challenge } = await makeChallenge(target, new URL(target.web).host, 'relays', deps)
  let answered: (event: NostrEvent) => void = () => {}
  const answer = new Promise<NostrEvent | undefined>((resolve) => {
    answered = resolve
    setTimeout(() => resolve(undefined), timeoutMs)
  })
  const filter = { kinds: [kinds.answer], '#p': [deps.signer.pubkey], '#e': [event.id], limit: 0 }
  const subscription = relays.subscribe([filter], {
    onEvent: (found) => {
      if (found.pubkey === target.nodeKey) answered(found)
    },
  })
  try {
    await relays.publish(event, { timeoutMs })
    const found = await answer
    return found ? await judgeAnswer(found, challenge, deps) : inconclusive('no-relay-answer')
  } finally {
    subscription.close()
  }
}
