import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { coordinateOf } from '@understudy/protocol/app'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { openRelays } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import { afterEach, expect, test, vi } from 'vitest'
import { everywhere, keptOf } from './everywhere.ts'
import { author, startRelay, testTime } from './relay/fixture.ts'
import { createSiblings } from './relay/siblings.ts'
import { startStore } from './relay/writing.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const [release, attester] = [await author(1), await author(2)]
const coordinate = coordinateOf(release.pubkey, 'site')
const eventually = (look: () => unknown) => vi.waitFor(look, { timeout: 20_000, interval: 20 })

async function start() {
  const dir = mkdtempSync(join(tmpdir(), 'understudy-everywhere-'))
  cleanups.push(() => rmSync(dir, { recursive: true }))
  const store = startStore(join(dir, 'relay.sqlite'))
  cleanups.push(() => store.close())
  const started = await startRelay({ store })
  cleanups.push(started.stop)
  return started
}

const releaseOf = (kind: number, seq: number) =>
  release.sign({
    kind,
    created_at: testTime + seq,
    tags: [['a', coordinate], ['seq', String(seq)], ...(kind === kinds.release ? [['d', 'site']] : [])],
  })

test('a release that every relay lost is heard from a sibling, and so is what was attested', async () => {
  const [own, sibling, elsewhere] = [await start(), await start(), await start()]
  const snapshots = [1, 2, 3].map((seq) => releaseOf(kinds.releaseSnapshot, seq))
  const newest = releaseOf(kinds.release, 3)
  const attestations = [
    kinds.seen,
    kinds.commitment,
    kinds.attestation,
    kinds.proposal,
    kinds.coSignature,
  ].map((kind) => attester.sign({ kind }))
  for (const event of [...snapshots, newest, ...attestations])
    expect((await sibling.relay.publish(event)).ok).toBe(true)
  // The second is nowhere else any more.
  for (const event of [snapshots[0]!, snapshots[2]!, newest]) await elsewhere.relay.publish(event)

  const relays = openRelays([elsewhere.url], { verify: await loadVerify() })
  cleanups.push(() => relays.close())
  const heard: NostrEvent[] = []
  let caughtUp = false
  const subscription = everywhere(relays, own.relay).subscribe(keptOf(coordinate), {
    onEvent: (event) => heard.push(event),
    onCaughtUp: () => {
      caughtUp = true
    },
  })
  cleanups.push(() => subscription.close())
  const ids = () => heard.map((event) => event.id).sort()
  const idsOf = (events: readonly NostrEvent[]) => events.map((event) => event.id).sort()
  await eventually(() => expect(caughtUp).toBe(true))
  expect(ids()).toEqual(idsOf([snapshots[0]!, snapshots[2]!, newest]))

  const siblings = createSiblings({
    relay: own.relay,
    find: async () => [sibling.url],
    random: () => 0.5,
    log: { info() {}, debug() {} },
  })
  cleanups.push(siblings.stop)
  siblings.start()
  await eventually(() => expect(ids()).toEqual(idsOf([...snapshots, newest])))
  await eventually(async () =>
    expect(idsOf(await own.relay.query([{ authors: [attester.pubkey] }]))).toEqual(idsOf(attestations)),
  )
})

test('what our own relay held before is heard once, before all is said to be known', async () => {
  const [own, elsewhere] = [await start(), await start()]
  const snapshots = [1, 2].map((seq) => releaseOf(kinds.releaseSnapshot, seq))
  for (const event of snapshots) await own.relay.publish(event)
  await elsewhere.relay.publish(snapshots[0]!)
  const relays = openRelays([elsewhere.url], { verify: await loadVerify() })
  cleanups.push(() => relays.close())
  const heard: string[] = []
  const before = await new Promise<number>((resolve) => {
    const subscription = everywhere(relays, own.relay).subscribe(keptOf(coordinate), {
      onEvent: (event) => heard.push(event.id),
      onCaughtUp: () => resolve(heard.length),
    })
    cleanups.push(() => subscription.close())
  })
  expect(before).toBe(2)
  expect(heard.sort()).toEqual(snapshots.map((event) => event.id).sort())
})
