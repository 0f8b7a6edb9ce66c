import { utf8ToBytes } from '@noble/hashes/utils.js'
import { type ChallengeDesk, createChallengeDesk } from '@understudy/node/challenges'
import { challengePath } from '@understudy/protocol/challenge'
import type { City } from '@understudy/protocol/cities'
import type { EventSigner, NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { mirrorTemplate } from '@understudy/protocol/mirror'
import { encodeGeohash, type Point } from '@understudy/protocol/place'
import type { Relays } from '@understudy/relays/relays'
import type { Answer, Asked, Server } from './internet.ts'
import type { SimulatedRelease } from './release.ts'
import type { World } from './world.ts'

/** Where a mirror departs from an honest node. What it does not name, the node's own code does. */
export interface MirrorLies {
  /** In place of the genuine answer to a visitor; undefined keeps silent. */
  content?(asked: Asked, genuine: () => Answer): Promise<Answer | undefined> | Answer | undefined
  /** In place of answering a challenge by itself. */
  challenge?(
    asked: Asked,
    genuine: () => Promise<NostrEvent | undefined>,
  ): Promise<NostrEvent | undefined> | NostrEvent | undefined
  /** Coordinates that it announces; null for none. */
  claims?: Point | null
  /** Does not follow releases beyond this `seq`. */
  stopsAt?: number
  /** Answers nothing at all between these moments, ms. */
  readonly down?: readonly (readonly [from: number, until: number])[]
}

/** What a world's builder says of a mirror. */
export interface MirrorDraft {
  readonly id: number
  readonly city: City
  readonly asn: number
  readonly address: string
  readonly owner: string
  readonly bond: bigint
  readonly secret: Uint8Array
}

/** A fallback node: the node's own answers to challenges, behind an address. */
export class SimulatedMirror implements Server {
  readonly id: number
  readonly name: string
  readonly host: string
  city: City
  address: string
  asn: number
  readonly owner: string
  readonly bond: bigint
  readonly signer: EventSigner
  lies: MirrorLies = {}
  readonly #world: World
  readonly #desk: ChallengeDesk
  /** Newest last. */
  readonly #served: SimulatedRelease[] = []
  #relays: Relays | undefined

  constructor(world: World, draft: MirrorDraft) {
    this.#world = world
    this.id = draft.id
    this.name = `mirror-${draft.id}`
    this.host = `${this.name}.example`
    this.city = draft.city
    this.address = draft.address
    this.asn = draft.asn
    this.owner = draft.owner
    this.bond = draft.bond
    this.signer = world.signing.signerOf(draft.secret)
    const find = (commit: string) => this.#served.find((release) => release.commit === commit)
    this.#desk = createChallengeDesk({
      app: world.app.id,
      host: this.host,
      signer: this.signer,
      verify: world.signing.verify,
      attesters: () => undefined,
      site: { blobsOf: (commit) => find(commit)?.blobs },
      read: async (oid) => this.#served.find((release) => release.objects.has(oid))!.objects.get(oid)!,
      now: world.time.now,
    })
  }

  get place(): Point {
    return this.city
  }

  get release(): SimulatedRelease | undefined {
    return this.#served.at(-1)
  }

  /** Serves and announces a release. */
  async follow(release: SimulatedRelease): Promise<void> {
    if (release.seq > (this.lies.stopsAt ?? Number.POSITIVE_INFINITY)) return
    this.#served.push(release)
    const world = this.#world
    const seconds = Math.floor(world.time.now() / 1_000)
    const claims = this.lies.claims === undefined ? this.city : this.lies.claims
    const draft = {
      coordinate: world.app.coordinate,
      name: this.name,
      commit: release.commit,
      clone: `https://forge.example/${this.name}.git`,
      web: `https://${this.host}`,
      relay: `wss://${this.host}`,
      geohash: claims ? encodeGeohash(claims, 5) : '',
      country: '',
      stx: this.owner,
    }
    const event = await this.signer.signEvent(mirrorTemplate(draft, seconds, seconds + 30 * 86_400))
    await this.relays().publish(event)
  }

  /** Its connection to the relays, over which it also hears challenges. */
  relays(): Relays {
    if (this.#relays) return this.#relays
    const world = this.#world
    const relays = world.openRelays(this)
    this.#relays = relays
    const filter = { kinds: [kinds.challenge], '#p': [this.signer.pubkey], limit: 0 }
    relays.subscribe([filter], {
      onEvent: async (event) => {
        const asked = {
          ...{ method: 'NOSTR', host: this.host, path: challengePath, body: JSON.stringify(event) },
          ...{ headers: {}, address: 'relays', from: this },
        }
        const answer = await this.#answerOf(asked)
        if (answer) await relays.publish(answer)
      },
    })
    return relays
  }

  async answer(asked: Asked): Promise<Answer | undefined> {
    const now = this.#world.time.now()
    if (this.lies.down?.some(([from, until]) => now >= from && now < until)) return undefined
    if (asked.path === challengePath) {
      const event = await this.#answerOf(asked)
      return event ? json(event) : { status: 404, headers: {}, body: new Uint8Array() }
    }
    const genuine = () => this.genuine(asked)
    return this.lies.content ? this.lies.content(asked, genuine) : genuine()
  }

  /** What an honest node serves. */
  genuine(asked: Asked): Answer {
    const body = this.release?.files.get(decodeURIComponent(asked.path))
    const headers = { 'access-control-allow-origin': '*' }
    return body ? { status: 200, headers, body } : { status: 404, headers, body: new Uint8Array() }
  }

  async #answerOf(asked: Asked): Promise<NostrEvent | undefined> {
    const genuine = async () => {
      const answered = await this.#desk.answer(JSON.parse(asked.body), asked.from.name)
      return answered.ok ? answered.event : undefined
    }
    return this.lies.challenge ? this.lies.challenge(asked, genuine) : genuine()
  }
}

const json = (value: unknown): Answer => ({
  status: 200,
  headers: {},
  body: utf8ToBytes(JSON.stringify(value)),
})
