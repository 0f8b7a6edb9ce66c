import { contractsOf, sbtcOf } from '@understudy/chain/contracts'
import type { ChainApp } from '@understudy/chain/state'
import { commitmentTemplate } from '@understudy/protocol/commitment'
import { attesterKey } from '@understudy/protocol/rules'
import { signerOf } from '@understudy/relays/signer'
import { expect, it } from 'vitest'
import { reportOf } from './report.ts'

const chainId = 0x80000000
const contracts = contractsOf('ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM')
const secret = Buffer.from('a1'.repeat(32), 'hex')
const signer = signerOf(secret)
const key = attesterKey(signer.pubkey)
const id = 'ab'.repeat(32)
const header = {
  stx: 'ST000000000000000000002AMW42H',
  latitude: 0,
  longitude: 0,
  seed: '22'.repeat(32),
}

const committed = (root: string) =>
  signer.signEvent(
    commitmentTemplate(
      { pool: contracts.pool, app: id, epoch: 0, root, count: 1 },
      header,
      chainId,
      secret,
      1,
    ),
  )

it.each([
  ['stx', { type: 'stx-postcondition' }],
  ['sbtc', { type: 'ft-postcondition', asset: `${sbtcOf(contracts.pool)}::sbtc-token` }],
] as const)(
  "lets the pool send the reporter's tenth in %s, the app's own asset",
  async (asset, condition) => {
    const app = {
      id,
      asset,
      rules: [{ version: 1, from: 0, until: null }],
      releaseKeys: [],
      attesters: new Map([[key, { amount: 50_000n }]]),
    } as unknown as ChainApp
    const events = await Promise.all([committed('11'.repeat(32)), committed('33'.repeat(32))])
    const accusation = { app: id, key, epoch: 0, events, notBefore: 0 } as unknown as Parameters<
      typeof reportOf
    >[2]
    const call = reportOf({ contracts, identity: { chainId } }, app, accusation)
    expect(call?.functionName).toBe('report-commitments')
    expect(call?.postConditionMode).toBe('deny')
    expect(call?.postConditions).toMatchObject([
      { ...condition, address: contracts.pool, condition: 'lte', amount: 5_000n },
    ])
  },
)
