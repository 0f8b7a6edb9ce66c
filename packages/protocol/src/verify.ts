import { type Attestation, epochTag, parseAttestation } from './attestation.ts'
import { bundleOf, committedOf } from './bundle.ts'
import { type Commitment, parseCommitment } from './commitment.ts'
import { epochEnd, type Schedule, settleBefore } from './epoch.ts'
import { type NostrEvent, tag, type Verify } from './event.ts'
import { kinds } from './kinds.ts'
import type { PayoutLeaf } from './merkle.ts'
import { type Asset, units } from './money.ts'
import { type BondedMirror, type Bundle, type Outcome, outcomeOf } from './outcome.ts'
import { attesterKey, pubkeyOf, type Rules, threshold } from './rules.ts'
import { type Anchor, type Inputs, parseSignedOutcome, type SignedOutcome } from './settlement.ts'

/** What is compared, in this order. */
export type Step =
  | 'format'
  | 'app'
  | 'log'
  | 'rules'
  | 'event'
  | 'signature'
  | 'inputs'
  | 'anchor'
  | 'commitment'
  | 'attestation'
  | 'score'
  | 'root'
  | 'window'
  | 'claim'

export interface Mismatch {
  readonly ok: 'mismatch'
  readonly step: Step
  /** The first mirror that differs, where the step tells mirrors apart. */
  readonly mirror?: number
  /** What the chain, the rules or a signature say. */
  readonly expected: string
  /** What was held or computed. */
  readonly found: string
}

export interface NotEnough {
  readonly ok: 'not-enough'
  /** What is missing. */
  readonly missing: readonly string[]
}

/** The chain says what follows from the public data, bit for bit. */
export interface Match {
  readonly ok: 'match'
  readonly facts: ChainFacts
  readonly inputs: Inputs
  readonly bundles: readonly Bundle[]
  readonly outcome: Outcome
  /** Keys whose signature under this outcome was checked. */
  readonly signers: readonly string[]
}

export type Verdict = Match | Mismatch | NotEnough

/** What the chain settled for an epoch. */
export interface SettledEpoch {
  readonly round: number
  readonly rulesVersion: number
  readonly inputs: string
  readonly root: string
  readonly allocated: bigint
  readonly count: number
  /** By position in the rules' keys: whose signature the contract checked. */
  readonly signers: readonly boolean[]
  /** Burn height. */
  readonly burn: number
}

/** What the contracts' log says about one epoch. */
export interface ChainFacts {
  readonly chainId: number
  /** Contract principal of the reward pool. */
  readonly pool: string
  readonly app: string
  /** In whose smallest unit every amount is. */
  readonly asset: Asset
  readonly epoch: number
  readonly schedule: Schedule
  /** The row that governs the epoch. */
  readonly rules: Rules
  readonly anchor: Anchor
  /** The pool's free money at the anchor. */
  readonly free: bigint
  /** Mirrors whose bond counts in the epoch, as of the anchor. */
  readonly mirrors: readonly BondedMirror[]
  /** Keys that were banned before the epoch ended or before its round began: `inputs` must not name them. */
  readonly barred: readonly string[]
  readonly settlement: SettledEpoch
  /** What the pool paid of it so far. */
  readonly claims: readonly PayoutLeaf[]
}

export const mismatch = (step: Step, expected: unknown, found: unknown, mirror?: number): Mismatch => ({
  ok: 'mismatch',
  step,
  ...(mirror === undefined ? {} : { mirror }),
  expected: String(expected),
  found: String(found),
})

export const notEnough = (...missing: readonly string[]): NotEnough => ({ ok: 'not-enough', missing })

const epochKinds: readonly number[] = [kinds.commitment, kinds.attestation, kinds.proposal, kinds.coSignature]
const isSignedOutcome = (event: NostrEvent) =>
  event.kind === kinds.proposal || event.kind === kinds.coSignature
const short = (hex: string) => hex.slice(0, 12)

/** The events that decide one epoch, read. */
interface Told {
  readonly outcomes: readonly SignedOutcome[]
  readonly commitments: readonly Commitment[]
  /** By attester. */
  readonly attestations: ReadonlyMap<string, readonly Attestation[]>
}

/**
 * Computes an epoch's payout again and compares it with what the chain settled and paid: every signature, the rules of the sets, the score, the
 * tree, each claim. Pure. Every event has to belong: one that decides nothing is a mismatch, so that nothing can hide in a bundle.
 */
export function verifyEpoch(facts: ChainFacts, events: readonly NostrEvent[], verify: Verify): Verdict {
  const told = readEvents(facts, events, verify)
  if ('ok' in told) return told
  const agreed = checkSignatures(facts, told.outcomes)
  if ('ok' in agreed) return agreed
  const wrong = checkInputs(facts, agreed.inputs)
  if (wrong) return wrong
  const bundles = checkBundles(facts, agreed.inputs, told)
  if ('ok' in bundles) return bundles
  const { rules, free, mirrors } = facts
  const outcome = outcomeOf({ rules, free, mirrors, bundles: bundles.bundles })
  const differs = compare(facts, outcome)
  return differs ?? { ok: 'match', facts, ...agreed, ...bundles, outcome }
}

function readEvents(facts: ChainFacts, events: readonly NostrEvent[], verify: Verify): Told | Mismatch {
  const epoch = epochTag(facts.app, facts.epoch)
  const outcomes: SignedOutcome[] = []
  const commitments: Commitment[] = []
  const attestations = new Map<string, Attestation[]>()
  // By kind, so that the same fault is named whatever the ids are.
  for (const event of [...events].sort((a, b) => a.kind - b.kind)) {
    const name = `event ${short(event.id)} of ${short(event.pubkey)}`
    // Only a guess as long as the signature is not checked, but the best one at which mirror to look.
    const about = event.kind === kinds.attestation ? Number(tag(event, 'mirror')) || undefined : undefined
    if (!verify(event)) return mismatch('event', `${name}: its own id and signature`, 'others', about)
    if (!epochKinds.includes(event.kind))
      return mismatch('event', `${name}: a kind of ${epochKinds}`, event.kind)
    if (tag(event, 'd') !== epoch) return mismatch('event', `${name}: d ${epoch}`, tag(event, 'd'), about)
    if (!facts.rules.keys.includes(attesterKey(event.pubkey)))
      return mismatch('event', `${name}: one of the rules' keys`, event.pubkey, about)
    if (event.kind === kinds.attestation) {
      const read = parseAttestation(event)
      if (!read.ok) return mismatch('attestation', `${name}: a report`, read.reason, about)
      const of = attestations.get(event.pubkey) ?? []
      of.push(read.value)
      attestations.set(event.pubkey, of)
    } else if (event.kind === kinds.commitment) {
      const read = parseCommitment(event, facts.chainId)
      if (!read.ok) return mismatch('commitment', `${name}: a signed commitment`, read.reason)
      commitments.push(read.value)
    } else {
      const read = parseSignedOutcome(event, facts.chainId)
      if (!read.ok) return mismatch('signature', `${name}: a signed outcome`, read.reason)
      outcomes.push(read.value)
    }
  }
  return { outcomes, commitments, attestations }
}

/** The settlement as a signed message. */
function isSettled({ message }: SignedOutcome, { pool, settlement }: ChainFacts): boolean {
  return (
    message.pool === pool &&
    message.round === settlement.round &&
    message.inputs === settlement.inputs &&
    message.root === settlement.root &&
    message.allocated === settlement.allocated &&
    message.count === settlement.count
  )
}

function checkSignatures(
  facts: ChainFacts,
  outcomes: readonly SignedOutcome[],
): { inputs: Inputs; signers: string[] } | Mismatch | NotEnough {
  const { rules, settlement } = facts
  const m = threshold(rules.keys)
  const onChain = settlement.signers.filter(Boolean).length
  if (settlement.signers.length !== rules.keys.length || onChain < m)
    return mismatch('signature', `${m} of ${rules.keys.length} on chain`, onChain)
  const other = outcomes.find((signed) => !isSettled(signed, facts))
  if (other) {
    const name = `signature ${short(other.eventId)}: `
    return mismatch('signature', `${name}root ${settlement.root}`, `root ${other.message.root}`)
  }
  const signers = rules.keys.filter((key) => outcomes.some((s) => s.attester === pubkeyOf(key)))
  const [first] = outcomes
  if (!first || signers.length < m)
    return notEnough(
      `${m - signers.length} more proposals or co-signatures with inputs ${settlement.inputs}: ${signers.length} of ${m} are held`,
    )
  return { inputs: first.inputs, signers }
}

function checkInputs(
  { rules, settlement, anchor, barred }: ChainFacts,
  inputs: Inputs,
): Mismatch | undefined {
  const { rulesVersion } = inputs
  if (rulesVersion !== rules.version || settlement.rulesVersion !== rules.version)
    return mismatch('inputs', `rules ${rules.version}`, `rules ${rulesVersion}`)
  if (inputs.anchor.height !== anchor.height || inputs.anchor.hash !== anchor.hash)
    return mismatch(
      'anchor',
      `block ${anchor.height} ${anchor.hash}`,
      `block ${inputs.anchor.height} ${inputs.anchor.hash}`,
    )
  const named = inputs.commitments.map(({ key }) => key)
  if (new Set(named).size !== named.length) return mismatch('inputs', 'every key once', named.join(' '))
  const stranger = named.find((key) => !rules.keys.includes(key))
  if (stranger) return mismatch('inputs', "the rules' keys", stranger)
  const banned = named.find((key) => barred.includes(key))
  if (banned) return mismatch('inputs', 'no key that was banned', banned)
  const m = threshold(rules.keys)
  return named.length < m ? mismatch('inputs', `${m} commitments`, named.length) : undefined
}

function checkBundles(
  { pool }: ChainFacts,
  inputs: Inputs,
  { commitments, attestations }: Told,
): { bundles: Bundle[] } | Mismatch | NotEnough {
  const isNamed = (c: Commitment) =>
    inputs.commitments.some(({ key, root }) => key === attesterKey(c.attester) && root === c.root)
  for (const [at, commitment] of commitments.entries()) {
    const name = `commitment of ${short(commitment.attester)}: `
    if (commitment.pool !== pool) return mismatch('commitment', `${name}pool ${pool}`, commitment.pool)
    if (!isNamed(commitment)) return mismatch('commitment', `${name}a root that inputs name`, commitment.root)
    if (commitments.findIndex((c) => c.attester === commitment.attester) !== at)
      return mismatch('commitment', `${name}one`, 'two')
  }
  const stray = [...attestations].find(
    ([attester]) => !inputs.commitments.some(({ key }) => key === attesterKey(attester)),
  )
  if (stray) {
    const [attester, [first]] = stray
    return mismatch('attestation', 'attesters that inputs name', short(attester), first!.report.mirror)
  }
  const missing: string[] = []
  const bundles: Bundle[] = []
  for (const { key, root } of inputs.commitments) {
    const attester = pubkeyOf(key)
    const commitment = commitments.find((c) => c.attester === attester)
    if (!commitment) {
      missing.push(`commitment ${short(root)} of ${short(attester)}`)
      continue
    }
    const held = attestations.get(attester) ?? []
    if (held.length < commitment.count) {
      missing.push(
        `${commitment.count - held.length} of ${commitment.count} attestations of ${short(attester)}`,
      )
      continue
    }
    const bundle = held.length === commitment.count ? bundleOf(commitment, held) : undefined
    if (!bundle)
      return mismatch(
        'attestation',
        `${commitment.count} attestations of ${short(attester)} with root ${root}`,
        `${held.length} with another root`,
      )
    bundles.push(bundle)
  }
  return missing.length > 0 ? notEnough(...missing) : { bundles }
}

function compare(facts: ChainFacts, { leaves, root, allocated, count }: Outcome): Mismatch | undefined {
  const { settlement, rules, schedule, epoch, claims } = facts
  const { smallest } = units[facts.asset]
  const payment = ({ index, mirror, recipient, amount }: PayoutLeaf) =>
    `leaf ${index}: ${amount} ${smallest} to ${recipient} for ${mirror === 0 ? 'attesting' : `mirror ${mirror}`}`
  const same = root === settlement.root && allocated === settlement.allocated && count === settlement.count
  for (const claim of [...claims].sort((a, b) => a.index - b.index)) {
    const leaf = leaves[claim.index]
    const found = leaf ? payment(leaf) : `${count} leaves`
    // A root hides what it stands for. Where the leaves differ, what was paid under it shows whose does.
    if (payment(claim) !== found)
      return mismatch(same ? 'claim' : 'score', payment(claim), found, claim.mirror)
  }
  if (!same)
    return mismatch(
      'root',
      `root ${settlement.root}, ${settlement.allocated} ${smallest} in ${settlement.count} leaves`,
      `root ${root}, ${allocated} ${smallest} in ${count} leaves`,
    )
  const [from, until] = [epochEnd(schedule, epoch), settleBefore(schedule, rules, epoch, settlement.round)]
  if (settlement.burn < from || settlement.burn >= until)
    return mismatch('window', `settled from burn block ${from} on and before ${until}`, settlement.burn)
  return undefined
}

/**
 * Out of whatever relays hold of an epoch, the events that decide it: the signatures under the outcome that was settled, the commitments that its
 * inputs name and the attestations behind them. What is not there, `verifyEpoch` will miss.
 */
export function decisiveEvents(
  facts: Pick<ChainFacts, 'chainId' | 'pool' | 'app' | 'epoch' | 'rules' | 'settlement'>,
  events: readonly NostrEvent[],
): NostrEvent[] {
  const epoch = epochTag(facts.app, facts.epoch)
  const byId = new Map(events.map((event) => [event.id, event]))
  const known = [...byId.values()]
    .filter((e) => tag(e, 'd') === epoch && facts.rules.keys.includes(attesterKey(e.pubkey)))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  const outcomes = known.filter(isSignedOutcome).flatMap((event) => {
    const read = parseSignedOutcome(event, facts.chainId)
    return read.ok && isSettled(read.value, facts as ChainFacts) ? [{ event, inputs: read.value.inputs }] : []
  })
  const named = outcomes[0]?.inputs.commitments ?? []
  const attestations = new Map<string, Attestation[]>()
  for (const event of known) {
    const read = event.kind === kinds.attestation ? parseAttestation(event) : undefined
    if (!read?.ok) continue
    const of = attestations.get(event.pubkey) ?? []
    of.push(read.value)
    attestations.set(event.pubkey, of)
  }
  const told = named.flatMap(({ key, root }) => {
    const attester = pubkeyOf(key)
    const commitments = known.flatMap((event) => {
      if (event.kind !== kinds.commitment || event.pubkey !== attester) return []
      const read = parseCommitment(event, facts.chainId)
      return read.ok && read.value.root === root && read.value.pool === facts.pool
        ? [{ event, commitment: read.value }]
        : []
    })
    const [first] = commitments
    if (!first) return []
    const held = attestations.get(attester) ?? []
    // Of what an attester said beyond its commitment, nothing counts.
    const chosen = committedOf(first.commitment, held) ?? held
    return [first.event, ...chosen.map(({ eventId }) => byId.get(eventId)!)]
  })
  return [...outcomes.map(({ event }) => event), ...told]
}
