import { epochTag } from '@understudy/protocol/attestation'
import { type NostrEvent, tag } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { type Bundle, type Outcome, outcomeOf } from '@understudy/protocol/outcome'
import { encodeGeohash } from '@understudy/protocol/place'
import { attesterKey, pubkeyOf } from '@understudy/protocol/rules'
import { decisiveEvents, verifyEpoch } from '@understudy/protocol/verify'
import type { SimulatedAttester } from './attester.ts'
import type { World } from './world.ts'

/** Mirrors that earn together, and what at most. */
export interface Suspect {
  readonly mirrors: readonly number[]
  /** µSTX: `truth` for what the same mirrors would earn without lying; more of it on top of that. */
  readonly due: 'nothing' | 'truth'
  readonly extra?: bigint
}

/** What an adversary did, for whoever judges a run. */
export interface Guilt {
  readonly suspects?: readonly Suspect[]
  /** Attesters that lie: what they said is compared with what they would have said. */
  readonly liars?: readonly SimulatedAttester[]
  /** Keys that contradicted themselves, by now. */
  equivocators?(): readonly { readonly key: string; readonly epoch: number }[]
}

/** What came of one run. */
export interface Verdict {
  readonly epochs: number
  /** µSTX beyond what was due. */
  readonly stolen: bigint
  /** The most by which a lie moved an honest mirror's pay, ppm of it. */
  readonly honestPayShiftPpm: number
  readonly settlementsLost: number
  readonly equivocationsMissed: number
  readonly honestConvicted: number
  /** What should not happen, in words. */
  readonly findings: readonly string[]
}

/** Judges a finished run. Everything is taken from the chain and from what was published, as a stranger would. */
export function judge(world: World, guilt: Guilt): Verdict {
  const { suspects = [], liars = [] } = guilt
  const suspected = new Set(suspects.flatMap(({ mirrors }) => mirrors))
  const liarKeys = new Set(liars.map(({ identity }) => identity.key))
  const findings: string[] = world.failures.map((failure) => `broke down: ${String(failure)}`)
  let stolen = 0n
  let honestPayShiftPpm = 0
  let settlementsLost = 0
  let honestConvicted = 0
  const events = [
    ...new Map([...world.published(), ...held(world)].map((event) => [event.id, event])).values(),
  ]

  for (let epoch = 0; epoch < world.setting.epochs; epoch++) {
    const facts = world.chain.factsOf(epoch)
    if (!facts) {
      settlementsLost++
      findings.push(`epoch ${epoch} was not settled`)
      continue
    }
    const verdict = verifyEpoch(facts, decisiveEvents(facts, events), world.signing.verify)
    if (verdict.ok !== 'match') {
      findings.push(`epoch ${epoch} does not verify: ${JSON.stringify(verdict)}`)
      settlementsLost++
      continue
    }
    const { outcome, bundles } = verdict
    const honest = withoutLies(world, bundles, liarKeys, suspected)
    const former = undone(world, verdict.former, liarKeys, suspected)
    const { rules, free, mirrors } = facts
    const truth = outcomeOf({ rules, free, mirrors, bundles: honest, former })
    // Whoever was found out leaves its share to its neighbours, as it should.
    const out = new Set(
      outcome.mirrors.filter((m) => suspected.has(m.mirror) && m.amount === 0n).map((m) => m.mirror),
    )
    const among = mirrors.filter(({ mirror }) => !out.has(mirror))
    const fairly =
      out.size === 0 ? truth : outcomeOf({ rules, free, mirrors: among, bundles: honest, former })
    for (const { mirrors, due, extra = 0n } of suspects) {
      const of = (from: Outcome) =>
        from.mirrors.filter((m) => mirrors.includes(m.mirror)).reduce((sum, m) => sum + m.amount, 0n)
      const most = (due === 'nothing' ? 0n : of(truth)) + extra
      if (of(outcome) > most) {
        stolen += of(outcome) - most
        findings.push(`epoch ${epoch}: mirrors ${mirrors} got ${of(outcome)}, ${most} were due`)
      }
    }
    for (const mirror of outcome.mirrors) {
      if (suspected.has(mirror.mirror)) continue
      if (mirror.reason === 'wrong bytes' || mirror.reason === 'place falsified') {
        honestConvicted++
        findings.push(`epoch ${epoch}: honest mirror ${mirror.mirror}: ${mirror.reason}`)
      }
      // Suspects' own shares move when they are found out: only what liars say is somebody's lie about others.
      if (liars.length === 0) continue
      const fair = fairly.mirrors.find((m) => m.mirror === mirror.mirror)!.amount
      const moved = mirror.amount > fair ? mirror.amount - fair : fair - mirror.amount
      const ppm = fair === 0n ? (moved === 0n ? 0 : 1_000_000) : Number((moved * 1_000_000n) / fair)
      if (ppm >= 10_000)
        findings.push(`epoch ${epoch}: mirror ${mirror.mirror} got ${mirror.amount}, ${fair} were fair`)
      honestPayShiftPpm = Math.max(honestPayShiftPpm, ppm)
    }
  }
  const guilty = new Set(guilt.equivocators?.().map(({ key }) => key) ?? [])
  for (const key of world.chain.state().banned) {
    if (guilty.has(key)) continue
    honestConvicted++
    findings.push(`honest attester ${key.slice(0, 12)} was banned`)
  }
  const missed = (guilt.equivocators?.() ?? []).filter(({ key }) => !world.chain.state().banned.has(key))
  for (const { key, epoch } of missed)
    findings.push(`epoch ${epoch}: ${key.slice(0, 12)} equivocated unpunished`)
  return {
    ...{ epochs: world.setting.epochs, stolen, honestPayShiftPpm, settlementsLost },
    ...{ equivocationsMissed: missed.length, honestConvicted, findings },
  }
}

/** What attesters hold that no relay kept. */
function held(world: World): NostrEvent[] {
  return world.attesters.flatMap((attester) =>
    attester.disk
      .rows('select event from events where epoch >= 0')
      .map((row) => JSON.parse(String(row.event)) as NostrEvent),
  )
}

/** The settled bundles with the liars' replaced by what they should have said, and theirs who left themselves out added. */
function withoutLies(
  world: World,
  bundles: readonly Bundle[],
  liars: ReadonlySet<string>,
  suspected: ReadonlySet<number>,
): Bundle[] {
  const truthful = world.attesters
    .filter(({ identity }) => liars.has(identity.key))
    .map(
      (attester): Bundle => ({
        key: attester.identity.key,
        header: {
          stx: attester.identity.payee,
          latitude: Math.round(attester.city.latitude * 1e6),
          longitude: Math.round(attester.city.longitude * 1e6),
          ...{ seed: '00'.repeat(32) },
        },
        reports: world.mirrors.map((mirror) => reportOf(world, attester, mirror)),
      }),
    )
  return [...truthful, ...undone(world, bundles, liars, suspected)].sort((a, b) => (a.key < b.key ? -1 : 1))
}

/** What honest attesters said, with a suspect's own lies undone as well: what it would have earned with the truth. */
function undone(
  world: World,
  bundles: readonly Bundle[],
  liars: ReadonlySet<string>,
  suspected: ReadonlySet<number>,
): Bundle[] {
  return bundles
    .filter(({ key }) => !liars.has(key))
    .map((bundle) => {
      const attester = world.attesters.find(({ identity }) => identity.key === bundle.key)!
      const reports = bundle.reports.map((report) => {
        const mirror = world.mirrors.find(({ id }) => id === report.mirror)!
        if (!suspected.has(report.mirror)) return report
        const { rttMicros, geohash } = reportOf(world, attester, mirror)
        return { ...report, rttMicros, geohash }
      })
      return { ...bundle, reports }
    })
}

function reportOf(world: World, attester: SimulatedAttester, mirror: World['mirrors'][number]) {
  const dead = mirror.lies.down !== undefined
  const ways = world.network.oneWayMs(attester, mirror) + world.network.oneWayMs(mirror, attester)
  return {
    ...{ mirror: mirror.id, nodeKey: mirror.signer.pubkey, inconclusive: 0, reasons: {}, wrongBytes: false },
    ...{ passed: dead ? 0 : 1, failed: dead ? 1 : 0, principal: mirror.owner, commit: '' },
    ...{ address: mirror.address, asn: mirror.asn, rttMicros: Math.ceil(ways * 1_000) },
    geohash: encodeGeohash(mirror.city, 5),
  }
}

/** Keys with two commitments for one epoch among everything that was ever published or held. */
export function equivocators(world: World): { key: string; epoch: number }[] {
  const said = new Map<string, Set<string>>()
  for (const event of [...world.published(), ...held(world)]) {
    if (event.kind !== kinds.commitment) continue
    const about = `${event.pubkey} ${tag(event, 'd')}`
    const roots = said.get(about) ?? new Set()
    roots.add(String((JSON.parse(event.content) as { root: string }).root))
    said.set(about, roots)
  }
  return world.attesters.flatMap(({ identity }) =>
    Array.from({ length: world.setting.epochs }, (_, epoch) => ({
      key: attesterKey(pubkeyOf(identity.key)),
      epoch,
    })).filter(
      ({ epoch }) => (said.get(`${identity.pubkey} ${epochTag(world.app.id, epoch)}`)?.size ?? 0) > 1,
    ),
  )
}
