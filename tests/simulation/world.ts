import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { addressOf } from '@understudy/chain/transactions'
import { appId, coordinateOf, repositoryTemplate } from '@understudy/protocol/app'
import { type City, cities } from '@understudy/protocol/cities'
import type { NostrEvent } from '@understudy/protocol/event'
import { discOf } from '@understudy/protocol/place'
import { regionOf } from '@understudy/protocol/region'
import type { Level } from '@understudy/protocol/rules'
import { vector } from '@understudy/protocol/sphere'
import { createComparisons } from '@understudy/relays/comparison'
import { openRelays, type Relays } from '@understudy/relays/relays'
import { keysOf, SimulatedAttester } from './attester.ts'
import { blockMs, chainId, createChain, type ModelChain } from './chain.ts'
import { createDice, type Dice } from './dice.ts'
import { createInternet, type Internet } from './internet.ts'
import { SimulatedMirror } from './mirror.ts'
import { createNetwork, type Host, type Network } from './network.ts'
import { createRelaySet, type RelaySet, reconciling } from './relay.ts'
import { makeRelease, type SimulatedRelease } from './release.ts'
import type { Signing } from './signing.ts'
import { createTime, type Time } from './time.ts'
import { createTrace, type Trace } from './trace.ts'

/** What a world is made of. */
export interface Setting {
  /** N = 2M − 1. */
  readonly attesters: number
  readonly mirrors: number
  readonly relays: number
  /** How many epochs run. */
  readonly epochs: number
  readonly levels: readonly Level[]
  /** f. */
  readonly faults: number
  /** T. */
  readonly places: number
  /** Attesters and mirrors stand in this many cities, in whose continent all their neighbours are; 0 for one each, anywhere. */
  readonly cities: number
}

export const ordinary: Setting = {
  attesters: 3,
  mirrors: 5,
  relays: 3,
  epochs: 2,
  levels: ['network'],
  faults: 1,
  places: 6,
  cities: 0,
}

/** Burn blocks of an epoch and around it. */
export const epochLength = 48
const lead = 6
const window = 24
const challenge = 6
/** Blocks after an epoch's end in which it may still be settled or struck. */
export const closingBlocks = 16
export const budget = 1_000_000_000n

const startMs = Date.UTC(2027, 0, 1)

export interface World {
  readonly setting: Setting
  readonly dice: Dice
  readonly time: Time
  readonly trace: Trace
  traceHash(): string
  readonly network: Network
  readonly internet: Internet
  readonly relaySet: RelaySet
  readonly chain: ModelChain
  readonly signing: Signing
  readonly app: { readonly id: string; readonly d: string; readonly coordinate: string }
  readonly attesters: readonly SimulatedAttester[]
  readonly mirrors: readonly SimulatedMirror[]
  readonly releases: readonly SimulatedRelease[]
  /** The relay client's own code, on a host of this world. */
  openRelays(host: Host): Relays
  /** Signs and publishes the next release; honest mirrors follow it within minutes. */
  release(createdAt?: number): Promise<void>
  /** Moment (ms) at which a burn height is reached. */
  atBurn(height: number): number
  /** First burn height of an epoch. */
  beginOf(epoch: number): number
  /** Everything that any relay ever held, and what attesters hold: what a stranger may gather. */
  published(): NostrEvent[]
  /** An error that no part of the world should have. */
  failed(error: unknown): void
  readonly failures: readonly unknown[]
  run(): Promise<void>
}

const secretOf = (name: string) => sha256(utf8ToBytes(name))
/** The same few keys in every run: what they lead to is worked out once. */
const attesterSecrets = Array.from({ length: 24 }, (_, at) => secretOf(`attester ${at}`))
const owners = Array.from({ length: 24 }, (_, at) => addressOf(bytesToHex(secretOf(`owner ${at}`)), chainId))

export function createWorld(
  seed: string,
  setting: Setting,
  signing: Signing,
  onLine?: (line: string) => void,
): World {
  const dice = createDice(seed)
  const time = createTime(startMs)
  const traced = createTrace(() => time.now() - startMs, onLine)
  const { trace } = traced
  const network = createNetwork(time, dice.of('network'))
  const internet = createInternet(time, network, trace)
  const relaySet = createRelaySet({ time, network })
  const maintainer = signing.signerOf(secretOf('maintainer'))
  const releaser = signing.signerOf(secretOf('releaser'))
  const coordinate = coordinateOf(maintainer.pubkey, 'app')
  const app = { id: appId(coordinate), d: 'app', coordinate }
  const chain = createChain(app.id, time, dice.of('chain'), trace)
  const failures: unknown[] = []
  const releases: SimulatedRelease[] = []
  const mirrors: SimulatedMirror[] = []
  const attesters: SimulatedAttester[] = []
  const firstBurn = chain.burnHeight()
  const studio: Host = { name: 'studio', place: cities[0]! }

  const world: World = {
    ...{ setting, dice, time, trace, network, internet, relaySet, chain, signing, app },
    ...{ attesters, mirrors, releases, failures },
    traceHash: traced.hash,
    openRelays: (host) =>
      openRelays(
        relaySet.all.map(({ url }) => url),
        {
          verify: signing.verify,
          now: time.now,
          random: dice.of(`relays of ${host.name} ${time.now()}`).next,
          WebSocket: relaySet.socketsOf(host),
          pingMs: 20 * 60_000,
          maxBackoffMs: 120_000,
          comparisons: createComparisons,
        },
      ),
    async release(createdAt = Math.floor(time.now() / 1_000)) {
      const release = await makeRelease(app, releases.length + 1, releaser, createdAt)
      releases.push(release)
      trace('studio', `release ${release.seq}`)
      await relays.publish(release.event)
      for (const mirror of mirrors)
        time.after(60_000 + 1_200_000 * dice.of(`${mirror.name} follows ${release.seq}`).next(), () => {
          void mirror.follow(release)
        })
    },
    atBurn: (height) => startMs + (height - firstBurn) * blockMs,
    beginOf: (epoch) => firstBurn + lead + epoch * epochLength,
    published() {
      const all = new Map<string, NostrEvent>()
      for (const relay of relaySet.all) for (const [id, event] of relay.events) all.set(id, event)
      return [...all.values()]
    },
    failed(error) {
      failures.push(error)
      trace('world', `failed: ${error instanceof Error ? error.stack : String(error)}`)
    },
    async run() {
      chain.start()
      const repository = {
        ...{
          pubkey: maintainer.pubkey,
          d: app.d,
          name: 'app',
          description: '',
          clone: ['https://forge.example/app.git'],
        },
        ...{ web: ['https://app.example'], relays: relaySet.all.map(({ url }) => url), stx: owners[0]! },
      }
      await time.runUntil(startMs + 10)
      const announced = maintainer.signEvent(repositoryTemplate(repository, Math.floor(startMs / 1_000)))
      void relays.publish(await announced)
      time.after(20_000, () => world.release())
      for (const attester of attesters)
        time.after(1_000 + 60_000 * dice.of(`${attester.name} starts`).next(), () => attester.start())
      const last = world.beginOf(setting.epochs) + window + challenge + 1
      await time.runUntil(world.atBurn(last))
      for (const attester of attesters) attester.crash()
      for (const mirror of mirrors) mirror.relays().close()
      relays.close()
    },
  }

  const spots: readonly City[] =
    setting.cities > 0
      ? spread(dice.of('cities').draw(inland(), setting.cities), setting.mirrors + setting.attesters)
      : dice.of('cities').draw(cities, setting.mirrors + setting.attesters)
  for (let at = 0; at < setting.relays; at++) {
    const relay = relaySet.add(`relay-${at}`, dice.of(`relay ${at}`).pick(cities))
    // Of three relays one does not know NIP-77, or does not want to.
    const chance = dice.of(`relay ${at} reconciles`)
    if (chance.chance(1 / 3)) relay.reconciling = chance.pick(reconciling.slice(1))
  }
  const relays = world.openRelays(studio)
  for (let at = 0; at < setting.mirrors; at++) {
    const draft = {
      ...{
        id: at + 1,
        city: spots[at]!,
        asn: 64_600 + at,
        address: `93.184.${at}.10`,
        owner: owners[at + 1]!,
      },
      ...{ bond: 100_000_000n, secret: secretOf(`node ${at}`) },
    }
    mirrors.push(new SimulatedMirror(world, draft))
  }
  for (const mirror of mirrors) {
    internet.serve(mirror)
    internet.name(mirror.host, () => [mirror.address])
  }
  const secrets = attesterSecrets.slice(0, setting.attesters)
  for (const [at, secret] of secrets.entries())
    attesters.push(new SimulatedAttester(world, `attester-${at}`, spots[setting.mirrors + at]!, secret))

  register(world, releaser.pubkey, secrets)
  return world
}

/** The longest round trip within a city, ms. */
const acrossTownMs = 3
let wellInside: readonly City[] | undefined

/**
 * Cities whose continent any one neighbour proves. Elsewhere, in Istanbul for instance, it takes luck as well as neighbours: one that is
 * away, or found out as a liar, can be the one that was near enough.
 */
function inland(): readonly City[] {
  wellInside ??= cities.filter(({ latitude, longitude }) => {
    const here = vector(Math.round(latitude * 1e6), Math.round(longitude * 1e6))
    return regionOf([discOf(here, acrossTownMs * 1_000)], 0).continent !== undefined
  })
  return wellInside
}

const spread = (from: readonly City[], count: number): City[] =>
  Array.from({ length: count }, (_, at) => from[at % from.length]!)

/** What happened on chain before the story begins. */
function register(
  { chain, setting, app, mirrors }: World,
  releaseKey: string,
  secrets: readonly Uint8Array[],
) {
  const keys = secrets.map((secret) => keysOf(secret).key).sort()
  const terms = {
    ...{ budget, keys, places: setting.places, levels: setting.levels, floor: 500_000 },
    ...{ domainBond: 1_000_000_000n, fee: budget / 100n, grace: 12, minBond: 1n, faults: setting.faults },
    ...{ window, challenge, claimPeriod: 1_000, releaseKey, minSeq: 1 },
  }
  chain.print('quorum', {
    topic: 'app-registered',
    ...{ coordinate: bytesToHex(utf8ToBytes(app.coordinate)), maintainer: owners[0] },
    ...{
      start: chain.burnHeight() + lead,
      length: epochLength,
      notice: 3,
      cap: budget,
      version: 1,
      from: 0,
      terms,
    },
  })
  for (const { id, owner, signer, host, bond } of mirrors)
    chain.print('registry', {
      topic: 'mirror-registered',
      ...{ mirror: id, owner, nodeKey: signer.pubkey, endpoint: `https://${host}`, bond },
    })
  chain.print('pool', {
    topic: 'funded',
    ...{
      funder: owners[0],
      amount: 10n * budget,
      shares: 10n * budget,
      generation: 0,
      version: 1,
      waited: false,
    },
  })
  for (const key of keys)
    chain.print('pool', { topic: 'attester-bonded', key, owner: owners[0], amount: 50_000_000n })
}
