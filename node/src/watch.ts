import { type Attestation, parseAttestation } from '@understudy/protocol/attestation'
import { kinds } from '@understudy/protocol/kinds'
import type { Relays } from '@understudy/relays/relays'
import type { AppRules } from './rules.ts'

/** Something that the operator should know. */
export interface Alert {
  /** Said once for each: what it is about, and the epoch. */
  readonly key: string
  readonly text: string
}

export interface WatchParts {
  readonly app: string
  readonly nodeKey: string
  /** Where visitors reach this mirror: what people call it. */
  readonly publicUrl: string
  readonly relays: Pick<Relays, 'subscribe'>
  rules(): AppRules | undefined
  /** Why visitors should not be sent here just now; empty when they may. */
  unready(): readonly string[]
  onAlert(alert: Alert): void
  /** Milliseconds since 1970. */
  now(): number
  /** Pause between two looks at ourselves, and how long a trouble may last before it is told, ms. */
  readonly lookMs?: number
  readonly patienceMs?: number
}

/** Below this share of passed probes an epoch is worth a word, ppm. */
const worthAWord = 950_000
/** How far back attestations are read at the start, seconds: an epoch is a day, and is revealed after its end. */
const lookBack = 3 * 86_400
const maxEpochs = 64

/**
 * Notices when the mirror begins to fail: M attesters say of an epoch that probes failed or bytes were wrong (they reveal it once the
 * epoch is over), or the node itself has not been ready for a while.
 */
export function startWatch(parts: WatchParts): { stop(): void } {
  const { app, nodeKey, now, lookMs = 15_000, patienceMs = 300_000 } = parts
  /** By epoch and attester; the first word of each counts. */
  const said = new Map<number, Map<string, Attestation>>()

  function hear(attestation: Attestation): void {
    const { epoch, attester, report } = attestation
    if (attestation.app !== app || report.nodeKey !== nodeKey) return
    if (!said.has(epoch)) said.set(epoch, new Map())
    const ofEpoch = said.get(epoch)!
    if (!ofEpoch.has(attester)) ofEpoch.set(attester, attestation)
    while (said.size > maxEpochs) said.delete(Math.min(...said.keys()))
  }

  /** Judged again at each look: who is an attester is known once the chain is read. */
  function judge(): void {
    const rules = parts.rules()
    if (!rules) return
    for (const [epoch, ofEpoch] of said) {
      const heard = [...ofEpoch.values()].filter(({ attester }) => rules.members.attesters.has(attester))
      const alert = alertOf(epoch, heard, rules.quorum, parts.publicUrl)
      if (alert) parts.onAlert(alert)
    }
  }

  let unreadySince: number | undefined
  function lookAtOurselves(): void {
    const reasons = parts.unready()
    if (reasons.length === 0) unreadySince = undefined
    else unreadySince ??= now()
    if (unreadySince === undefined || now() - unreadySince < patienceMs) return
    parts.onAlert({
      key: `unready:${parts.rules()?.epoch ?? 'unknown'}`,
      text: `${parts.publicUrl} has not been ready since ${new Date(unreadySince).toISOString()}: ${reasons.join('; ')}`,
    })
  }

  const since = Math.floor(now() / 1_000) - lookBack
  const subscription = parts.relays.subscribe([{ kinds: [kinds.attestation], '#p': [nodeKey], since }], {
    onEvent(event) {
      const read = parseAttestation(event)
      if (!read.ok) return
      hear(read.value)
      judge()
    },
  })
  const timer = setInterval(() => {
    judge()
    lookAtOurselves()
  }, lookMs)
  return {
    stop() {
      clearInterval(timer)
      subscription.close()
    },
  }
}

/** What to tell of an epoch; nothing while fewer than M attesters complain. */
function alertOf(
  epoch: number,
  heard: readonly Attestation[],
  quorum: number,
  publicUrl: string,
): Alert | undefined {
  const share = ({ report: { passed, failed } }: Attestation) =>
    passed + failed === 0 ? undefined : Math.floor((passed * 1_000_000) / (passed + failed))
  const failing = heard.filter((one) => one.report.wrongBytes || (share(one) ?? 1_000_000) < worthAWord)
  if (failing.length < quorum) return undefined
  const reasons = new Map<string, number>()
  for (const { report } of failing)
    for (const [reason, count] of Object.entries(report.reasons))
      reasons.set(reason, (reasons.get(reason) ?? 0) + count)
  const passed = failing.reduce((sum, { report }) => sum + report.passed, 0)
  const failed = failing.reduce((sum, { report }) => sum + report.failed, 0)
  const why = [...reasons].sort((a, b) => b[1] - a[1]).map(([reason, count]) => `${reason} ${count}×`)
  const wrong = failing.some(({ report }) => report.wrongBytes) ? '; wrong bytes were seen' : ''
  return {
    key: `probes:${epoch}`,
    text: `${publicUrl} fails probes: in epoch ${epoch}, ${failing.length} attesters saw ${failed} of ${passed + failed} fail${why.length > 0 ? ` (${why.slice(0, 5).join(', ')})` : ''}${wrong}`,
  }
}
