import { cvToHex, hexToCV } from '@stacks/transactions'
import { appId } from '@understudy/protocol/app'
import { epochEnd } from '@understudy/protocol/epoch'
import { type EpochBundle, printSources, readBundle } from '@understudy/protocol/epochBundle'
import type { NostrEvent, Verify } from '@understudy/protocol/event'
import { pubkeyOf } from '@understudy/protocol/rules'
import {
  type ChainFacts,
  decisiveEvents,
  formerOf,
  type Mismatch,
  mismatch,
  type NotEnough,
  notEnough,
  type Verdict,
  verifyEpoch,
} from '@understudy/protocol/verify'
import type { AnchorBlock, PrintedEntry, StacksClient } from './client.ts'
import { type Contracts, contractsOf, splitContract } from './contracts.ts'
import { type ChainEvent, decodeEvent, emptyHead, LogError, type SourcedEntry, verifyLog } from './log.ts'
import { logHead } from './logReader.ts'
import { bondedMirrors, projectChain, rulesAt, settledBefore, stateBelow } from './state.ts'

/**
 * Verifies one epoch of an app from a bundle's bytes alone: its form, the contracts' log with its hash chain, and everything that `verifyEpoch`
 * compares. Pure; runs in a browser. Whether the log is the chain's own, its three heads tell: see `foreignHead`.
 */
export function verifyBundle(
  bytes: Uint8Array,
  asked: { readonly app: string; readonly epoch: number },
  verify: Verify,
): Verdict {
  const bundle = readBundle(bytes)
  if (!bundle.ok) return mismatch('format', 'a bundle in canonical form', bundle.reason)
  const { app, epoch, events } = bundle.value
  if (app !== asked.app || epoch !== asked.epoch)
    return mismatch('app', `epoch ${asked.epoch} of ${asked.app}`, `epoch ${epoch} of ${app}`)
  const facts = factsOf(bundle.value)
  return 'ok' in facts ? facts : verifyEpoch(facts, events, verify)
}

/** What a bundle's log says about its epoch. */
function factsOf(bundle: EpochBundle): ChainFacts | Mismatch | NotEnough {
  const log = readLog(bundle)
  return 'ok' in log ? log : factsAt(log, bundle)
}

function factsAt(
  log: readonly ChainEvent[],
  { app: id, epoch, anchor, chainId, deployer }: Omit<EpochBundle, 'events' | 'heads' | 'prints'>,
): ChainFacts | Mismatch | NotEnough {
  const app = projectChain(log).apps.get(id)
  if (!app) return notEnough('the registration of the app')
  if (appId(app.coordinate) !== id) return mismatch('app', id, appId(app.coordinate))
  const settled = app.settlements.get(epoch)
  if (!settled) return notEnough(`a settlement of epoch ${epoch}`)
  const end = epochEnd(app.schedule, epoch)
  const astray = log.find((event) => event.burn < end !== event.height <= anchor.height)
  if (astray)
    return mismatch(
      'anchor',
      `the last block below burn height ${end}`,
      `block ${anchor.height}, while ${astray.topic} was in block ${astray.height} at burn height ${astray.burn}`,
    )
  const below = stateBelow(log, end).apps.get(id)
  const rules = below && rulesAt(below, epoch)
  if (!rules) return mismatch('rules', `rules that govern epoch ${epoch}`, 'none')
  const ascending = rules.keys.every((key, at) => at === 0 || rules.keys[at - 1]! < key)
  if (!ascending || rules.keys.length % 2 === 0)
    return mismatch('rules', 'an odd number of keys, ascending', rules.keys.join(' '))
  return {
    ...{ chainId, pool: contractsOf(deployer).pool, app: id, epoch, schedule: app.schedule, rules, anchor },
    asset: app.asset,
    free: below.pool.free,
    mirrors: bondedMirrors(below, epoch),
    barred: barredKeys(log, settled, end),
    settledBefore: settledBefore(below, epoch),
    settlement: settled,
    claims: [...settled.claims.values()],
  }
}

/** The keys that had no part any more in the round in which an epoch settled: banned below its end, or before the void that began the round. */
export function barredKeys(
  log: readonly ChainEvent[],
  { epoch, round }: { readonly epoch: number; readonly round: number },
  end: number,
): string[] {
  const begun = log.find(
    (event) => event.topic === 'voided' && event.epoch === epoch && event.round === round - 1,
  )
  return log.flatMap((event) =>
    event.topic === 'banned' && (event.burn < end || event.seq < (begun?.seq ?? 0)) ? [event.key] : [],
  )
}

/** A bundle's prints as one unbroken log of its app that ends in its heads. */
function readLog({ app, heads, prints }: EpochBundle): readonly ChainEvent[] | Mismatch | NotEnough {
  try {
    // Where a print was made has no part in what it says: a bundle does not tell, and nothing here asks.
    const entries = printSources.flatMap((source) =>
      prints[source].map((hex, index): SourcedEntry => ({ source, hex, txid: '', index })),
    )
    const log = verifyLog(entries)
    for (const entry of entries) {
      const event = decodeEvent(entry)
      // The decoder forgives lengths beyond the end, and what follows a value; there is one way to write it.
      if (cvToHex(hexToCV(entry.hex)) !== `0x${entry.hex}`)
        return mismatch('log', 'consensus bytes', `others in ${entry.source} event ${event.seq}`)
      if (event.app !== app) return mismatch('log', `an event of ${app}`, `one of ${event.app}`)
      if (event.seq !== entry.index + 1)
        return mismatch('log', `${entry.source} event ${entry.index + 1}`, `event ${event.seq}`)
    }
    for (const source of printSources) {
      const last = log.findLast((event) => event.source === source) ?? { seq: 0, head: emptyHead }
      const stands = heads[source]
      if (last.seq < stands.seq) return notEnough(`${source} events ${last.seq + 1} to ${stands.seq}`)
      if (last.seq !== stands.seq || last.head !== stands.head)
        return mismatch('log', `${source} at ${stands.seq} ${stands.head}`, `at ${last.seq} ${last.head}`)
    }
    projectChain(log)
    return log
  } catch (error) {
    if (error instanceof LogError && error.reason === 'missing') return notEnough(error.message)
    return mismatch(
      'log',
      'the unbroken log of the contracts',
      error instanceof Error ? error.message : error,
    )
  }
}

/** What `collectBundle` reads the chain by. */
export interface CollectFrom {
  readonly client: Pick<StacksClient, 'contractEvents' | 'callReadOnly' | 'anchorBelow'>
  readonly contracts: Contracts
  readonly chainId: number
  /** Everything that relays hold of the epoch, by these authors where they are named; ids and signatures checked. */
  epochEvents(app: string, epoch: number, authors?: readonly string[]): Promise<readonly NostrEvent[]>
}

/** A bundle as the chain and relays tell it now; or what the chain does not say yet. Throws `LogError` or `ChainError`. */
export async function collectBundle(
  { client, contracts, chainId, epochEvents }: CollectFrom,
  app: string,
  epoch: number,
): Promise<{ readonly ok: 'collected'; readonly bundle: EpochBundle } | Mismatch | NotEnough> {
  const [deployer] = splitContract(contracts.pool)
  const { prints, heads, log } = await readPrints(client, contracts, app)
  const schedule = projectChain(log).apps.get(app)?.schedule
  if (!schedule) return notEnough('the registration of the app')
  if (!projectChain(log).apps.get(app)?.settlements.has(epoch))
    return notEnough(`a settlement of epoch ${epoch}`)
  const block: AnchorBlock = await client.anchorBelow(epochEnd(schedule, epoch))
  const place = { chainId, deployer, app, epoch, anchor: { height: block.height, hash: block.hash } }
  const facts = factsAt(log, place)
  if ('ok' in facts) return facts
  const told = await epochEvents(app, epoch)
  const former = await Promise.all(
    formerOf(facts, told).map((named) => epochEvents(app, named.epoch, [pubkeyOf(named.key)])),
  )
  const events = decisiveEvents(facts, [told, ...former].flat())
  return { ok: 'collected', bundle: { ...place, heads, prints, events } }
}

const pageSize = 50
const maxPrints = 1_000_000

/** The whole log of one app as it was printed, proven complete by three reads of the chain's state. */
async function readPrints(
  client: Pick<StacksClient, 'contractEvents' | 'callReadOnly'>,
  contracts: Contracts,
  app: string,
): Promise<Pick<EpochBundle, 'prints' | 'heads'> & { readonly log: readonly ChainEvent[] }> {
  // Heads first: whatever happens in between can only make the log longer.
  const stands = await Promise.all(printSources.map((source) => logHead(client, contracts[source], app)))
  const read = await Promise.all(
    printSources.map(async (source) => {
      const entries = new Map<string, PrintedEntry>()
      for (let offset = 0; ; offset += pageSize) {
        if (offset > maxPrints) throw new LogError('malformed', `${source}: more than ${maxPrints} events`)
        const page = await client.contractEvents(contracts[source], { limit: pageSize, offset })
        for (const entry of page) entries.set(`${entry.txid}:${entry.index}`, entry)
        if (page.length < pageSize) break
      }
      return [...entries.values()]
        .map((entry) => ({ ...entry, source }))
        .map((entry) => ({ entry, event: decodeEvent(entry) }))
        .filter(({ event }) => event.app === app)
        .sort((a, b) => a.event.seq - b.event.seq)
    }),
  )
  const log = verifyLog(read.flatMap((of) => of.map(({ entry }) => entry)))
  const of = <T>(pick: (at: number) => T) => ({ quorum: pick(0), registry: pick(1), pool: pick(2) })
  for (const [at, { seq, head }] of stands.entries()) {
    const event = read[at]!.find((one) => one.event.seq === seq)?.event
    if (seq > 0 && !event) throw new LogError('missing', `${printSources[at]} ${app}: the chain is at ${seq}`)
    if (event && event.head !== head)
      throw new LogError('broken-chain', `${printSources[at]} ${app}: event ${seq} is not the chain's`)
  }
  return {
    log,
    prints: of((at) => read[at]!.map(({ entry }) => entry.hex.replace(/^0x/, ''))),
    heads: of((at) => {
      const { seq, head } = read[at]!.at(-1)?.event ?? { seq: 0, head: emptyHead }
      return { seq, head }
    }),
  }
}

/** Compares a bundle's log and anchor with a chain's own: undefined where the chain has them too. Throws `LogError` or `ChainError`. */
export async function foreignHead(
  bundle: EpochBundle,
  { client, contracts, chainId }: Omit<CollectFrom, 'epochEvents'>,
): Promise<Mismatch | NotEnough | undefined> {
  const [deployer] = splitContract(contracts.pool)
  if (bundle.deployer !== deployer || bundle.chainId !== chainId)
    return mismatch('log', `chain ${chainId}, ${deployer}`, `chain ${bundle.chainId}, ${bundle.deployer}`)
  const { log } = await readPrints(client, contracts, bundle.app)
  for (const source of printSources) {
    const { seq, head } = bundle.heads[source]
    const event = log.find((one) => one.source === source && one.seq === seq)
    if (seq > 0 && !event) return notEnough(`${source} event ${seq} on chain`)
    if (event && event.head !== head)
      return mismatch('log', `${source} ${seq} ${event.head} on chain`, `${source} ${seq} ${head}`)
  }
  const schedule = projectChain(log).apps.get(bundle.app)?.schedule
  if (!schedule) return notEnough('the registration of the app on chain')
  const { height, hash } = await client.anchorBelow(epochEnd(schedule, bundle.epoch))
  return height === bundle.anchor.height && hash === bundle.anchor.hash
    ? undefined
    : mismatch('anchor', `block ${height} ${hash}`, `block ${bundle.anchor.height} ${bundle.anchor.hash}`)
}
