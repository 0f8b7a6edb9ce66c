import { openTamperingProxy } from '@understudy/localnet/faults/tampering'
import {
  answerTemplate,
  challengePath,
  parseChallenge,
  possessionDigest,
  type TreeBlob,
} from '@understudy/protocol/challenge'
import { type City, cities } from '@understudy/protocol/cities'
import { type EventSigner, parseEvent } from '@understudy/protocol/event'
import type { MirrorOutcome } from '@understudy/protocol/outcome'
import { type Answer, ask, openThief } from './thief.ts'

export interface Target {
  readonly host: string
  readonly port: number
}

/** What an adversary finds when it takes its place. */
export interface Ground {
  /** Of its own node key. */
  readonly signer: EventSigner
  /** Of its genuine node. */
  readonly nodeUrl: string
  /** The master's server, as far away as `proxiedCity` is from the mirror, and what its newest commit holds. */
  readonly master: { readonly url: string; readonly blobs: readonly TreeBlob[] }
  /** Where another mirror is reached. */
  addressOf(mirror: string): Target
  /** M of the attesters, by the addresses that they dial from. */
  readonly fooled: ReadonlySet<string>
  onClose(close: () => unknown): void
}

/** One mirror of the real network. */
export interface RealMirror {
  readonly name: string
  /** What it hopes for; an honest one hopes for its pay. */
  readonly lie?: string
  readonly stands: City
  /** Where it says that it stands; null where it does not say. */
  readonly claims: City | null
  /** Stands at the address of this one. */
  readonly beside?: string
  /** Answers at an address of another, under a name of its own. */
  readonly named?: string
  /** A genuine node runs behind it; its fork ends at the first release, or follows. */
  readonly node?: 'stale' | 'follows'
  /** Holds everything back for so long, one way, ms. */
  readonly delayMs?: number
  /** `share`: what its place earns is divided, and it has its part. */
  readonly due: 'nothing' | 'share'
  /** What the verdict says of one that is due nothing. */
  readonly reasons?: readonly MirrorOutcome['reason'][]
  /** A word of at least one attester's report. */
  readonly seen?: string
  /** What connections to its address lead to; default its node. */
  enter?(ground: Ground): Promise<Target | ((source: string) => Target)>
}

const city = (name: string): City => cities.find((one) => one.name === name)!
/** Well inside their continents: round trips of 30 ms still prove them. */
export const denver = city('Denver')
export const hanoi = city('Hanoi')
/** Where the master stands, for the one who proxies it: 2,100 km from Denver. */
export const masterCity = city('Toronto')

const local = (url: string): Target => ({ host: '127.0.0.1', port: Number(new URL(url).port) })

const honest = (name: string, stands: City): RealMirror => ({
  ...{ name, stands, claims: stands, node: 'follows', due: 'share' },
})

export const west = honest('west', denver)
const east = honest('east', hanoi)

const stale: RealMirror = {
  ...{ name: 'stale commit', lie: 'to be paid without following releases' },
  ...{ stands: denver, claims: denver, node: 'stale', due: 'nothing' },
  ...{ reasons: ['below the floor'], seen: 'stale' },
}

const tampering: RealMirror = {
  ...{ name: 'tampered file for some', lie: 'to change what visitors see, M attesters among them' },
  ...{ stands: hanoi, claims: hanoi, node: 'follows', due: 'nothing' },
  ...{ reasons: ['wrong bytes'], seen: 'wrong-bytes' },
  async enter({ nodeUrl, fooled, onClose }) {
    const target = local(nodeUrl)
    const paths = ['/', '/index.html']
    const proxy = await openTamperingProxy({ address: '127.0.0.1', port: 0, target, paths })
    onClose(() => proxy.close())
    return (source) => (fooled.has(source) ? { host: '127.0.0.1', port: proxy.port } : target)
  },
}

/** Holds a list of files and none of them: every byte comes from the master when it is asked for. */
const proxyOfMaster: RealMirror = {
  ...{ name: 'proxy of the master', lie: 'to be paid for a copy that dies with the master' },
  ...{ stands: denver, claims: denver, due: 'nothing' },
  // An attester that lags itself does not blame it, and reports nothing; where the master has moved on, its answers are wrong. Where M report and one
  // of them lies about its owner, M do not agree on that.
  ...{ reasons: ['below the floor', 'too few reports', 'wrong bytes', 'not bound'] },
  async enter({ signer, master, onClose }) {
    const content = (path: string) => ask(master.url, { method: 'GET', path, body: '' })
    const thief = await openThief({
      content: ({ path }) => content(path),
      async challenge({ body }) {
        const event = parseEvent(JSON.parse(body))
        const challenge = event.ok ? parseChallenge(event.value) : event
        if (!challenge.ok) return undefined
        const pathOf = new Map(master.blobs.map(({ oid, path }) => [oid, path]))
        // Each read chooses the next one: there is nothing to fetch ahead.
        const digest = await possessionDigest(
          challenge.value,
          master.blobs,
          async (oid) => (await content(`/${pathOf.get(oid)}`)).body,
        )
        const answer = await signer.signEvent(
          answerTemplate(challenge.value, digest, Math.floor(Date.now() / 1_000)),
        )
        return json(answer)
      },
    })
    onClose(() => thief.close())
    return { host: '127.0.0.1', port: thief.port }
  },
}

export const proxyOfRival: RealMirror = {
  ...{ name: 'proxy of a mirror', lie: 'to be paid for what another mirror does' },
  ...{ stands: hanoi, claims: hanoi, due: 'nothing' },
  ...{ reasons: ['below the floor'], seen: 'challenge-' },
  enter: async ({ addressOf }) => addressOf(west.name),
}

const twin = (name: string, beside?: string): RealMirror => ({
  ...{ name, lie: 'to be paid twice for one host', stands: denver, claims: denver, node: 'follows' },
  ...{ due: 'share', ...(beside ? { beside } : {}) },
})

export const forgedDns: RealMirror = {
  ...{ name: 'forged DNS', lie: "to be paid for a rival's server" },
  ...{ stands: denver, claims: denver, named: 'forged.understudy.test', beside: west.name, due: 'nothing' },
  ...{ reasons: ['below the floor'], seen: 'challenge-' },
}

export const farAway: RealMirror = {
  ...{ name: 'place claimed far away', lie: 'to be paid for a place where it is not' },
  ...{ stands: denver, claims: hanoi, node: 'follows', due: 'nothing' },
  ...{ reasons: ['place falsified'] },
}

const delayed: RealMirror = {
  ...{ name: 'delayed answers', lie: 'to seem to stand anywhere' },
  ...{ stands: hanoi, claims: hanoi, node: 'follows', delayMs: 100, due: 'nothing' },
  ...{ reasons: ['no share'] },
}

const hidden: RealMirror = {
  ...{ name: 'hidden place', lie: 'to share with nobody' },
  ...{ stands: hanoi, claims: null, node: 'follows', due: 'share' },
}

/** Answers its first challenge out of the files, and then plays that answer again and again. */
const replayed: RealMirror = {
  ...{ name: 'replayed answers', lie: 'to be paid for files that it deleted' },
  ...{ stands: denver, claims: denver, node: 'follows', due: 'nothing' },
  ...{ reasons: ['below the floor'], seen: 'bad-answer' },
  async enter({ nodeUrl, onClose }) {
    let recording: Promise<Answer> | undefined
    const thief = await openThief({
      content: (asked) => ask(nodeUrl, asked),
      challenge: (asked) => {
        recording ??= ask(nodeUrl, { ...asked, path: challengePath })
        return recording
      },
    })
    onClose(() => thief.close())
    return { host: '127.0.0.1', port: thief.port }
  },
}

const json = (value: unknown): Answer => ({
  status: 200,
  type: 'application/json',
  body: new TextEncoder().encode(JSON.stringify(value)),
})

/** Everybody, in the order in which they register. */
export const allMirrors: readonly RealMirror[] = [
  ...[west, east, stale, tampering, proxyOfMaster, proxyOfRival],
  ...[twin('two on one host: one'), twin('two on one host: other', 'two on one host: one')],
  ...[forgedDns, farAway, delayed, hidden, replayed],
]
