import { appId, parseCoordinate } from '@understudy/protocol/app'
import { parseEpochTag } from '@understudy/protocol/attestation'
import { type NostrEvent, tag } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { deletionKind } from './semantics.ts'

/** Whether a relay takes an event at all. Asked before the signature is checked, so it must not remember anything. */
export type Admit = (
  event: NostrEvent,
) => { readonly ok: true } | { readonly ok: false; readonly reason: string }

const ok = { ok: true } as const
const no = (reason: string) => ({ ok: false, reason }) as const
const known: ReadonlySet<number> = new Set([...Object.values(kinds), deletionKind])

/** Understudy's kinds, repositories and relay lists, of any app, and what deletes them. */
export const understudyScope: Admit = (event) =>
  known.has(event.kind) ? ok : no(`kind ${event.kind} is none that this relay keeps`)

/** Who may write about an app, hex. A set that is not known yet (the chain has not been read) admits everybody. */
export interface Members {
  readonly releaseKeys?: ReadonlySet<string> | undefined
  readonly attesters?: ReadonlySet<string> | undefined
  /** Node keys that the chain names. */
  readonly mirrors?: ReadonlySet<string> | undefined
}

/** The events of one app. `members` is asked anew for every event. Throws when the coordinate is not one. */
export function appScope(coordinate: string, members: () => Members): Admit {
  const repository = parseCoordinate(coordinate)
  if (!repository.ok) throw new Error(`${coordinate}: ${repository.reason}`)
  const { pubkey: maintainer, d } = repository.value
  const app = appId(coordinate)
  const by = (set: ReadonlySet<string> | undefined, event: NostrEvent, role: string) =>
    !set || set.has(event.pubkey) ? ok : no(`not signed by ${role} of this app`)

  return (event) => {
    const { releaseKeys, attesters, mirrors } = members()
    const dTag = tag(event, 'd') ?? ''
    switch (event.kind) {
      case kinds.repository:
      case kinds.repositoryState:
        return event.pubkey === maintainer && dTag === d ? ok : no('not the repository of this app')
      case kinds.release:
      case kinds.releaseSnapshot:
        if (tag(event, 'a') !== coordinate) return no('a release of another app')
        return by(releaseKeys, event, 'a release key')
      case kinds.mirror:
        if (dTag !== app || tag(event, 'a') !== coordinate) return no('a mirror of another app')
        return by(mirrors, event, 'a mirror')
      case kinds.heartbeat:
      case kinds.answer:
        return dTag === app ? by(mirrors, event, 'a mirror') : no('about another app')
      case kinds.seen:
      case kinds.challenge:
        return dTag === app ? by(attesters, event, 'an attester') : no('about another app')
      case kinds.commitment:
      case kinds.attestation:
      case kinds.proposal:
      case kinds.coSignature:
        if (parseEpochTag(dTag)?.app !== app) return no('about another app')
        return by(attesters, event, 'an attester')
      case kinds.attester:
        return by(attesters, event, 'an attester')
      case deletionKind:
      case kinds.relayList: {
        const everybody = [releaseKeys, attesters, mirrors]
        const member = event.pubkey === maintainer || everybody.some((set) => !set || set.has(event.pubkey))
        return member ? ok : no('not signed by a member of this app')
      }
      default:
        return no(`kind ${event.kind} is none that this relay keeps`)
    }
  }
}
