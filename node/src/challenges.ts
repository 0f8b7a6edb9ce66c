import {
  answerTemplate,
  type Challenge,
  challengeMaxAgeSeconds,
  parseChallenge,
  possessionDigest,
  type ReadObject,
} from '@understudy/protocol/challenge'
import {
  type EventSigner,
  eventId,
  expiration,
  type NostrEvent,
  parseEvent,
  type Verify,
} from '@understudy/protocol/event'
import { createRate } from './relay/rate.ts'
import type { Site } from './site.ts'

/** Why a challenge is not answered; `code` is for programs. */
export interface Refusal {
  readonly ok: false
  readonly code:
    | 'malformed'
    | 'not-addressed'
    | 'not-an-attester'
    | 'stale'
    | 'bad-signature'
    | 'not-served'
    | 'too-many'
  readonly message: string
}

export type Answered = { readonly ok: true; readonly event: NostrEvent } | Refusal

/** Answers challenges, whichever way they come. */
export interface ChallengeDesk {
  /** `from` says who sent it, as far as that is known: an address, or a relay. */
  answer(input: unknown, from: string): Promise<Answered>
}

export interface ChallengeDeskParts {
  readonly app: string
  /** Host (with port, unless it is the scheme's own) under which visitors know this node. */
  readonly host: string
  readonly signer: EventSigner
  readonly verify: Verify
  /** Attesters' Nostr keys; `undefined` while the chain has not been read. */
  attesters(): ReadonlySet<string> | undefined
  readonly site: Pick<Site, 'blobsOf'>
  readonly read: ReadObject
  /** Milliseconds since 1970. */
  now(): number
}

/** Challenges per second, and at once: of one sender before its signature is checked, of one attester after. */
const fromSender = { burst: 100, perSecond: 50 }
const fromAttester = { burst: 40, perSecond: 10 }
const maxSenders = 10_000
/** Answers kept, so that a challenge that comes twice (over two relays, say) is worked on once. */
const maxAnswers = 1_000

const refuse = (code: Refusal['code'], message: string): Refusal => ({ ok: false, code, message })

export function createChallengeDesk(parts: ChallengeDeskParts): ChallengeDesk {
  const { app, host, signer, verify, site, now } = parts
  const senders = new Map<string, ReturnType<typeof createRate>>()
  const attesters = new Map<string, ReturnType<typeof createRate>>()
  const answers = new Map<string, Promise<NostrEvent>>()

  function within(
    rates: Map<string, ReturnType<typeof createRate>>,
    who: string,
    { burst, perSecond }: { burst: number; perSecond: number },
  ): boolean {
    let rate = rates.get(who)
    if (!rate) {
      if (rates.size >= maxSenders) rates.delete(rates.keys().next().value!)
      rate = createRate(burst, perSecond, now)
      rates.set(who, rate)
    }
    return rate.take(1)
  }

  async function work(challenge: Challenge, blobs: NonNullable<ReturnType<Site['blobsOf']>>) {
    const digest = await possessionDigest(challenge, blobs, parts.read)
    return signer.signEvent(answerTemplate(challenge, digest, Math.floor(now() / 1_000)))
  }

  return {
    async answer(input, from) {
      const event = parseEvent(input)
      if (!event.ok) return refuse('malformed', event.reason)
      const read = parseChallenge(event.value)
      if (!read.ok) return refuse('malformed', read.reason)
      const challenge = read.value
      if (challenge.nodeKey !== signer.pubkey) return refuse('not-addressed', 'addressed to another node')
      if (challenge.app !== app) return refuse('not-addressed', 'about another app')
      if (challenge.host !== host) return refuse('not-addressed', `this host is ${host}`)
      const known = parts.attesters()
      if (known && !known.has(challenge.attester))
        return refuse('not-an-attester', 'not signed by an attester of this app')
      const seconds = Math.floor(now() / 1_000)
      const expires = expiration(event.value) ?? Number.POSITIVE_INFINITY
      if (Math.abs(seconds - challenge.createdAt) > challengeMaxAgeSeconds || expires < seconds)
        return refuse('stale', 'not made just now')
      // Everything so far was cheap; from here on it costs.
      if (!within(senders, from, fromSender)) return refuse('too-many', 'too many challenges; slow down')
      // The id first: the faster of the two checks, and what answers are kept by.
      if (eventId(event.value) !== challenge.eventId || !verify(event.value))
        return refuse('bad-signature', 'id or signature does not hold')
      const before = answers.get(challenge.eventId)
      if (before) return { ok: true, event: await before }
      if (!within(attesters, challenge.attester, fromAttester))
        return refuse('too-many', 'too many challenges; slow down')
      const blobs = site.blobsOf(challenge.commit)
      if (!blobs) return refuse('not-served', 'this commit is not served here')
      const answer = work(challenge, blobs)
      if (answers.size >= maxAnswers) answers.delete(answers.keys().next().value!)
      answers.set(challenge.eventId, answer)
      try {
        return { ok: true, event: await answer }
      } catch (error) {
        answers.delete(challenge.eventId)
        throw error
      }
    },
  }
}
