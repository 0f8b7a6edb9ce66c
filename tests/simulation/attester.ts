import { leaseDueTargets } from '@understudy/attester/db/targets'
import type { Desk } from '@understudy/attester/desk'
import { createFollower, type Follower } from '@understudy/attester/follow'
import { type Identity, identityOf } from '@understudy/attester/identity'
import type { Observation } from '@understudy/attester/observation/observation'
import { type Observer, observe } from '@understudy/attester/observation/observe'
import { turn } from '@understudy/attester/pipeline'
import { createManifests } from '@understudy/attester/probe/manifests'
import { createLog } from '@understudy/host/log'
import type { Metrics } from '@understudy/host/metrics'
import { possessionDigest } from '@understudy/protocol/challenge'
import type { City } from '@understudy/protocol/cities'
import type { Point } from '@understudy/protocol/place'
import type { Relays } from '@understudy/relays/relays'
import { blockMs, chainId, contracts } from './chain.ts'
import { type Connection, createDisk, type Disk } from './database.ts'
import type { Dice } from './dice.ts'
import type { Host } from './network.ts'
import { closingBlocks, epochLength, type World } from './world.ts'

/** Where an attester departs from an honest one. It runs the same program, and tampers with what surrounds it. */
export interface AttesterLies {
  /** Coordinates that it gives for its own. */
  claims?: Point
  /** What it makes of its own log, after each observation. */
  observed?(disk: Disk, observation: Observation): void
  /** Between it and the relays. */
  relays?(relays: Relays): Relays
  /** Whenever it takes a turn. */
  turned?(burnHeight: number): Promise<void> | void
}

/** How far apart an attester's looks at the chain are, in blocks: while an epoch closes, and while it runs. */
const pollBlocks = { closing: 1, running: 8 }
const intervalMs = 14 * blockMs
const deltaMs = 60_000
/** After something arrived, ms until it is looked at. */
const wakeMs = 5_000

const identities = new Map<string, Identity>()

/** An attester's keys, worked out once for all runs of a process. */
export function keysOf(secret: Uint8Array): Identity {
  const name = Buffer.from(secret).toString('hex')
  const known = identities.get(name) ?? identityOf(secret, chainId)
  identities.set(name, known)
  return known
}

const silentMetrics = {
  counter: () => ({ inc() {} }),
} as unknown as Metrics

/** The attester's own code on a simulated machine. */
export class SimulatedAttester implements Host {
  readonly name: string
  readonly city: City
  readonly identity: Identity
  lies: AttesterLies = {}
  disk: Disk = createDisk()
  readonly #world: World
  readonly #dice: Dice
  #life: Life | undefined
  #lives = 0

  constructor(world: World, name: string, city: City, secret: Uint8Array) {
    this.#world = world
    this.name = name
    this.city = city
    this.#dice = world.dice.of(name)
    const keys = keysOf(secret)
    this.identity = { ...keys, signer: world.signing.signerOf(keys.secretKey, keys.pubkey) }
  }

  get place(): Point {
    return this.city
  }

  get running(): boolean {
    return this.#life !== undefined
  }

  start(): void {
    this.#life = new Life(this, this.#world, this.#dice.of(`life ${this.#lives++}`))
  }

  /** Ends as a power cut does. */
  crash(): void {
    this.#life?.crash()
    this.#life = undefined
  }

  /** Ends before its n-th query from now on, wherever in the program that is, and starts again after a while. */
  crashSoon(statements: number, restartMs: number): void {
    this.#life?.connection.crashAfter(statements, () => {
      this.#world.trace(this.name, 'crashed')
      this.#life?.crash()
      this.#life = undefined
      this.#world.time.after(restartMs, () => this.start())
    })
  }

  /** Everything that it knew is gone. */
  loseMemory(): void {
    this.disk.close()
    this.disk = createDisk()
  }

  /** For an adversary: its program's own connection to the relays. */
  get relays(): Relays | undefined {
    return this.#life?.relays
  }

  wake(): void {
    this.#life?.wake()
  }
}

/** From one start of the program to its end. */
class Life {
  readonly connection: Connection
  readonly relays: Relays
  readonly #world: World
  readonly #follower: Follower
  readonly #observer: Observer
  readonly #of: SimulatedAttester
  readonly #dice: Dice
  #alive = true
  #woken = false
  #wake: () => void = () => {}

  constructor(of: SimulatedAttester, world: World, dice: Dice) {
    this.#of = of
    this.#world = world
    this.#dice = dice
    this.connection = of.disk.connect()
    const { time, chain, internet, network } = world
    const open = world.openRelays(of)
    this.relays = of.lies.relays?.(open) ?? open
    const online = () => !network.isOffline(of)
    const place = of.lies.claims ?? of.city
    const known = new Set<string>()
    const desk: Desk = {
      db: this.connection.db,
      identity: of.identity,
      chain: chain.view(online),
      client: chain.client(online),
      contracts,
      log: createLog(of.name, 'info', {
        write: (line) => {
          const { msg, time: _, level, name, ...rest } = JSON.parse(line) as Record<string, unknown>
          world.trace(of.name, `${String(msg)} ${JSON.stringify(rest)}`)
        },
      }),
      now: time.now,
      random: dice.of('desk').next,
      deltaMs,
      roundMs: 2 * intervalMs,
      txFee: 1_000n,
      latitude: place.latitude,
      longitude: place.longitude,
      once: (matter) => {
        const first = !known.has(matter)
        known.add(matter)
        return first
      },
    }
    this.#follower = createFollower(desk, this.relays, { metrics: silentMetrics, onKept: () => this.wake() })
    const vantage = internet.vantageOf(of)
    const nonces = dice.of('nonces')
    this.#observer = {
      desk,
      manifests: createManifests({ dir: '/nowhere', vantage }),
      follower: this.#follower,
      intervalMs,
      forkIntervalMs: 40 * blockMs,
      probing: {
        signer: of.identity.signer,
        verify: world.signing.verify,
        vantage,
        dialler: internet.dialler(of),
        nonce: () => Buffer.from(nonces.bytes(32)).toString('hex'),
        relays: this.relays,
        library: {
          async digestOf(challenge) {
            const release = world.releases.find(({ commit }) => commit === challenge.commit)
            return (
              release && possessionDigest(challenge, release.blobs, async (oid) => release.objects.get(oid)!)
            )
          },
          async forkHas(_app, url, commit) {
            const mirror = world.mirrors.find((m) => url.includes(`/${m.name}.git`))
            const has =
              mirror?.release &&
              world.releases.some((r) => r.commit === commit && r.seq <= mirror.release!.seq)
            return has ? { ok: true } : { ok: false, reason: 'commit not on any branch' }
          },
          async close() {},
        },
        random: dice.of('probing').next,
        now: time.now,
        wait: time.wait,
        lagSince: () => 0,
        online: () => this.relays.status().some(({ state }) => state === 'open'),
        timeoutMs: 10_000,
        relayTimeoutMs: 10_000,
        pauseMs: 5_000,
      },
    }
    void this.#turning(desk)
    void this.#probing(desk)
  }

  async #turning(desk: Desk): Promise<void> {
    const { time } = this.#world
    while (this.#alive) {
      try {
        await turn(desk, { apps: [], intervalMs, follower: this.#follower })
        if (this.#alive) await this.#of.lies.turned?.(this.#world.chain.burnHeight())
      } catch (error) {
        this.#world.trace(this.#of.name, `turn failed: ${(error as Error).message}`)
      }
      if (!this.#woken)
        await Promise.race([
          time.wait(this.#pauseBlocks() * blockMs * (0.9 + this.#dice.next() / 10)),
          new Promise<void>((resolve) => {
            this.#wake = resolve
          }),
        ])
      if (this.#woken) await time.wait(wakeMs)
      this.#woken = false
    }
  }

  async #probing(desk: Desk): Promise<void> {
    const { time } = this.#world
    const chance = this.#dice.of('looking')
    while (this.#alive) {
      await time.wait(2 * blockMs * (0.5 + chance.next()))
      const due = await leaseDueTargets(desk.db, desk.now(), 16, 120_000)
      for (const target of due)
        void observe(this.#observer, target)
          .then((observation) => {
            if (!observation || !this.#alive) return
            const { mirror, outcome, reason, rttMicros } = observation
            this.#world.trace(this.#of.name, `probed ${mirror} ${outcome} ${reason} ${rttMicros}`)
            this.#of.lies.observed?.(this.#of.disk, observation)
          })
          .catch((error: unknown) => this.#world.failed(error))
    }
  }

  /** Nothing happens in the middle of an epoch that could not wait. */
  #pauseBlocks(): number {
    const burn = this.#world.chain.burnHeight()
    const into = burn - this.#world.beginOf(0)
    const at = ((into % epochLength) + epochLength) % epochLength
    if (into >= epochLength && at < closingBlocks) return pollBlocks.closing
    return Math.max(1, Math.min(pollBlocks.running, epochLength - at))
  }

  wake(): void {
    this.#woken = true
    this.#wake()
  }

  crash(): void {
    if (!this.#alive) return
    this.#alive = false
    this.connection.crash()
    this.relays.close()
  }
}
