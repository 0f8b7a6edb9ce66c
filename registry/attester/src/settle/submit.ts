import { settle } from '@understudy/chain/calls'
import { isPayable } from '@understudy/chain/state'
import { signCall, submit } from '@understudy/chain/transactions'
import { settleBefore } from '@understudy/protocol/epoch'
import { type OutboxRow, outboxOf, updateEpoch, updateOutbox } from '../db/epochs.ts'
import type { Desk, EpochAt, Stage } from '../desk.ts'

/** Stacks blocks, its own included, after which a settlement counts as confirmed. */
const confirmedDepth = 6

/**
 * Empties the outbox. A settlement that the chain has, whoever sent it, is done; one that it lost is sent again. The transaction is
 * stored before it is sent, so a crash in between sends the same bytes again and not a second one. Until it is payable a settlement can be
 * voided, and then the epoch goes on in another round.
 */
export const submitSettlement: Stage = async (desk, at) => {
  const { app, rules, row, round, burnHeight } = at
  const outbox = await outboxOf(desk.db, app.id, row.epoch, round)
  const settled = app.settlements.get(row.epoch)
  if (settled) {
    const height = desk.chain.sight()?.height ?? 0
    const deep = height - settled.height + 1 >= confirmedDepth
    if (outbox && outbox.state !== 'confirmed' && deep)
      await updateOutbox(desk.db, outbox, { state: 'confirmed' })
    if (!deep || !isPayable(settled, { burnHeight, height })) return row
    await updateEpoch(desk.db, row, { final: 'settled' })
    desk.log.info({ app: app.id, epoch: row.epoch, txid: settled.txid }, 'settled')
    return { ...row, final: 'settled' }
  }
  if (burnHeight >= settleBefore(app.schedule, rules, row.epoch, round)) {
    await updateEpoch(desk.db, row, { final: 'lapsed' })
    if (outbox) await updateOutbox(desk.db, outbox, { state: 'lapsed' })
    desk.log.warn(
      { app: app.id, epoch: row.epoch, round, abstained: row.abstained },
      'epoch lapsed unsettled',
    )
    return { ...row, final: 'lapsed' }
  }
  if (outbox && outbox.notBefore <= desk.now()) await send(desk, at, outbox)
  return row
}

async function send(desk: Desk, { app, row, round }: EpochAt, outbox: OutboxRow): Promise<void> {
  const { client, identity } = desk
  const what = { app: app.id, epoch: row.epoch, round, attempts: outbox.attempts + 1 }
  const again = { attempts: outbox.attempts + 1, notBefore: desk.now() + backoffMs(desk, outbox.attempts) }
  // Whatever happens now, the next look is no earlier than this.
  await updateOutbox(desk.db, outbox, again)
  if (outbox.txid && outbox.txHex) {
    const known = await client.transaction(outbox.txid)
    if (known?.status === 'pending' || known?.status === 'success') return
    if (known) {
      desk.log.warn({ ...what, txid: outbox.txid, status: known.status }, 'settlement did not go through')
      await updateOutbox(desk.db, outbox, { state: 'pending', txid: null, txHex: null })
      return
    }
  }
  const transaction = outbox.txid && outbox.txHex ? { txid: outbox.txid, hex: outbox.txHex } : await make()
  await updateOutbox(desk.db, outbox, { state: 'sent', txid: transaction.txid, txHex: transaction.hex })
  const sent = await submit(client, transaction)
  if (sent.ok) {
    desk.log.info({ ...what, txid: transaction.txid }, 'settlement sent')
    return
  }
  // Another transaction of this account took the nonce, or the fee was too low: sign anew next time.
  desk.log.warn({ ...what, reason: sent.reason, message: sent.message }, 'settlement refused')
  await updateOutbox(desk.db, outbox, { state: 'pending', txid: null, txHex: null })

  async function make() {
    const message = {
      ...{ app: app.id, epoch: row.epoch, round: outbox.round, inputs: outbox.inputs },
      ...{ root: outbox.root, allocated: outbox.allocated, count: outbox.count },
    }
    return signCall(settle(desk.contracts, message, outbox.signatures), {
      privateKey: Buffer.from(identity.secretKey).toString('hex'),
      nonce: await client.nonce(identity.account),
      fee: desk.txFee,
      chainId: identity.chainId,
    })
  }
}

/** Doubles from Δ up to 64 Δ, jittered. */
function backoffMs(desk: Desk, attempts: number): number {
  return desk.deltaMs * 2 ** Math.min(attempts, 6) * (0.75 + desk.random() / 2)
}
