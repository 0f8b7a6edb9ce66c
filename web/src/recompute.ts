import { createStacksClient } from '@understudy/chain/client'
import type { Contracts } from '@understudy/chain/contracts'
import { collectBundle, verifyBundle } from '@understudy/chain/verify'
import type { NetworkView } from '@understudy/protocol/api'
import { writeBundle } from '@understudy/protocol/epochBundle'
import { explainMirror } from '@understudy/protocol/explain'
import { createComparisons } from '@understudy/relays/comparison'
import { epochEvents } from '@understudy/relays/epoch'
import { openRelays } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import { contradictionOf, type Shown } from './shown.ts'

// Loaded on click only: it is the whole verifier.

/** What this browser found about an epoch, asking relays and the chain and not the registry. */
export type Recomputation =
  | {
      readonly ok: true
      readonly summary: string
      /** Why each mirror that had a bond earned what it did. */
      readonly mirrors: readonly { readonly mirror: number; readonly why: readonly string[] }[]
      /** The bundle that `understudy verify epoch --bundle` takes. */
      readonly bundle: string
    }
  | { readonly ok: false; readonly differs: boolean; readonly summary: string }

/**
 * Computes an epoch's outcome again from what attesters published, and compares it with the root and the claims on chain, and with what this page
 * shows of it.
 */
export async function recompute(
  network: NetworkView,
  app: string,
  epoch: number,
  shown: Shown | undefined,
): Promise<Recomputation> {
  const verify = await loadVerify()
  const relays = openRelays(network.relays, { verify, comparisons: createComparisons })
  try {
    const { chainId } = network
    const contracts = network.contracts as Contracts
    const client = createStacksClient({ url: network.stacksUrl })
    const from = {
      client,
      contracts,
      chainId,
    }
    const collected = await collectBundle(
      { ...from, epochEvents: (...of) => epochEvents(relays, ...of) },
      app,
      epoch,
    )
    if (collected.ok !== 'collected') return refusal(collected)
    const bundle = writeBundle(collected.bundle)
    const verdict = verifyBundle(new TextEncoder().encode(bundle), { app, epoch }, verify)
    if (verdict.ok !== 'match') return refusal(verdict)
    const { facts, bundles, outcome } = verdict
    const lie = shown && contradictionOf(shown, verdict)
    if (lie)
      return {
        ok: false,
        differs: true,
        summary: `What this page shows is not what relays and chain say: ${lie}.`,
      }
    return {
      ok: true,
      summary: `${bundles.length} attesters' signed reports, ${facts.mirrors.length} bonds and ${outcome.leaves.length} payments: what they come to is the root on chain, ${outcome.root.slice(0, 12)}…`,
      mirrors: facts.mirrors.map(({ mirror }) => ({ mirror, why: explainMirror(verdict, mirror) ?? [] })),
      bundle,
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { ok: false, differs: false, summary: `It could not be checked: ${why}.` }
  } finally {
    relays.close()
  }
}

type Refused = Exclude<ReturnType<typeof verifyBundle>, { ok: 'match' }>

function refusal(verdict: Refused): Recomputation {
  if (verdict.ok === 'not-enough')
    return {
      ok: false,
      differs: false,
      summary: `Not enough is published: missing ${verdict.missing.join('; ')}.`,
    }
  const { step, mirror, expected, found } = verdict
  const where = mirror === undefined ? step : `${step}, mirror ${mirror}`
  return {
    ok: false,
    differs: true,
    summary: `It differs at ${where}: expected ${expected}, found ${found}.`,
  }
}
