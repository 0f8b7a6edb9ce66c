import { type Attestation, epochTag, parseAttestation, parseEpochTag } from './attestation.ts'
import { bundleOf, committedOf } from './bundle.ts'
import { type Commitment, parseCommitment } from './commitment.ts'
import { epochEnd, formerEpochs, type Schedule, settleBefore } from './epoch.ts'
import { type NostrEvent, tag, type Verify } from './event.ts'
import { kinds } from './kinds.ts'
import type { PayoutLeaf } from './merkle.ts'
import { type Asset, units } from './money.ts'
import { type BondedMirror, type Bundle, type Outcome, outcomeOf } from './outcome.ts'
import { attesterKey, pubkeyOf, type Rules, threshold } from './rules.ts'
import {
  type Anchor,
  type FormerCommitment,
  type Inputs,
  type NamedCommitment,
  parseSignedOutcome,
  type SignedOutcome,
} from './settlement.ts'

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
  /** Of attesters that were absent: heard about places alone. */
  readonly former: readonly FormerBundle[]
  readonly outcome: Outcome
  /** Keys whose signature under this outcome was checked. */
  readonly signers: readonly string[]
}

/** What an absent attester said in an epoch before. */
export interface FormerBundle extends Bundle {
  readonly epoch: number
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
  /** Of the 8 epochs before it, those that were settled below the anchor: only what counted in one of them may stand for an absent attester. */
  readonly settledBefore: readonly number[]
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
  /** By attester and epoch: see `saying`. */
  readonly attestations: ReadonlyMap<string, readonly Attestation[]>
}

/** What one attester says of one epoch. */
const saying = ({ attester, epoch }: { readonly attester: string; readonly epoch: number }) =>
  `${attester}:${epoch}`

/** What inputs name, each with its epoch, those of the epoch itself first. */
function namedIn(
  { commitments, former }: Pick<Inputs, 'commitments' | 'former'>,
  epoch: number,
): FormerCommitment[] {
  return [...commitments.map((named) => ({ ...named, epoch })), ...former]
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
  const outcome = outcomeOf({ rules, free, mirrors, ...bundles })
  const differs = compare(facts, outcome)
  return differs ?? { ok: 'match', facts, ...agreed, ...bundles, outcome }
}

/** Whether an event is of the epoch, or can be what an absent attester said in one of those before it. */
function isOf(event: NostrEvent, { app, epoch }: Pick<ChainFacts, 'app' | 'epoch'>): boolean {
  const at = parseEpochTag(tag(event, 'd'))
  if (at?.app !== app || isSignedOutcome(event)) return at?.app === app && at.epoch === epoch
  return at.epoch <= epoch && at.epoch >= epoch - formerEpochs
}

function fault(step: Step, event: NostrEvent, expected: string, found: unknown): Mismatch {
  // Only a guess as long as the signature is not checked, but the best one at which mirror to look.
  const mirror = event.kind === kinds.attestation ? Number(tag(event, 'mirror')) || undefined : undefined
  const name = `event ${short(event.id)} of ${short(event.pubkey)}`
  return mismatch(step, `${name}: ${expected}`, found, mirror)
}

function readEvents(facts: ChainFacts, events: readonly NostrEvent[], verify: Verify): Told | Mismatch {
  const epoch = epochTag(facts.app, facts.epoch)
  const pubkeys = new Set(facts.rules.keys.map(pubkeyOf))
  const outcomes: SignedOutcome[] = []
  const commitments: Commitment[] = []
  const attestations = new Map<string, Attestation[]>()
  // By kind, so that the same fault is named whatever the ids are.
  for (const event of [...events].sort((a, b) => a.kind - b.kind)) {
    if (!verify(event)) return fault('event', event, 'its own id and signature', 'others')
    if (!epochKinds.includes(event.kind)) return fault('event', event, `a kind of ${epochKinds}`, event.kind)
    const d = tag(event, 'd')
    if (d !== epoch && !isOf(event, facts)) return fault('event', event, `d ${epoch}`, d)
    if (!pubkeys.has(event.pubkey)) return fault('event', event, "one of the rules' keys", event.pubkey)
    if (event.kind === kinds.attestation) {
      const read = parseAttestation(event)
      if (!read.ok) return fault('attestation', event, 'a report', read.reason)
      const whose = saying(read.value)
      const of = attestations.get(whose)
      if (of) of.push(read.value)
      else attestations.set(whose, [read.value])
    } else if (event.kind === kinds.commitment) {
      const read = parseCommitment(event, facts.chainId)
      if (!read.ok) return fault('commitment', event, 'a signed commitment', read.reason)
      commitments.push(read.value)
    } else {
      const read = parseSignedOutcome(event, facts.chainId)
      if (!read.ok) return fault('signature', event, 'a signed outcome', read.reason)
      outcomes.push(read.value)
    }
  }
  return { outcomes, commitments, attestations }
}

/** The settlement as a signed message. */
function isSettled(
  { message }: SignedOutcome,
  { pool, settlement }: Pick<ChainFacts, 'pool' | 'settlement'>,
): boolean {
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
  { rules, settlement, anchor, barred, settledBefore }: ChainFacts,
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
  const named = [...inputs.commitments, ...inputs.former].map(({ key }) => key)
  if (new Set(named).size !== named.length) return mismatch('inputs', 'every key once', named.join(' '))
  const stranger = named.find((key) => !rules.keys.includes(key))
  if (stranger) return mismatch('inputs', "the rules' keys", stranger)
  const banned = named.find((key) => barred.includes(key))
  if (banned) return mismatch('inputs', 'no key that was banned', banned)
  const late = inputs.former.find(({ epoch }) => !settledBefore.includes(epoch))
  if (late)
    return mismatch('inputs', `former commitments of epochs ${settledBefore.join(', ')}`, `of ${late.epoch}`)
  const m = threshold(rules.keys)
  const { length } = inputs.commitments
  return length < m ? mismatch('inputs', `${m} commitments`, length) : undefined
}

function checkBundles(
  { pool, epoch }: ChainFacts,
  inputs: Inputs,
  { commitments, attestations }: Told,
): Pick<Match, 'bundles' | 'former'> | Mismatch | NotEnough {
  const named = namedIn(inputs, epoch)
  const namedBy = (told: { readonly attester: string; readonly epoch: number }) =>
    named.find((one) => one.epoch === told.epoch && one.key === attesterKey(told.attester))
  for (const [at, commitment] of commitments.entries()) {
    const name = `commitment of ${short(commitment.attester)}: `
    if (commitment.pool !== pool) return mismatch('commitment', `${name}pool ${pool}`, commitment.pool)
    if (namedBy(commitment)?.root !== commitment.root)
      return mismatch('commitment', `${name}a root that inputs name`, commitment.root)
    if (commitments.findIndex((c) => saying(c) === saying(commitment)) !== at)
      return mismatch('commitment', `${name}one`, 'two')
  }
  for (const [first] of attestations.values())
    if (!namedBy(first!))
      return mismatch(
        'attestation',
        'attesters that inputs name',
        short(first!.attester),
        first!.report.mirror,
      )
  const missing: string[] = []
  const bundles: FormerBundle[] = []
  for (const { key, root, epoch: of } of named) {
    const attester = pubkeyOf(key)
    const whose = of === epoch ? short(attester) : `${short(attester)} in epoch ${of}`
    const name = saying({ attester, epoch: of })
    const commitment = commitments.find((c) => saying(c) === name)
    if (!commitment) {
      missing.push(`commitment ${short(root)} of ${whose}`)
      continue
    }
    const held = attestations.get(name) ?? []
    if (held.length < commitment.count) {
      missing.push(`${commitment.count - held.length} of ${commitment.count} attestations of ${whose}`)
      continue
    }
    const bundle = held.length === commitment.count ? bundleOf(commitment, held) : undefined
    if (!bundle)
      return mismatch(
        'attestation',
        `${commitment.count} attestations of ${whose} with root ${root}`,
        `${held.length} with another root`,
      )
    bundles.push({ ...bundle, epoch: of })
  }
  if (missing.length > 0) return notEnough(...missing)
  return { bundles: bundles.filter((b) => b.epoch === epoch), former: bundles.filter((b) => b.epoch < epoch) }
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

type EpochFacts = Pick<ChainFacts, 'chainId' | 'pool' | 'app' | 'epoch' | 'rules' | 'settlement'>

/** The signatures under the outcome that was settled, out of whatever relays hold of the epoch. */
function settledOutcomes(facts: EpochFacts, events: readonly NostrEvent[]) {
  return events.filter(isSignedOutcome).flatMap((event) => {
    if (!facts.rules.keys.includes(attesterKey(event.pubkey))) return []
    const read = parseSignedOutcome(event, facts.chainId)
    const settles = read.ok && read.value.message.epoch === facts.epoch && isSettled(read.value, facts)
    return settles ? [{ event, inputs: read.value.inputs }] : []
  })
}

/** The former commitments that a settlement names, as far as what relays hold of its epoch tells. */
export function formerOf(facts: EpochFacts, events: readonly NostrEvent[]): readonly FormerCommitment[] {
  return settledOutcomes(facts, events)[0]?.inputs.former ?? []
}

/**
 * Out of whatever relays hold of an epoch (and of those that `formerOf` names), the events that decide it: the signatures under the outcome that was
 * settled, the commitments that its inputs name and the attestations behind them. What is not there, `verifyEpoch` will miss.
 */
export function decisiveEvents(facts: EpochFacts, events: readonly NostrEvent[]): NostrEvent[] {
  const byId = new Map(events.map((event) => [event.id, event]))
  const known = [...byId.values()]
    .filter((event) => isOf(event, facts))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  const outcomes = settledOutcomes(facts, known)
  const [first] = outcomes
  const named = first ? namedIn(first.inputs, facts.epoch) : []
  const told = named.flatMap(({ key, root, epoch }) => committedEvents(facts, known, { key, root }, epoch))
  return [...outcomes.map(({ event }) => event), ...told.map((id) => byId.get(id)!)]
}

/** Ids of a named commitment and of the attestations behind it. */
function committedEvents(
  { app, chainId, pool }: EpochFacts,
  known: readonly NostrEvent[],
  { key, root }: NamedCommitment,
  epoch: number,
): string[] {
  const own = known.filter((e) => e.pubkey === pubkeyOf(key) && tag(e, 'd') === epochTag(app, epoch))
  const [commitment] = own.flatMap((event) => {
    const read = event.kind === kinds.commitment ? parseCommitment(event, chainId) : undefined
    return read?.ok && read.value.root === root && read.value.pool === pool ? [read.value] : []
  })
  if (!commitment) return []
  const held = own.flatMap((event) => {
    const read = event.kind === kinds.attestation ? parseAttestation(event) : undefined
    return read?.ok ? [read.value] : []
  })
  // Of what an attester said beyond its commitment, nothing counts.
  const chosen = committedOf(commitment, held) ?? held
  return [commitment.eventId, ...chosen.map(({ eventId }) => eventId)]
}
