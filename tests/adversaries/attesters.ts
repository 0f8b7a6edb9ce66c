import { parseAttestation } from '@understudy/protocol/attestation'
import { commitmentRoot, commitmentTemplate } from '@understudy/protocol/commitment'
import { epochEnd, firstAttemptBlocks, proposerOf } from '@understudy/protocol/epoch'
import { type NostrEvent, tag } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { distanceKm } from '@understudy/protocol/place'
import { parseSignedOutcome } from '@understudy/protocol/settlement'
import type { Relays } from '@understudy/relays/relays'
import type { SimulatedAttester } from '../simulation/attester.ts'
import { chainId, contracts, runningEpoch } from '../simulation/chain.ts'
import { equivocators } from '../simulation/judge.ts'
import { budget, epochLength, type World } from '../simulation/world.ts'
import type { Adversary } from './adversary.ts'
import { antipode } from './antipode.ts'
import { mapped } from './mirrors.ts'
import { otherOutcome, payingNobody } from './outcomes.ts'

/** M − 1 of them. */
function minority(world: World): SimulatedAttester[] {
  return world.dice.of('minority').draw(world.attesters, (world.attesters.length - 1) / 2)
}

const five = { attesters: 5 } as const

/** Publishes through the relays that `to` admits; what it refuses is as if sent. */
function filtered(relays: Relays, to: (event: NostrEvent) => boolean): Relays {
  return {
    ...relays,
    publish: (event, options) =>
      to(event) ? relays.publish(event, options) : Promise.resolve({ ok: true, accepted: [], refused: [] }),
    // What a relay is found to lack is not given to it either.
    each: () =>
      relays.each().map((relay) => ({
        ...relay,
        publish: (event, timeoutMs) =>
          to(event) ? relay.publish(event, timeoutMs) : Promise.resolve({ ok: true }),
      })),
  }
}

/** Vouch for a mirror that answers nobody. */
export const praise: Adversary = {
  name: 'colluders praise a dead mirror',
  lie: 'M − 1 attesters and an operator share what a dead mirror earns',
  setting: five,
  enter(world) {
    const liars = minority(world)
    const friend = world.mirrors[0]!
    friend.lies = { down: [[0, Number.POSITIVE_INFINITY]] }
    for (const liar of liars)
      liar.lies = {
        observed: (disk) =>
          disk.run(
            "update observations set outcome = 'passed', reason = '', address = ?, asn = ?, rtt_micros = 20000 where mirror = ?",
            friend.address,
            friend.asn,
            friend.id,
          ),
      }
    return { liars, suspects: [{ mirrors: [friend.id], due: 'nothing' }] }
  },
}

/** Say that every mirror failed, and sent wrong bytes. */
export const slander: Adversary = {
  name: 'colluders slander everybody',
  lie: 'M − 1 attesters would starve all mirrors',
  setting: five,
  enter(world) {
    const liars = minority(world)
    for (const liar of liars)
      liar.lies = {
        observed: (disk) =>
          disk.run("update observations set outcome = 'failed', reason = 'timeout', wrong_bytes = 1"),
      }
    return { liars }
  },
}

/** Say so of one mirror only, for instance a rival of theirs. */
export const slanderOne: Adversary = {
  name: 'colluders slander a rival',
  lie: 'M − 1 attesters would have one mirror paid nothing',
  setting: five,
  enter(world) {
    const liars = minority(world)
    const rival = world.dice.of('rival').pick(world.mirrors)
    for (const liar of liars)
      liar.lies = {
        observed: (disk) =>
          disk.run(
            "update observations set outcome = 'failed', reason = 'wrong-bytes', wrong_bytes = 1 where mirror = ?",
            rival.id,
          ),
      }
    return { liars }
  },
}

/** Report another network, another owner and another claimed place than those they saw. */
export const wrongNetwork: Adversary = {
  name: 'colluders lie about networks',
  lie: 'M − 1 attesters would crowd rivals into one network',
  setting: five,
  enter(world) {
    const liars = minority(world)
    for (const liar of liars)
      liar.lies = {
        observed: (disk) =>
          disk.run("update observations set asn = 65000, principal = 'nobody', geohash = 's000'"),
      }
    return { liars }
  },
}

/** Give false coordinates for their own, as far as f go. */
export const falseStand: Adversary = {
  name: 'attester lies about its own place',
  lie: 'f attesters would falsify honest places',
  setting: mapped,
  enter(world) {
    const [liar] = world.dice.of('minority').draw(world.attesters, 1) as [SimulatedAttester]
    liar.lies = {
      claims: antipode(liar.city),
      observed: (disk) => disk.run('update observations set rtt_micros = 500 where rtt_micros > 0'),
    }
    return { liars: [liar] }
  },
}

/** f attesters stand, as they say, beside a place where a mirror is not. */
export const falsePlace: Adversary = {
  name: 'f colluders beside a false place',
  lie: 'an operator and f attesters invent a place',
  setting: mapped,
  enter: (world) => inventPlace(world, world.setting.faults, 0n),
}

/** M − 1 of them do: more than f, so that a place can be had, and no more than a place's pay. */
export const manyFalsePlace: Adversary = {
  name: 'M − 1 colluders beside a false place',
  lie: 'an operator and more than f attesters invent a place',
  setting: mapped,
  enter: (world) => inventPlace(world, (world.attesters.length - 1) / 2, budget / BigInt(mapped.places)),
}

function inventPlace(world: World, count: number, extra: bigint) {
  const liars = world.dice.of('minority').draw(world.attesters, count)
  const friend = world.mirrors[0]!
  const away = [...world.attesters].sort(
    (a, b) => distanceKm(b.city, friend.city) - distanceKm(a.city, friend.city),
  )[0]!.city
  friend.lies = { claims: away }
  for (const liar of liars)
    liar.lies = {
      claims: away,
      // What they say of others' places would give away where they really stand.
      observed: (disk) =>
        disk.run(
          'update observations set rtt_micros = case when mirror = ? then 900 else 0 end where rtt_micros > 0',
          friend.id,
        ),
    }
  // Beyond f, attesters can leave a place unproven by lying as by being away.
  const heard = count <= world.setting.faults ? liars : []
  return { liars: heard, suspects: [{ mirrors: [friend.id], due: 'truth' as const, extra }] }
}

/** Commits to two sets of attestations, and shows one to some and the other to others. */
export const twoCommitments: Adversary = {
  name: 'equivocating attester',
  lie: 'to decide after the cut-off which of its words count',
  enter(world) {
    const [liar] = minority(world) as [SimulatedAttester]
    const said = new Set<number>()
    liar.lies = {
      async turned() {
        for (const row of liar.disk.rows(
          'select event from events where kind = ? and pubkey = ?',
          kinds.commitment,
          liar.identity.pubkey,
        )) {
          const event = JSON.parse(String(row.event)) as NostrEvent
          const epoch = Number(tag(event, 'd')?.split(':')[1])
          if (said.has(epoch)) continue
          said.add(epoch)
          const { header } = JSON.parse(event.content)
          const other = { ...header, latitude: header.latitude + 1_000 }
          const message = {
            pool: contracts.pool,
            app: world.app.id,
            epoch,
            root: commitmentRoot(other, []),
            count: 0,
          }
          const { signer, secretKey } = liar.identity
          const template = commitmentTemplate(message, other, chainId, secretKey, event.created_at)
          const second = await signer.signEvent(template)
          const late = world.dice.of(`late ${epoch}`).below(8) * 600_000
          world.time.after(late, () => void liar.relays?.publish(second))
        }
      },
    }
    return { liars: [liar], equivocators: () => equivocators(world) }
  },
}

/** Signs two outcomes over the same inputs: its own, and one that pays nobody. */
export const twoOutcomes: Adversary = {
  name: 'attester that signs two outcomes',
  lie: 'to have two settlements to choose from',
  enter(world) {
    const [liar] = minority(world) as [SimulatedAttester]
    const told: { key: string; epoch: number }[] = []
    liar.lies = {
      relays: (relays) => ({
        ...relays,
        publish(event, options) {
          if (event.kind === kinds.proposal || event.kind === kinds.coSignature) {
            const read = parseSignedOutcome(event, chainId)
            if (read.ok && !told.some(({ epoch }) => epoch === read.value.message.epoch)) {
              told.push({ key: liar.identity.key, epoch: read.value.message.epoch })
              const nothing = payingNobody(read.value.message)
              void otherOutcome(liar, event, nothing).then((second) => relays.publish(second))
            }
          }
          return relays.publish(event, options)
        },
      }),
    }
    return { liars: [liar], equivocators: () => told }
  },
}

/** Probes, and at the end of the epoch says nothing more. */
export const silent: Adversary = {
  name: 'silent attesters',
  lie: 'M − 1 attesters would let an epoch lapse',
  setting: five,
  enter(world) {
    const liars = minority(world)
    for (const liar of liars)
      world.time.at(world.atBurn(world.beginOf(0) + world.dice.of(liar.name).below(epochLength)), () =>
        liar.crash(),
      )
    return { liars }
  },
}

/** Commit, and never reveal what to. */
export const withholding: Adversary = {
  name: 'attesters that withhold',
  lie: 'M − 1 attesters would hold up every proposal',
  setting: five,
  enter(world) {
    const liars = minority(world)
    for (const liar of liars)
      liar.lies = { relays: (relays) => filtered(relays, ({ kind }) => kind !== kinds.attestation) }
    return { liars }
  },
}

/** Send their attestations to one relay only, which shows them to half of the others. */
export const halfShown: Adversary = {
  name: 'attesters that show to half',
  lie: 'M − 1 attesters and a relay would have the others disagree for ever',
  setting: five,
  enter(world) {
    const liars = minority(world)
    const names = new Set(liars.map(({ name }) => name))
    const half = new Set(world.attesters.filter((_, at) => at % 2 === 0).map(({ name }) => name))
    const [friend, ...others] = world.relaySet.all
    friend!.faults = { hides: ({ kind }, reader) => kind === kinds.attestation && half.has(reader.name) }
    for (const relay of others)
      relay.faults = { loses: ({ kind }, sender) => kind === kinds.attestation && names.has(sender.name) }
    return { liars }
  },
}

/** Commits to another attester's words as its own. */
export const copying: Adversary = {
  name: 'copying attester',
  lie: 'to earn fees without probing',
  enter(world) {
    const [liar] = minority(world) as [SimulatedAttester]
    const said = new Set<number>()
    const victim = world.attesters.find((attester) => attester !== liar)!
    liar.lies = {
      relays: (relays) =>
        filtered(relays, ({ kind }) => kind !== kinds.attestation && kind !== kinds.commitment),
      async turned() {
        const words = liar.disk
          .rows(
            'select event from events where kind = ? and pubkey = ?',
            kinds.attestation,
            victim.identity.pubkey,
          )
          .map((row) => JSON.parse(String(row.event)) as NostrEvent)
        const epoch = runningEpoch(world.chain) - 1
        const copied = words.flatMap((event) => {
          const read = parseAttestation(event)
          return read.ok && read.value.epoch === epoch ? [read.value] : []
        })
        if (copied.length === 0 || said.has(epoch)) return
        said.add(epoch)
        const { payee: stx, signer, secretKey } = liar.identity
        const header = { stx, latitude: 0, longitude: 0, seed: '00'.repeat(32) }
        const message = {
          ...{ pool: contracts.pool, app: world.app.id, epoch, count: copied.length },
          root: commitmentRoot(header, copied),
        }
        const seconds = Math.floor(world.time.now() / 1_000)
        const commitment = await signer.signEvent(
          commitmentTemplate(message, header, chainId, secretKey, seconds),
        )
        void liar.relays?.publish(commitment)
      },
    }
    return { liars: [liar] }
  },
}

/** Sends as much as it can sign. */
export const flooding: Adversary = {
  name: 'flooding attester',
  lie: 'to drown what others say',
  setting: { epochs: 1 },
  enter(world) {
    const [liar] = minority(world) as [SimulatedAttester]
    let serial = 0
    liar.lies = {
      async turned() {
        if (!liar.relays || runningEpoch(world.chain) < 0) return
        const tags = [['d', `${world.app.id}:${runningEpoch(world.chain)}`]]
        for (let i = 0; i < 60; i++) {
          const kind = [kinds.attestation, kinds.proposal, kinds.coSignature, kinds.commitment][i % 4]!
          const content = JSON.stringify({ junk: serial++, more: 'x'.repeat(500) })
          const event = await liar.identity.signer.signEvent({
            kind,
            created_at: Math.floor(world.time.now() / 1_000),
            tags,
            content,
          })
          void liar.relays.publish(event)
        }
      },
    }
    return { liars: [liar] }
  },
}

/** Signs and keeps its signatures to itself when it is its turn. */
export const sittingProposer: Adversary = {
  name: 'proposer that sits on signatures',
  lie: 'to hold an epoch up when its turn comes',
  enter(world) {
    const [liar] = minority(world) as [SimulatedAttester]
    liar.lies = {
      relays: (relays) =>
        filtered(relays, ({ kind }) => kind !== kinds.proposal && kind !== kinds.coSignature),
    }
    return { liars: [liar] }
  },
}

/** Proposes, in its turn, an outcome that pays its own friend everything. */
export const lyingProposer: Adversary = {
  name: 'lying proposer',
  lie: 'to have others sign what it wants',
  enter(world) {
    const [liar] = minority(world) as [SimulatedAttester]
    const state = world.chain.state()
    const keys = state.rules[0]!.keys
    const said = new Set<string>()
    liar.lies = {
      relays: (relays) => filtered(relays, ({ kind }) => kind !== kinds.proposal),
      async turned(burn) {
        for (let epoch = 0; epoch < world.setting.epochs; epoch++) {
          const attempt = burn - epochEnd(state.schedule, epoch) - firstAttemptBlocks
          if (attempt < 0 || attempt > 6 || said.has(`${epoch} ${attempt}`)) continue
          if (proposerOf(keys, epoch, attempt) !== liar.identity.key) continue
          const [row] = liar.disk.rows(
            'select event from events where kind = ? and pubkey = ? and epoch = ?',
            kinds.proposal,
            liar.identity.pubkey,
            epoch,
          )
          if (!row) continue
          said.add(`${epoch} ${attempt}`)
          const event = JSON.parse(String(row.event)) as NostrEvent
          const read = parseSignedOutcome(event, chainId)
          if (!read.ok) continue
          const message = { ...read.value.message, root: '11'.repeat(32), allocated: budget, count: 1 }
          const forged = await otherOutcome(liar, { ...event, kind: kinds.proposal }, message)
          void liar.relays?.publish({ ...forged })
        }
      },
    }
    return { liars: [liar] }
  },
}

export const lyingAttesters: readonly Adversary[] = [
  praise,
  slander,
  slanderOne,
  wrongNetwork,
  falseStand,
  falsePlace,
  manyFalsePlace,
  twoCommitments,
  twoOutcomes,
  silent,
  withholding,
  halfShown,
  copying,
  flooding,
  sittingProposer,
  lyingProposer,
]
