import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createStacksClient } from '@understudy/chain/client'
import { contractsOf } from '@understudy/chain/contracts'
import { createLogReader, readComplete } from '@understudy/chain/logReader'
import { type Network, startNetwork } from '@understudy/localnet/network'
import { type EpochSummary, summarise } from '@understudy/localnet/summary'
import { watchNetwork } from '@understudy/localnet/watch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'understudy-kill-'))
let network: Network
let watch: { stop(): Promise<void> }

beforeAll(async () => {
  network = await startNetwork({ dataDir: join(folder, 'network'), ports: 'any' })
  watch = await watchNetwork(network, () => {})
}, 300_000)

afterAll(async () => {
  await watch?.stop()
  await network?.stop()
  rmSync(folder, { recursive: true, force: true })
}, 300_000)

/** Ends a program without warning and waits until it serves again. */
async function killAndReturn(name: string): Promise<void> {
  const process = network.processes.get(name)
  const before = process.pid()
  process.kill('SIGKILL')
  const until = performance.now() + 60_000
  while (process.pid() === before || process.pid() === undefined) {
    if (performance.now() > until) throw new Error(`${name} was not started again`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await process.ready()
}

describe('kill -9 in the middle of an epoch', () => {
  it('of an attester, the API, a node, Postgres and the chain, one after the other: each comes back', async () => {
    await network.stages.until('probing', { where: ({ epoch }) => epoch === 0 })
    for (const name of ['attester-b', 'api', 'good-a', 'postgres', 'devnet']) {
      await killAndReturn(name)
      expect(network.processes.get(name).restarts(), name).toBeGreaterThanOrEqual(1)
    }
  }, 300_000)

  it('each epoch settles exactly once, pays nobody twice, and soon all good mirrors', async () => {
    // Attesters that were down for long rightly doubt what they missed: where programs start slowly, it is a later epoch that pays all.
    const whole = ['good-a', 'good-b', 'good-c']
    const ended: EpochSummary[] = []
    while (!whole.every((name) => ended.at(-1)?.paidMirrors.includes(name))) {
      expect(ended.length, JSON.stringify(ended)).toBeLessThan(3)
      const after = ended.at(-1)?.epoch ?? -1
      const { epoch = 0 } = await network.stages.until('claimed', {
        where: (stage) => (stage.epoch ?? 0) > after,
        timeoutMs: 300_000,
      })
      ended.push(await summarise(network, epoch))
    }
    const client = createStacksClient({ url: network.urls.stacks })
    const contracts = contractsOf(network.app.deployer)
    const events = await readComplete(client, contracts, createLogReader(client, contracts), network.app.id)
    for (const { epoch, allocated } of ended) {
      const ofEpoch = events.filter((event) => 'epoch' in event && event.epoch === epoch)
      expect(ofEpoch.filter((event) => event.topic === 'settled')).toHaveLength(1)
      const claims = ofEpoch.filter((event) => event.topic === 'claimed')
      expect(new Set(claims.map((claim) => claim.index)).size).toBe(claims.length)
      expect(claims.reduce((sum, claim) => sum + claim.amount, 0n)).toBe(BigInt(allocated))
    }
  }, 900_000)
})
