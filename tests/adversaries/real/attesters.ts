import { epochTag, parseAttestation } from '@understudy/protocol/attestation'
import { commitmentRoot, commitmentTemplate } from '@understudy/protocol/commitment'
import { type NostrEvent, tag } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { parseSignedOutcome } from '@understudy/protocol/settlement'
import { antipode } from '../antipode.ts'
import { otherOutcome, payingNobody } from '../outcomes.ts'
import { inDatabase, type RealAttester, type RealNetwork } from './network.ts'
import { standOf } from './places.ts'

/** Makes an attester lie about one epoch. */
type Lie = (network: RealNetwork, liar: RealAttester, epoch: number) => Promise<void> | void

const isOf = (epoch: number, event: NostrEvent) => tag(event, 'd')?.endsWith(`:${epoch}`) ?? false

/** Changes what this attester observes of an epoch before it is written down: its own program tells the lie. */
function observes(change: string): Lie {
  return (_, liar, epoch) =>
    inDatabase(
      liar.databaseUrl,
      `create or replace function lie() returns trigger language plpgsql as $$
       begin
         if new.epoch = ${epoch} then ${change} end if;
         return new;
       end $$;
       create or replace trigger lie before insert on observations for each row execute function lie()`,
    )
}

const praised = "new.outcome := 'passed'; new.reason := ''; new.wrong_bytes := false;"
const slandered = "new.outcome := 'failed'; new.reason := 'wrong-bytes'; new.wrong_bytes := true;"

/** Says that some mirrors passed whatever they did, and that some failed and tampered. */
export const lying = (up: readonly string[], down: readonly string[]): Lie => {
  const among = (network: RealNetwork, names: readonly string[]) =>
    names.length > 0 ? `new.mirror in (${names.map(network.idOf)})` : 'false'
  return (network, liar, epoch) =>
    observes(
      `if ${among(network, up)} then ${praised} elsif ${among(network, down)} then ${slandered} end if;`,
    )(network, liar, epoch)
}

/** Times one mirror as if it stood beside that. */
export const besideFalsePlace =
  (friend: string): Lie =>
  (network, liar, epoch) =>
    observes(
      `if new.mirror = ${network.idOf(friend)} and new.rtt_micros > 0 then new.rtt_micros := 900; end if;`,
    )(network, liar, epoch)

/** Reports another network, another owner and another claimed place than those it saw. */
export const wrongNetwork = observes("new.asn := 65000; new.principal := 'nobody'; new.geohash := 's000';")

/** Says that it stands at the other end of the world, and that everybody is near. */
export const falseStand: Lie = async (network, liar, epoch) => {
  await network.restand(liar, antipode(standOf(network.attesters.indexOf(liar))))
  await observes('if new.rtt_micros > 0 then new.rtt_micros := 500; end if;')(network, liar, epoch)
}

/** Signs another outcome over the inputs of the one that it signs, one that pays nobody. */
export const twoOutcomes: Lie = (network, liar, epoch) => {
  const { pubkey, chainId } = liar.identity
  const filter = {
    ...{ kinds: [kinds.proposal, kinds.coSignature], authors: [pubkey] },
    '#d': [epochTag(network.app, epoch)],
  }
  let said = false
  const subscription = network.relays.subscribe([filter], {
    onEvent(event) {
      const read = parseSignedOutcome(event, chainId)
      if (said || !read.ok) return
      said = true
      subscription.close()
      const nothing = payingNobody(read.value.message)
      void otherOutcome(liar, event, nothing).then((second) => network.relays.publish(second))
    },
  })
}

/** What this attester says of these kinds reaches no relay, or only some. */
const keeps =
  (which: readonly number[], from: (relay: number) => boolean = () => true): Lie =>
  ({ silences }, { name }, epoch) => {
    silences.push(
      (event, sender, relay) =>
        sender === name && which.includes(event.kind) && isOf(epoch, event) && from(relay),
    )
  }

/** Commits, and never reveals what to. */
export const withholding = keeps([kinds.attestation])

/** Signs, and keeps proposals and signatures to itself. */
export const sitting = keeps([kinds.proposal, kinds.coSignature])

/** Sends its attestations to one relay only, which shows them to half of the others. */
export const showingToHalf: Lie = (network, liar, epoch) => {
  const friend = network.fronts.length - 1
  const half = new Set(network.attesters.filter((_, at) => at % 2 === 0).map(({ name }) => name))
  network.fronts[friend]!.faults = {
    hides: (event, reader) => event.kind === kinds.attestation && half.has(reader.name),
  }
  return keeps([kinds.attestation], (relay) => relay !== friend)(network, liar, epoch)
}

/** Sends junk under every kind that decides something, as much as it can sign. */
export const flooding: Lie = async (network, { identity }, epoch) => {
  const which = [kinds.attestation, kinds.proposal, kinds.coSignature, kinds.commitment]
  const created_at = Math.floor(Date.now() / 1_000)
  const tags = [['d', epochTag(network.app, epoch)]]
  for (let batch = 0; batch < 20; batch++)
    await Promise.all(
      Array.from({ length: 40 }, async (_, at) => {
        const content = JSON.stringify({ junk: batch * 40 + at, more: 'x'.repeat(500) })
        const event = await identity.signer.signEvent({ kind: which[at % 4]!, created_at, tags, content })
        await network.relays.publish(event)
      }),
    )
}

/** Says nothing of its own, and commits to what another one reveals. */
export const copying =
  (victim: RealAttester): Lie =>
  (network, liar, epoch) => {
    const { app, chain, relays } = network
    keeps([kinds.attestation, kinds.commitment])(network, liar, epoch)
    const { signer, secretKey, payee: stx } = liar.identity
    const filter = {
      kinds: [kinds.attestation],
      authors: [victim.identity.pubkey],
      '#d': [epochTag(app, epoch)],
    }
    const copied = new Map<string, NostrEvent>()
    const copy = async () => {
      const words = [...copied.values()].flatMap((one) => {
        const read = parseAttestation(one)
        return read.ok ? [read.value] : []
      })
      const header = { stx, latitude: 0, longitude: 0, seed: '00'.repeat(32) }
      const { contracts, chainId } = chain
      const root = commitmentRoot(header, words)
      const message = { pool: contracts.pool, app, epoch, count: words.length, root }
      const now = Math.floor(Date.now() / 1_000)
      const template = commitmentTemplate(message, header, chainId, secretKey, now)
      await relays.publish(await signer.signEvent(template))
    }
    const subscription = relays.subscribe([filter], {
      onEvent(event) {
        copied.set(event.id, event)
        if (copied.size < network.mirrors.length / 2) return
        subscription.close()
        void copy()
      },
    })
  }
