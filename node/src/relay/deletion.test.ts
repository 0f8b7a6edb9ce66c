import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NostrEvent } from '@understudy/protocol/event'
import { afterEach, describe, expect, test } from 'vitest'
import { author, connect, startRelay, testTime } from './fixture.ts'
import { openStore } from './store.ts'

const alice = await author(1)
const bob = await author(2)
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(...[options]: Parameters<typeof startRelay>) {
  const started = await startRelay(options)
  cleanups.push(started.stop)
  const client = await connect(started.url)
  cleanups.push(client.close)
  const say = async (event: NostrEvent) => {
    client.send('EVENT', event)
    return (await client.next('OK')).slice(2)
  }
  return { ...started, client, say }
}

const accepted = [true, '']
const deleted = [false, 'blocked: its author deleted it']
const address = `14617:${alice.pubkey}:`
const request = (tags: string[][], fields = {}, by = alice) => by.sign({ kind: 5, tags, ...fields })

describe('NIP-09', () => {
  test('an event that its author deletes is gone, and never taken again, also after a restart', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'understudy-'))
    cleanups.push(() => rmSync(dir, { recursive: true }))
    const file = join(dir, 'relay.sqlite')
    const store = openStore(file)
    const { say, relay, stop } = await start({ store })
    const release = alice.sign({ kind: 5128, tags: [['a', 'x']] })
    const deletion = request([['e', release.id]])
    expect(await say(release)).toEqual(accepted)
    expect(await say(deletion)).toEqual(accepted)
    expect(await say(release)).toEqual(deleted)
    expect(await relay.query([{ '#a': ['x'] }, { ids: [release.id] }, { kinds: [5] }])).toEqual([deletion])
    await stop()
    store.close()

    const again = await start({ store: openStore(file) })
    expect(await again.say(release)).toEqual(deleted)
    again.store.close()
  })

  test('a deletion that comes before its event keeps it out', async () => {
    const { say, store } = await start()
    const release = alice.sign({ kind: 5128 })
    await say(request([['e', release.id]]))
    expect(await say(release)).toEqual(deleted)
    expect(store.count()).toBe(1)
  })

  test('nobody deletes what another signed, before or after it came', async () => {
    const { say, relay } = await start()
    const [before, after] = [alice.sign({ kind: 5128 }), alice.sign({ kind: 5128, content: 'after' })]
    await say(before)
    const tags = [
      ['e', before.id],
      ['e', after.id],
      ['a', address],
    ]
    expect(await say(request(tags, {}, bob))).toEqual(accepted)
    expect(await say(after)).toEqual(accepted)
    expect(await say(alice.sign({ kind: 14617 }))).toEqual(accepted)
    expect(await relay.query([{ authors: [alice.pubkey] }])).toHaveLength(3)
  })

  test.each([4615, 4616, 4617, 4618, 4619, 5])(
    'an event of kind %i stays, whatever its author says',
    async (kind) => {
      const { say, relay } = await start()
      const [before, after] = [alice.sign({ kind }), alice.sign({ kind, content: 'after' })]
      await say(before)
      const tags = [
        ['e', before.id],
        ['e', after.id],
        ['a', `${kind}:${alice.pubkey}:`],
      ]
      expect(await say(request(tags, { content: 'delete' }))).toEqual(accepted)
      expect(await say(after)).toEqual(accepted)
      expect(await say(before)).toEqual([true, 'duplicate: already have this event'])
      const ids = (await relay.query([{}])).map((event) => event.id)
      expect(ids).toEqual(expect.arrayContaining([before.id, after.id]))
    },
  )

  test('an address is deleted up to the second of the request; a later version lives', async () => {
    const { say, relay } = await start()
    const at = (seconds: number) => alice.sign({ kind: 14617, created_at: testTime + seconds })
    expect(await say(at(0))).toEqual(accepted)
    expect(await say(request([['a', address]], { created_at: testTime + 5 }))).toEqual(accepted)
    expect(await relay.query([{ kinds: [14617] }])).toEqual([])
    expect(await say(at(5))).toEqual(deleted)
    const later = at(6)
    expect(await say(later)).toEqual(accepted)
    // An older request does not bring the deleted ones back.
    expect(await say(request([['a', address]], { created_at: testTime + 1 }))).toEqual(accepted)
    expect(await relay.query([{ kinds: [14617] }])).toEqual([later])
    expect(await say(at(4))).toEqual(deleted)
  })

  test('a request that has expired and was swept leaves its tombstones', async () => {
    const store = openStore(':memory:')
    const { say } = await start({ store })
    const release = alice.sign({ kind: 5128 })
    await say(
      request([
        ['e', release.id],
        ['expiration', String(testTime + 60)],
      ]),
    )
    expect(store.sweep(testTime + 60, 10)).toBe(1)
    expect(await say(release)).toEqual(deleted)
  })

  test('requests with targets that are none do nothing', async () => {
    const { say, store } = await start()
    const tags = [
      ['e'],
      ['e', 'xyz'],
      ['a'],
      ['a', '::'],
      ['a', `99999999:${alice.pubkey}:`],
      ['a', address.slice(0, -1)],
    ]
    expect(await say(request(tags))).toEqual(accepted)
    expect(store.count()).toBe(1)
  })
})
