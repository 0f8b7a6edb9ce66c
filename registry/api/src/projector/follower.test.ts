import type { ChainEvent } from '@understudy/chain/log'
import { expect, it } from 'vitest'
import type { Print } from '../archive/archive.ts'
import { contracts, Demo, type PaperChain } from '../fixture.ts'
import { createFollower } from './follower.ts'

class Keeper {
  readonly kept: Print[] = []
  readonly forgotten: ChainEvent[] = []
  full = false
  async record(prints: readonly Print[]) {
    if (this.full) throw new Error('disk full')
    this.kept.push(...prints)
  }
  async forget(events: readonly ChainEvent[]) {
    this.forgotten.push(...events)
  }
}

const hexes = (prints: readonly { readonly hex: string }[]) => prints.map((print) => print.hex).sort()

it('hands every print over once, across restarts as well', async () => {
  const demo = new Demo().register()
  const keeper = new Keeper()
  const follower = createFollower(demo.chain, contracts, keeper, [])
  expect((await follower.tick()).state.apps.get(demo.app)?.pool.free).toBe(100_000_000n)
  await follower.tick()
  expect(hexes(keeper.kept)).toEqual(hexes(demo.chain.entries()))

  const again = new Keeper()
  const restarted = createFollower(demo.chain, contracts, again, keeper.kept)
  expect(restarted.snapshot().state.apps.has(demo.app)).toBe(true)
  await restarted.tick()
  expect(again.kept).toEqual([])
  demo.moveTo(demo.start + demo.length)
  demo.settle(0, await demo.epoch(0))
  expect((await restarted.tick()).burnHeight).toBe(demo.chain.burnHeight)
  expect(again.kept).toHaveLength(1)
})

it('lets a print count only once it is kept', async () => {
  const demo = new Demo().register()
  const keeper = new Keeper()
  keeper.full = true
  const follower = createFollower(demo.chain, contracts, keeper, [])
  await expect(follower.tick()).rejects.toThrow('disk full')
  expect(follower.snapshot().state.apps.size).toBe(0)
  keeper.full = false
  await follower.tick()
  expect(follower.snapshot().state.apps.size).toBe(1)
  expect(hexes(keeper.kept)).toEqual(hexes(demo.chain.entries()))
})

it('forgets what a fork of the chain took back', async () => {
  const demo = new Demo().register()
  const other = new Demo('other').register()
  const client = { chain: demo.chain as PaperChain }
  const keeper = new Keeper()
  const follower = createFollower(
    {
      info: () => client.chain.info(),
      contractEvents: (contract, page) => client.chain.contractEvents(contract, page),
    },
    contracts,
    keeper,
    [],
  )
  await follower.tick()
  other.chain.height += 1
  client.chain = other.chain
  const { state } = await follower.tick()
  expect([...state.apps.keys()]).toEqual([other.app])
  expect(keeper.forgotten.map((event) => event.app)).toEqual(Array(4).fill(demo.app))
})
