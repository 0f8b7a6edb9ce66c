import { type ContractCall, reportCommitments, reportSettlements, strike } from '@understudy/chain/calls'
import { type ChainApp, isPayable, rulesAt } from '@understudy/chain/state'
import { signCall, submit } from '@understudy/chain/transactions'
import { parseCommitment } from '@understudy/protocol/commitment'
import { kinds } from '@understudy/protocol/kinds'
import { threshold } from '@understudy/protocol/rules'
import { parseSignedOutcome } from '@understudy/protocol/settlement'
import { type Accusation, accusationsOf, dropAccusation, postponeAccusation } from '../db/accusations.ts'
import type { Desk, Stage } from '../desk.ts'

/** Brings every accusation before the chain until it has banned the key. */
export async function reportAccused(desk: Desk, app: ChainApp): Promise<void> {
  for (const accusation of await accusationsOf(desk.db, app.id)) {
    const { key, epoch, attempts, notBefore } = accusation
    if (app.banned.has(key)) {
      await dropAccusation(desk.db, app.id, key)
      desk.log.info({ app: app.id, epoch, key }, 'banned')
      continue
    }
    if (notBefore > desk.now()) continue
    await postponeAccusation(desk.db, accusation, desk.now() + backoffMs(desk, attempts))
    const call = reportOf(desk, app, accusation)
    if (call) await sendCall(desk, call, { app: app.id, epoch, key })
  }
}

/** Voids a settlement that is not payable yet and that too few keys still stand behind, because one was banned for another epoch's sake. */
export const strikeFallen: Stage = async (desk, { app, rules, row, burnHeight }) => {
  const settled = app.settlements.get(row.epoch)
  const height = desk.chain.sight()?.height ?? 0
  if (!settled || isPayable(settled, { burnHeight, height })) return row
  const standing = rules.keys.filter((key, at) => settled.signers[at] && !app.banned.has(key)).length
  if (standing >= threshold(rules.keys)) return row
  // Once for each block in which it still stands.
  if (desk.once(`${app.id}:${row.epoch}:${settled.round}:${burnHeight}:strike`))
    await sendCall(desk, strike(desk.contracts, { app: app.id, epoch: row.epoch }), {
      ...{ app: app.id, epoch: row.epoch, standing },
    })
  return row
}

/** What brings an accusation before the chain; undefined where its events do not contradict each other after all. */
export function reportOf(
  desk: Pick<Desk, 'contracts'> & { readonly identity: Pick<Desk['identity'], 'chainId'> },
  app: ChainApp,
  { key, epoch, events }: Accusation,
): ContractCall | undefined {
  const { chainId } = desk.identity
  const version = rulesAt(app, epoch)?.version ?? 0
  const accused = { app: app.id, asset: app.asset, epoch, version, key }
  const bond = app.attesters.get(key)?.amount ?? 0n
  const [one, other] = events
  if (one.kind === kinds.commitment) {
    const [a, b] = [parseCommitment(one, chainId), parseCommitment(other, chainId)]
    return a.ok && b.ok ? reportCommitments(desk.contracts, accused, [a.value, b.value], bond) : undefined
  }
  const [a, b] = [parseSignedOutcome(one, chainId), parseSignedOutcome(other, chainId)]
  if (!a.ok || !b.ok) return undefined
  const { round, inputs } = a.value.message
  const said = [a.value, b.value].map(({ message, signature }) => ({ ...message, signature }))
  return reportSettlements(desk.contracts, { ...accused, round, inputs }, [said[0]!, said[1]!], bond)
}

async function sendCall(desk: Desk, call: ContractCall, what: Record<string, unknown>): Promise<void> {
  const { client, identity } = desk
  const transaction = await signCall(call, {
    privateKey: Buffer.from(identity.secretKey).toString('hex'),
    nonce: await client.nonce(identity.account),
    fee: desk.txFee,
    chainId: identity.chainId,
  })
  const sent = await submit(client, transaction)
  const { txid } = transaction
  if (sent.ok) desk.log.info({ ...what, txid, call: call.functionName }, 'report sent')
  else desk.log.warn({ ...what, reason: sent.reason, message: sent.message }, 'report refused')
}

/** Doubles from 4 Δ up to 256 Δ, jittered. */
function backoffMs(desk: Desk, attempts: number): number {
  return desk.deltaMs * 2 ** Math.min(attempts + 2, 8) * (0.75 + desk.random() / 2)
}
