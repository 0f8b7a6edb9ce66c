import type { Phases } from '@understudy/host/dial'
import type { Vantage } from '@understudy/host/vantage'
import type { Relays } from '@understudy/relays/relays'
import { type ContentTarget, probeContent } from './content.ts'
import type { Library } from './library.ts'
import { askDirectly, askOverRelays, type PossessionDeps, type PossessionTarget } from './possession.ts'
import { failed, inconclusive, passed, type Verdict, worst } from './verdict.ts'

/** Everything that one probe needs to know beforehand. */
export interface ProbeTarget {
  readonly content: ContentTarget
  readonly possession: PossessionTarget
  /** Clone URL of the fork, and the other places that have the repository. */
  readonly clone: string
  readonly sources: readonly string[]
  /** Lowest round trip so far (µs, 0 before the first), and at which address. */
  readonly baseline: { readonly address: string; readonly micros: number }
  /** Whether the fork itself is to be looked at this time. */
  readonly checkFork: boolean
}

export interface ProbeDeps extends Omit<PossessionDeps, 'digestOf'> {
  readonly vantage: Vantage
  readonly relays: Relays
  readonly library: Library
  /** In [0, 1). */
  readonly random: () => number
  wait(ms: number): Promise<void>
  /** Whether our own relays answer: without them we do not blame others for being silent. */
  online(): boolean
  readonly localAddress?: string
  /** Deadline of one exchange, ms. */
  readonly timeoutMs: number
  /** How long an answer over relays is waited for, ms: its silence proves nothing, so it must not hold up the next probe. */
  readonly relayTimeoutMs: number
  /** Longest pause between looking at content and challenging, ms. */
  readonly pauseMs: number
}

export interface ProbeResult {
  readonly verdict: Verdict
  readonly address: string
  readonly asn: number
  /** Lowest round trip of a signed challenge, µs. */
  readonly rttMicros: number
  readonly phases: Phases | null
  /** The baseline for next time. */
  readonly baseline: { readonly address: string; readonly micros: number }
}

/** One probe of one mirror: content and freshness, then possession (over HTTP, now and then over relays), now and then the fork. */
export async function probe(target: ProbeTarget, deps: ProbeDeps): Promise<ProbeResult> {
  const { vantage, dialler, random, timeoutMs, localAddress } = deps
  const content = await probeContent(target.content, vantage, { timeoutMs, localAddress, random, dialler })
  const verdicts: Verdict[] = [content.verdict]
  let address = content.address
  let baseline = lower(target.baseline, address, content.firstByteMicros)
  let rttMicros = 0
  // A challenge must not be told from a visit by coming right behind one.
  if (content.verdict.outcome === 'passed') await deps.wait(random() * deps.pauseMs)
  if (content.verdict.outcome === 'passed') {
    const asking = {
      ...deps,
      digestOf: (c: Parameters<Library['digestOf']>[0]) => deps.library.digestOf(c, target.sources),
    }
    const micros = baseline.address === address ? baseline.micros : 0
    const direct = await askDirectly(target.possession, micros, vantage, { timeoutMs, localAddress }, asking)
    verdicts.push(direct.verdict)
    if (direct.address) address = direct.address
    rttMicros = direct.rttMicros
    baseline = lower(baseline, address, rttMicros)
    if (random() < 0.2) {
      const relayed = await askOverRelays(target.possession, deps.relays, asking, deps.relayTimeoutMs)
      if (relayed.outcome === 'failed') verdicts.push(relayed)
    }
    if (target.checkFork) verdicts.push(await probeFork(target, deps.library))
  }
  const found = worst(verdicts)
  const blameless = found.outcome === 'failed' && !found.wrongBytes && !deps.online()
  return {
    verdict: blameless ? inconclusive('own-relays') : found,
    address,
    asn: address ? await vantage.network(address) : 0,
    rttMicros,
    phases: content.phases,
    baseline,
  }
}

async function probeFork({ possession, clone }: ProbeTarget, library: Library): Promise<Verdict> {
  const fork = await library.forkHas(possession.app, clone, possession.commit)
  return fork.ok ? passed : failed('fork')
}

/** The lower of two round trips at one address; another address starts anew. 0 stands for none. */
export function lower(
  before: { readonly address: string; readonly micros: number },
  address: string,
  micros: number,
): { readonly address: string; readonly micros: number } {
  if (micros === 0 || address === '') return before
  if (before.address !== address || before.micros === 0) return { address, micros }
  return { address, micros: Math.min(before.micros, micros) }
}
