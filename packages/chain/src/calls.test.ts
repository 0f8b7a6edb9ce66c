import { Cl, type PostCondition } from '@stacks/transactions'
import { describe, expect, it } from 'vitest'
import { beginUnbond, claim, describeCall, fund, registerMirror, settle } from './calls.ts'
import { contractsOf, splitContract } from './contracts.ts'

const deployer = 'ST3TVTE6MCZKCYFCWCK7X4NKMMM21H92FKESG9707'
const operator = 'STXVPP8YS29WGEZC1XVGMY80TBFTX3GFXGAPTWVY'
const contracts = contractsOf(deployer)
const app = 'aa'.repeat(32)

describe('describeCall', () => {
  it('says what the sender pays, and that nothing else moves', () => {
    const call = fund(contracts, operator, { app, amount: 1_500_000n, rulesVersion: 1, minShares: 0n })
    expect(describeCall(call)).toEqual([
      `${operator} sends exactly 1.5 STX.`,
      'Should anything else move, the whole transaction is undone.',
    ])
  })

  it('says who pays a claim: the pool', () => {
    const leaf = { index: 0, mirror: 1, recipient: operator, amount: 7n }
    const [first] = describeCall(claim(contracts, { app, epoch: 0, leaf, proof: [] }))
    expect(first).toBe(`${deployer}.reward-pool sends at most 0.000007 STX.`)
  })

  it('says satoshis of the one sBTC contract as sBTC, and has no words for another token of that name', () => {
    const deposit = { app, amount: 150_000_000n, rulesVersion: 1, minShares: 0n, asset: 'sbtc' } as const
    const call = fund(contracts, operator, deposit)
    expect(describeCall(call)[0]).toBe(`${operator} sends exactly 1.5 sBTC.`)
    const [condition] = call.postConditions
    const impostor = { ...condition, asset: `${deployer}.sbtc-token::sbtc-token` } as PostCondition
    expect(() => describeCall({ ...call, postConditions: [impostor] })).toThrow('no words')
  })

  it('says so where nothing moves', () => {
    const call = beginUnbond(contracts, { app, mirror: 1 })
    expect(describeCall(call)).toEqual(['Nothing but the fee may move.'])
  })

  it('warns of a call that lets anything move', () => {
    const call = { ...beginUnbond(contracts, { app, mirror: 1 }), postConditionMode: 'allow' as const }
    expect(describeCall(call)).toEqual(['Other assets may move as well.'])
  })

  it('has no words, and so no promise, for conditions that it does not know', () => {
    const condition = { type: 'pox-postcondition', address: operator, condition: 'will-perform' } as const
    const call = { ...beginUnbond(contracts, { app, mirror: 1 }), postConditions: [condition] }
    expect(() => describeCall(call)).toThrow('no words')
  })
})

describe('calls', () => {
  it('name the contract that has the function, deny by default', () => {
    const call = registerMirror(contracts, operator, {
      app,
      nodeKey: 'bb'.repeat(32),
      endpoint: 'https://m',
      bond: 5n,
    })
    expect(call).toMatchObject({
      contract: contracts.registry,
      functionName: 'register-mirror',
      postConditionMode: 'deny',
    })
    expect(call.functionArgs).toEqual([
      Cl.bufferFromHex(app),
      Cl.bufferFromHex('bb'.repeat(32)),
      Cl.stringAscii('https://m'),
      Cl.uint(5),
    ])
  })

  it('keep the places of missing signatures', () => {
    const message = { app, epoch: 1, round: 0, inputs: app, root: app, allocated: 1n, count: 1 }
    const call = settle(contracts, message, [null, 'cc'.repeat(65), null])
    expect(call.functionArgs.at(-1)).toEqual(
      Cl.list([Cl.none(), Cl.some(Cl.bufferFromHex('cc'.repeat(65))), Cl.none()]),
    )
  })
})

describe('splitContract', () => {
  it('takes a contract principal apart and refuses anything else', () => {
    expect(splitContract(contracts.pool)).toEqual([deployer, 'reward-pool'])
    for (const wrong of ['', deployer, '.pool', `${deployer}.`])
      expect(() => splitContract(wrong)).toThrow('not a contract principal')
  })
})
