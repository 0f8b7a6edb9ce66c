import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NostrEvent } from '@understudy/protocol/event'
import { kinds } from '@understudy/protocol/kinds'
import { createComparisons } from '@understudy/relays/comparison'
import { reconcileWith } from '@understudy/relays/reconcile'
import { openRelay } from '@understudy/relays/relay'
import { loadVerify } from '@understudy/relays/verify'
import { afterEach, expect, test, vi } from 'vitest'
import { author, startRelay, testTime } from './fixture.ts'
import { openStore } from './store.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function open() {
  // On disk: the thread that compares opens it by itself.
  const dir = await mkdtemp(join(tmpdir(), 'understudy-reconcile-'))
  closing.push(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  const store = openStore(join(dir, 'relay.sqlite'))
  closing.push(() => store.close())
  const server = await startRelay({ store })
  closing.push(() => server.stop())
  const relay = openRelay(server.url, { verify: await loadVerify(), comparisons: createComparisons })
  closing.push(() => relay.close())
  await vi.waitFor(() => expect(relay.status().state).toBe('open'), 20_000)
  return { relay }
}

const tags = [['d', `${'aa'.repeat(32)}:3`]]
/** What we hold, of which only what is lacked may be read. */
const holding = (events: readonly NostrEvent[]) => ({
  items: events,
  events: (ids: readonly string[]) => events.filter(({ id }) => ids.includes(id)),
})
const filter = { kinds: [kinds.attestation], '#d': [tags[0]![1]!] }

test('an attester and a relay come to hold the same, and only what differs travels', async () => {
  const { relay } = await open()
  const { sign } = await author(5)
  const events = Array.from({ length: 300 }, (_, n) =>
    sign({ kind: kinds.attestation, tags, content: String(n), created_at: testTime - n }),
  )
  const [ours, both, theirs] = [events.slice(0, 20), events.slice(20, 280), events.slice(280)]
  for (const event of [...both, ...theirs]) expect(await relay.publish(event, 20_000)).toEqual({ ok: true })
  const got: string[] = []
  const result = await reconcileWith(
    relay,
    filter,
    holding([...ours, ...both]),
    ({ id }) => void got.push(id),
  )
  expect(result).toEqual({ ok: true, received: 20, given: 20 })
  expect(got.sort()).toEqual(theirs.map(({ id }) => id).sort())
  expect(
    await reconcileWith(relay, filter, holding(events), () => expect.fail('nothing is left to send')),
  ).toEqual({
    ...{ ok: true, received: 0, given: 0 },
  })
}, 300_000)

test('what was refused before is not asked for again', async () => {
  const { relay } = await open()
  const { sign } = await author(5)
  const event = sign({ kind: kinds.attestation, tags })
  await relay.publish(event, 20_000)
  const refused = new Set([event.id])
  const again = reconcileWith(
    relay,
    filter,
    holding([]),
    () => expect.fail('asked again'),
    (id) => refused.has(id),
  )
  expect(await again).toEqual({ ok: true, received: 0, given: 0 })
}, 300_000)

test('a relay that knows nothing of it says so, and one that is not there is not waited for', async () => {
  const server = await startRelay()
  const relay = openRelay(server.url, { verify: await loadVerify(), comparisons: createComparisons })
  closing.push(() => relay.close())
  await vi.waitFor(() => expect(relay.status().state).toBe('open'), 20_000)
  expect(await reconcileWith(relay, filter, holding([]), () => {})).toMatchObject({
    ...{ ok: false, reason: expect.stringContaining('blocked') },
  })
  await server.stop()
  await vi.waitFor(() => expect(relay.status().state).not.toBe('open'), 20_000)
  expect(await reconcileWith(relay, filter, holding([]), () => {})).toMatchObject({ ok: false })
}, 300_000)
