import type { Contracts } from '@understudy/chain/contracts'
import { rulesAt } from '@understudy/chain/state'
import { coordinateOf, parseRepository } from '@understudy/protocol/app'
import { parseAttestation } from '@understudy/protocol/attestation'
import { parseCommitment } from '@understudy/protocol/commitment'
import { formerEpochs } from '@understudy/protocol/epoch'
import { type NostrEvent, type Parsed, parsed, refused } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { parseMirror } from '@understudy/protocol/mirror'
import { parseRelease } from '@understudy/protocol/release'
import { attesterKey, pubkeyOf } from '@understudy/protocol/rules'
import { parseSeen } from '@understudy/protocol/seen'
import { parseSignedOutcome } from '@understudy/protocol/settlement'
import type { Filter } from '@understudy/relays/filter'
import type { AppEpoch } from './chain-view.ts'

/** Where an event belongs: epoch −1 for none. */
export interface Belonging {
  readonly app: string
  readonly epoch: number
  /** Only its newest version counts. */
  readonly replaceable: boolean
}

/** Epochs back from now for which attesters' words are still taken: what was said in one that settles now may stand for who is absent. */
const epochsBack = formerEpochs + 1
/** How far an event may be dated ahead, seconds. */
const aheadSeconds = 600

/**
 * Whether an event is for us and from whom it must be: the chain says who that is. The signature is checked before; shape, size and
 * ECDSA signatures are checked here.
 */
export function belongingOf(
  event: NostrEvent,
  apps: readonly AppEpoch[],
  context: { readonly contracts: Contracts; readonly chainId: number; readonly nowSeconds: number },
): Parsed<Belonging> {
  if (event.created_at > context.nowSeconds + aheadSeconds) return refused('future-dated')
  const find = (id: string) => apps.find(({ app }) => app.id === id)
  const timeless = (app: string, replaceable: boolean) => parsed({ app, epoch: -1, replaceable })

  switch (event.kind) {
    case kinds.mirror: {
      const read = parseMirror(event)
      if (!read.ok) return read
      const nodes = [...(find(read.value.app)?.app.mirrors.values() ?? [])]
      const known = nodes.some((mirror) => mirror.nodeKey === event.pubkey)
      return known ? timeless(read.value.app, true) : refused('not a mirror on chain')
    }
    case kinds.repository: {
      const read = parseRepository(event)
      if (!read.ok) return read
      const coordinate = coordinateOf(read.value.pubkey, read.value.d)
      const found = apps.find(({ app }) => app.coordinate === coordinate)
      return found ? timeless(found.app.id, true) : refused('another repository')
    }
    case kinds.releaseSnapshot: {
      const read = parseRelease(event)
      if (!read.ok) return read
      const found = find(read.value.app)
      if (!found) return refused('another app')
      const { releaseKey, minSeq } = found.rules
      if (event.pubkey !== releaseKey || read.value.seq < minSeq) return refused('not by the release key')
      return timeless(found.app.id, false)
    }
    case kinds.seen: {
      const read = parseSeen(event)
      if (!read.ok) return read
      const found = find(read.value.app)
      if (!found?.rules.keys.includes(attesterKey(event.pubkey))) return refused('not an attester')
      return timeless(found.app.id, false)
    }
    case kinds.commitment:
      return ofEpoch(parseCommitment(event, context.chainId))
    case kinds.attestation:
      return ofEpoch(parseAttestation(event))
    case kinds.proposal:
    case kinds.coSignature: {
      const read = parseSignedOutcome(event, context.chainId)
      return ofEpoch(read.ok ? parsed(read.value.message) : read)
    }
    default:
      return refused('unknown kind')
  }

  function ofEpoch(
    read: Parsed<{ readonly app: string; readonly epoch: number; readonly pool?: string }>,
  ): Parsed<Belonging> {
    if (!read.ok) return read
    const { app: id, epoch, pool = context.contracts.pool } = read.value
    const found = find(id)
    if (!found || pool !== context.contracts.pool) return refused('another app or pool')
    if (epoch < 0 || epoch > found.epoch || epoch < found.epoch - epochsBack)
      return refused('not a recent epoch')
    const keys = rulesAt(found.app, epoch)?.keys ?? []
    if (!keys.includes(attesterKey(event.pubkey))) return refused('not an attester')
    return parsed({ app: id, epoch, replaceable: false })
  }
}

/** How many events of one kind one author may have us keep for one app and epoch. */
export function keepLimit(kind: number, mirrors: number): number {
  if (kind === kinds.attestation) return 2 * mirrors + 16
  if (kind === kinds.commitment) return 4
  if (kind === kinds.releaseSnapshot || kind === kinds.seen) return 10_000
  return 64
}

/** What to ask relays for. */
export function filtersOf(apps: readonly AppEpoch[], nowSeconds: number): Filter[] {
  if (apps.length === 0) return []
  const unique = (values: readonly string[]) => [...new Set(values)].sort()
  const ids = unique(apps.map(({ app }) => app.id))
  const coordinates = unique(apps.map(({ app }) => app.coordinate))
  // The last epoch is settled by those whom its own rules list.
  const attesters = unique(
    apps.flatMap(({ app, epoch, rules }) =>
      [...rules.keys, ...(rulesAt(app, epoch - 1)?.keys ?? [])].map(pubkeyOf),
    ),
  )
  const nodes = unique(apps.flatMap(({ app }) => [...app.mirrors.values()].map((mirror) => mirror.nodeKey)))
  const maintainers = unique(coordinates.map((coordinate) => coordinate.split(':')[1] ?? ''))
  const epochKinds = [kinds.commitment, kinds.attestation, kinds.proposal, kinds.coSignature]
  return [
    { kinds: [kinds.repository], authors: maintainers },
    {
      kinds: [kinds.releaseSnapshot],
      authors: unique(apps.map(({ rules }) => rules.releaseKey)),
      '#a': coordinates,
    },
    { kinds: [kinds.seen], authors: attesters, '#d': ids },
    // By the day, so that the question stays the same while nothing else changes.
    { kinds: epochKinds, authors: attesters, since: (Math.floor(nowSeconds / 86_400) - 3) * 86_400 },
    ...(nodes.length > 0 ? [{ kinds: [kinds.mirror], authors: nodes, '#d': ids }] : []),
  ]
}
