import type { Identity } from '@understudy/attester/identity'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { emptyRoot } from '@understudy/protocol/merkle'
import {
  parseSignedOutcome,
  type SettlementMessage,
  settlementHash,
  signedOutcomeTemplate,
} from '@understudy/protocol/settlement'
import { signHash } from '@understudy/protocol/sip018'

/** The same settlement, but nobody is paid. */
export const payingNobody = (message: SettlementMessage): SettlementMessage => ({
  ...message,
  root: emptyRoot,
  allocated: 0n,
  count: 0,
})

/** What the liar signed once, signed again with another message over the same inputs. */
export async function otherOutcome(
  { identity }: { readonly identity: Pick<Identity, 'secretKey' | 'signer' | 'chainId'> },
  event: NostrEvent,
  message: SettlementMessage,
): Promise<NostrEvent> {
  const { secretKey, signer, chainId } = identity
  const read = parseSignedOutcome(event, chainId)
  if (!read.ok) throw new Error(read.reason)
  const signature = signHash(settlementHash(message, chainId), secretKey)
  const signed = { ...read.value, message, signature }
  return signer.signEvent(signedOutcomeTemplate(kinds.coSignature, signed, event.created_at))
}
