import type { ChainEvent } from '@understudy/chain/log'
import type { NostrEvent } from '@understudy/protocol/event'
import { type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { Print } from '../archive/archive.ts'
import type { Fact } from '../projector/accept.ts'
import type { Db } from './database.ts'
import * as t from './schema.ts'

/** Of two addressable events NIP-01 keeps the newer, and of two of one second the one with the lower id. */
function isNewer(table: PgTable & { createdAt: PgColumn; eventId: PgColumn }): SQL {
  return sql`excluded.created_at > ${table.createdAt} or (excluded.created_at = ${table.createdAt} and excluded.event_id < ${table.eventId})`
}

/** Writes what an accepted event says. Any number of times, in any order: the rows are the same. */
export async function projectEvent(db: Db, event: NostrEvent, fact: Fact): Promise<void> {
  const { id, kind, pubkey, created_at: createdAt } = event
  await db.insert(t.events).values({ id, kind, pubkey, createdAt }).onConflictDoNothing()
  switch (fact.of) {
    case 'repository': {
      const { pubkey: _, d: __, ...repository } = fact.repository
      const row = {
        eventId: id,
        createdAt,
        name: repository.name,
        description: repository.description,
        ...lists(repository),
        stx: repository.stx,
      }
      await db
        .insert(t.repositories)
        .values({ app: fact.app, ...row })
        .onConflictDoUpdate({ target: t.repositories.app, set: row, setWhere: isNewer(t.repositories) })
      return
    }
    case 'release': {
      const { release } = fact
      const { app, seq, commit } = release
      await db
        .insert(t.releases)
        .values({ eventId: id, app, kind, pubkey, seq, commit, files: release.files?.length ?? 0, createdAt })
        .onConflictDoNothing()
      return
    }
    case 'mirror': {
      const { app, nodeKey, ...row } = fact.mirror
      const { coordinate: _, ...set } = row
      await db
        .insert(t.announcements)
        .values({ app, nodeKey, ...set })
        .onConflictDoUpdate({
          target: [t.announcements.app, t.announcements.nodeKey],
          set,
          setWhere: isNewer(t.announcements),
        })
      return
    }
    case 'heartbeat': {
      const { app, nodeKey, commit } = fact.heartbeat
      const set = { eventId: id, createdAt, commit }
      await db
        .insert(t.heartbeats)
        .values({ app, nodeKey, ...set })
        .onConflictDoUpdate({
          target: [t.heartbeats.app, t.heartbeats.nodeKey],
          set,
          setWhere: isNewer(t.heartbeats),
        })
      return
    }
    case 'commitment': {
      const { header, ...commitment } = fact.commitment
      await db
        .insert(t.commitments)
        .values({ ...commitment, ...header })
        .onConflictDoNothing()
      return
    }
    case 'attestation': {
      const { report, ...attestation } = fact.attestation
      await db
        .insert(t.attestations)
        .values({ ...attestation, ...report, createdAt })
        .onConflictDoNothing()
      return
    }
    case 'outcome': {
      const { message, inputs, eventId, attester, attempt, signature } = fact.outcome
      const { app, epoch, round, root, count, allocated } = message
      await db
        .insert(t.outcomes)
        .values({
          eventId,
          kind,
          app,
          epoch,
          attester,
          attempt,
          round,
          inputs: message.inputs,
          rulesVersion: inputs.rulesVersion,
          anchorHeight: inputs.anchor.height,
          anchorHash: inputs.anchor.hash,
          commitments: [...inputs.commitments],
          former: [...inputs.former],
          root,
          allocated: allocated.toString(),
          count,
          signature,
        })
        .onConflictDoNothing()
      return
    }
    // No view is made of these yet: they are kept in the archive, and known.
    case 'seen':
    case 'attester':
      return
  }
}

function lists(repository: { clone: readonly string[]; web: readonly string[]; relays: readonly string[] }) {
  return { clone: [...repository.clone], web: [...repository.web], relays: [...repository.relays] }
}

/** Writes a print of a contract at its place in its app's log, whatever stood there. */
export async function projectPrint(db: Db, event: ChainEvent, print: Print): Promise<void> {
  const { source, app, seq, head, topic, burn, height, txid } = event
  const set = { head, topic, burn, height, txid, index: print.index, hex: print.hex }
  await db
    .insert(t.chainEvents)
    .values({ source, app, seq, ...set })
    .onConflictDoUpdate({ target: [t.chainEvents.source, t.chainEvents.app, t.chainEvents.seq], set })
}

export async function markProjected(db: Db, address: string): Promise<void> {
  await db.insert(t.blobs).values({ address }).onConflictDoNothing()
}
