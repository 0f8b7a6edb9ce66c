import { createHash } from 'node:crypto'
import type { EventTemplate, NostrEvent } from '@understudy/protocol/event'
import { loadVerify } from '@understudy/relays/verify'
import type { VerifiedEvent } from 'nostr-tools/pure'
import { Relay, useWebSocketImplementation } from 'nostr-tools/relay'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createAccess } from './access.ts'
import { createAdmin } from './admin.ts'
import { author, connect, startRelay, testTime } from './fixture.ts'
import { openStore } from './store.ts'

useWebSocketImplementation(WebSocket)
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
  return { ...started, client }
}
type Client = Awaited<ReturnType<typeof connect>>

const mine = alice.sign({ tags: [['-'], ['d', 'x']] })
const authAs = (who: typeof alice, challenge: string, relay: string, fields: Partial<EventTemplate> = {}) =>
  who.sign({
    kind: 22242,
    tags: [
      ['relay', relay],
      ['challenge', challenge],
    ],
    ...fields,
  })

async function challengeOf(client: Client): Promise<string> {
  client.send('EVENT', mine)
  const [, challenge] = await client.next('AUTH')
  expect((await client.next('OK')).slice(2)).toEqual([
    false,
    'auth-required: a protected event is taken from its author alone',
  ])
  return challenge as string
}

describe('NIP-42 and NIP-70', () => {
  test('a protected event is taken from its author, once the connection has proven that key', async () => {
    const { client, url, relay } = await start()
    const challenge = await challengeOf(client)
    client.send('AUTH', authAs(bob, challenge, url))
    expect((await client.next('OK')).slice(2)).toEqual([true, ''])
    client.send('EVENT', mine)
    expect((await client.next('OK'))[3]).toBe('restricted: a protected event is taken from its author alone')
    client.send('AUTH', authAs(alice, challenge, url))
    expect((await client.next('OK')).slice(2)).toEqual([true, ''])
    client.send('EVENT', mine)
    expect((await client.next('OK')).slice(2)).toEqual([true, ''])
    expect(await relay.query([{}])).toEqual([mine])
    // Another connection has proven nothing.
    const other = await connect(url)
    cleanups.push(other.close)
    other.send('EVENT', alice.sign({ tags: [['-']] }))
    expect((await other.next('OK'))[2]).toBe(false)
  })

  test('nobody is asked for a name who needs none', async () => {
    const { client } = await start()
    client.send('EVENT', alice.sign({}))
    client.send('REQ', 'q', {})
    await client.next('EOSE')
    expect(client.frames.map(([type]) => type)).not.toContain('AUTH')
  })

  test.each<[string, (challenge: string, url: string) => NostrEvent, string]>([
    ['another challenge', (_, url) => authAs(alice, 'x', url), 'not the challenge'],
    ['another relay', (c) => authAs(alice, c, 'wss://other.example/'), 'another relay'],
    ['no relay', (c) => authAs(alice, c, ''), 'another relay'],
    ['an old date', (c, url) => authAs(alice, c, url, { created_at: testTime - 601 }), '10 min'],
    ['another kind', (c, url) => authAs(alice, c, url, { kind: 22241 }), 'kind 22242'],
    ['another signer', (c, url) => ({ ...authAs(bob, c, url), pubkey: alice.pubkey }), 'bad id or signature'],
  ])('an AUTH with %s proves nothing', async (_, event, reason) => {
    const { client, url } = await start()
    client.send('AUTH', event(await challengeOf(client), url))
    const [, , ok, message] = await client.next('OK')
    expect(ok).toBe(false)
    expect(message).toContain(reason)
    client.send('EVENT', mine)
    expect((await client.next('OK'))[2]).toBe(false)
  })

  test('behind a proxy the public URL counts as well', async () => {
    const { client } = await start({ url: 'wss://relay.example/path' })
    client.send('AUTH', authAs(alice, await challengeOf(client), 'wss://relay.example'))
    expect((await client.next('OK'))[2]).toBe(true)
  })

  test('a relay with named readers and writers answers nobody else', async () => {
    const access = createAccess({ readers: new Set([alice.pubkey]), writers: new Set([alice.pubkey]) })
    const { client, url, relay } = await start({ access })
    expect(relay.information().limitation.auth_required).toBe(true)
    client.send('REQ', 'q', { kinds: [4617] })
    const [, challenge] = await client.next('AUTH')
    expect((await client.next('CLOSED'))[2]).toMatch(/^auth-required: /)
    client.send('EVENT', alice.sign({}))
    expect((await client.next('OK'))[3]).toMatch(/^auth-required: /)
    client.send('AUTH', authAs(bob, challenge as string, url))
    await client.next('OK')
    client.send('REQ', 'q', { kinds: [4617] })
    expect((await client.next('CLOSED'))[2]).toMatch(/^restricted: /)
    client.send('AUTH', authAs(alice, challenge as string, url))
    await client.next('OK')
    client.send('EVENT', alice.sign({}))
    client.send('REQ', 'q', { kinds: [4617] })
    expect((await client.next('OK'))[2]).toBe(true)
    await client.next('EOSE')
  })

  test('nostr-tools authenticates by itself and is served', async () => {
    const { url } = await start()
    const relay = await Relay.connect(url)
    cleanups.push(() => relay.close())
    const authenticate = async (template: EventTemplate) =>
      alice.sign({ ...template, created_at: testTime }) as VerifiedEvent
    relay.onauth = authenticate
    await expect(relay.publish(mine)).rejects.toThrow('auth-required')
    await relay.auth(authenticate)
    await relay.publish(mine)
  })
})

describe('administration (NIP-86) by an authorisation (NIP-98)', async () => {
  const verify = await loadVerify()
  const url = 'https://relay.example/'
  const call = (method: string, ...params: unknown[]) => Buffer.from(JSON.stringify({ method, params }))
  const sha256 = (body: Uint8Array) => createHash('sha256').update(body).digest('hex')
  const header = (event: NostrEvent) => `Nostr ${Buffer.from(JSON.stringify(event)).toString('base64')}`
  let serial = 0
  const authorise = (body: Uint8Array, fields: Partial<EventTemplate> = {}, who = alice) =>
    header(
      who.sign({
        kind: 27235,
        content: String(serial++),
        tags: [
          ['u', url],
          ['method', 'POST'],
          ['payload', sha256(body)],
        ],
        ...fields,
      }),
    )
  const administer = (store = openStore(':memory:')) => {
    const admin = createAdmin({ store, verify, now: () => testTime * 1000, admins: new Set([alice.pubkey]) })
    const ask = (body: Uint8Array, authorization: string | undefined = authorise(body)) =>
      admin.answer({ method: 'POST', url, authorization, body })
    return { store, ask }
  }

  test('a banned key is refused until it is allowed again', async () => {
    const { ask, store } = administer()
    const { client } = await start({ store })
    expect(await ask(call('banpubkey', bob.pubkey, 'spam'))).toEqual({ status: 200, body: { result: true } })
    client.send('EVENT', bob.sign({}))
    expect((await client.next('OK')).slice(2)).toEqual([false, 'blocked: the operator banned this key'])
    expect((await ask(call('listbannedpubkeys'))).body).toEqual({
      result: [{ pubkey: bob.pubkey, reason: 'spam' }],
    })
    await ask(call('unbanpubkey', bob.pubkey))
    client.send('EVENT', bob.sign({}))
    expect((await client.next('OK'))[2]).toBe(true)
    expect((await ask(call('stats'))).body).toEqual({ result: { events: 1 } })
  })

  const body = call('stats')
  test.each<[string, () => string | undefined, number, string]>([
    ['none', () => '', 401, 'expected'],
    ['no event', () => `Nostr ${Buffer.from('[').toString('base64')}`, 401, 'no JSON'],
    ["another's", () => authorise(body, {}, bob), 403, 'does not administer'],
    ['one for another body', () => authorise(call('x')), 401, 'payload'],
    ['one for another URL', () => authorise(body, { tags: [['u', `${url}x`]] }), 401, 'u: another'],
    ['an old one', () => authorise(body, { created_at: testTime - 61 }), 401, 'minute'],
    ['one of another kind', () => authorise(body, { kind: 22242 }), 401, 'kind'],
    [
      'a forged one',
      () =>
        header({
          ...bob.sign(JSON.parse(Buffer.from(authorise(body).slice(6), 'base64').toString())),
          pubkey: alice.pubkey,
        }),
      401,
      'signature',
    ],
  ])('%s as authorisation is refused', async (_, authorization, status, reason) => {
    const answer = await administer().ask(body, authorization())
    expect(answer.status).toBe(status)
    expect(JSON.stringify(answer.body)).toContain(reason)
  })

  test('an authorisation is good once', async () => {
    const { ask } = administer()
    const once = authorise(body)
    expect((await ask(body, once)).status).toBe(200)
    expect((await ask(body, once)).status).toBe(401)
  })

  test.each([
    ['no JSON', '{'],
    ['null', 'null'],
    ['an unknown method', '{"method":"toString"}'],
    ['no key', '{"method":"banpubkey","params":["x"]}'],
  ])('a call with %s is answered 400', async (_, text) => {
    expect((await administer().ask(Buffer.from(text))).status).toBe(400)
  })
})
