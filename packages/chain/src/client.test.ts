import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Cl, cvToHex } from '@stacks/transactions'
import { afterEach, describe, expect, it } from 'vitest'
import { ChainError, createStacksClient, type StacksClientOptions } from './client.ts'

const pool = 'ST3TVTE6MCZKCYFCWCK7X4NKMMM21H92FKESG9707.reward-pool'
const txid = `0x${'ab'.repeat(32)}`

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  }
})

/** A real HTTP server that answers by this listener, and a client of it that waits for nobody. */
async function serving(listener: RequestListener, options: Partial<StacksClientOptions> = {}) {
  const waits: number[] = []
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const wait = async (ms: number) => void waits.push(ms)
  return { client: createStacksClient({ url, random: () => 0.5, wait, ...options }), waits }
}

const json =
  (body: unknown, status = 200): RequestListener =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }

async function reasonOf(act: Promise<unknown>): Promise<string> {
  try {
    await act
    return 'none'
  } catch (error) {
    if (error instanceof ChainError) return error.reason
    throw error
  }
}

const info = { network_id: 2147483648, burn_block_height: 90, stacks_tip_height: 300, server_version: 'x' }

describe('reading', () => {
  it('gives the chain’s heights', async () => {
    const { client } = await serving(json({ ...info, more: 'of it' }))
    expect(await client.info()).toEqual({
      chainId: 2147483648,
      burnHeight: 90,
      height: 300,
      serverVersion: 'x',
    })
  })

  it('gives balances as bigint and the nonce with the mempool counted', async () => {
    const { client } = await serving((request, response) => {
      if (request.url?.startsWith('/v2/accounts/'))
        json({ balance: '0x00000000000000ffffffffffffffffff', nonce: 4 })(request, response)
      else json({ possible_next_nonce: 6, last_executed_tx_nonce: 3 })(request, response)
    })
    expect(await client.account('ST1')).toEqual({ balance: 2n ** 72n - 1n, nonce: 4n })
    expect(await client.nonce('ST1')).toBe(6n)
  })

  it('calls read-only functions with consensus bytes, and says why one failed', async () => {
    let body = ''
    const { client } = await serving((request, response) => {
      request.on('data', (chunk) => {
        body += chunk
      })
      request.on('end', () => {
        if (request.url?.endsWith('/fails')) json({ okay: false, cause: 'Runtime(x)' })(request, response)
        else json({ okay: true, result: cvToHex(Cl.some(Cl.uint(3))) })(request, response)
      })
    })
    expect(await client.callReadOnly(pool, 'get', [Cl.uint(1)])).toEqual(Cl.some(Cl.uint(3)))
    expect(JSON.parse(body).arguments).toEqual([cvToHex(Cl.uint(1))])
    expect(await reasonOf(client.callReadOnly(pool, 'fails', []))).toBe('refused')
  })

  it('reads map entries', async () => {
    const { client } = await serving(json({ data: cvToHex(Cl.none()) }))
    expect(await client.mapEntry(pool, 'pools', Cl.bufferFromHex('aa'))).toEqual(Cl.none())
  })

  it('pages through a contract’s prints and refuses those of another', async () => {
    const event = (contract_id: string) => ({
      event_index: 3,
      event_type: 'smart_contract_log',
      tx_id: txid,
      contract_log: { contract_id, topic: 'print', value: { hex: '0x03', repr: 'true' } },
    })
    const asked: (string | undefined)[] = []
    const { client } = await serving((request, response) => {
      asked.push(request.url)
      const served = asked.length === 1 ? pool : 'ST1.other'
      json({ limit: 2, offset: 4, results: [event(served)] })(request, response)
    })
    expect(await client.contractEvents(pool, { limit: 2, offset: 4 })).toEqual([
      { txid, index: 3, hex: '0x03' },
    ])
    expect(asked).toEqual([`/extended/v1/contract/${pool}/events?limit=2&offset=4`])
    expect(await reasonOf(client.contractEvents(pool))).toBe('malformed')
  })

  it('knows pending, mined and unknown transactions', async () => {
    const mined = {
      tx_id: txid,
      tx_status: 'success',
      block_height: 12,
      burn_block_height: 9,
      tx_result: { hex: '0x0703' },
    }
    const answers = [json({ tx_id: txid, tx_status: 'pending' }), json(mined), json({ error: 'no' }, 404)]
    const { client } = await serving((request, response) => answers.shift()!(request, response))
    expect(await client.transaction(txid)).toEqual({
      txid,
      status: 'pending',
      height: null,
      burnHeight: null,
      result: null,
    })
    expect(await client.transaction(txid.slice(2))).toMatchObject({
      status: 'success',
      height: 12,
      result: Cl.ok(Cl.bool(true)),
    })
    expect(await client.transaction(txid)).toBeUndefined()
  })
})

describe('the anchor', () => {
  const block = (height: number, burn_block_height: number) => ({
    height,
    burn_block_height,
    index_block_hash: `0x${height.toString(16).padStart(64, '0')}`,
  })

  it('is the last Stacks block below a burn height, whatever the order of the answer', async () => {
    const { client } = await serving((request, response) => {
      const burn = Number(/burn-blocks\/(\d+)\//.exec(request.url!)![1])
      if (burn === 99) json({ error: 'not found' }, 404)(request, response)
      else if (burn === 98) json({ results: [] })(request, response)
      else json({ results: [block(20, burn), block(22, burn), block(21, burn)] })(request, response)
    })
    expect(await client.anchorBelow(100)).toEqual({
      height: 22,
      hash: '16'.padStart(64, '0'),
      burnHeight: 97,
    })
  })

  it('is not made up where there is none', async () => {
    const { client } = await serving(json({ results: [] }))
    expect(await reasonOf(client.anchorBelow(3))).toBe('malformed')
  })
})

describe('broadcasting', () => {
  it('gives the transaction id', async () => {
    const { client } = await serving(json('ab'.repeat(32)))
    expect(await client.broadcast('0x00')).toEqual({ ok: true, txid })
  })

  it('gives the node’s reason for a refusal', async () => {
    const refusal = {
      error: 'transaction rejected',
      reason: 'BadNonce',
      reason_data: { expected: 4 },
      txid: 'ab',
    }
    const { client } = await serving(json(refusal, 400))
    expect(await client.broadcast('0x00')).toEqual({
      ok: false,
      reason: 'BadNonce',
      message: 'transaction rejected',
    })
  })

  it('sends once: a server that fails has not judged the transaction', async () => {
    let requests = 0
    const { client } = await serving((request, response) => {
      requests++
      json({}, 503)(request, response)
    })
    expect(await reasonOf(client.broadcast('0x00'))).toBe('status')
    expect(requests).toBe(1)
  })
})

describe('a network that fails', () => {
  it('is asked again after growing waits, and then given up', async () => {
    let requests = 0
    const { client, waits } = await serving((request, response) => {
      requests++
      json({}, 500)(request, response)
    })
    expect(await reasonOf(client.info())).toBe('status')
    expect(requests).toBe(4)
    expect(waits).toEqual([250, 500, 1000])
  })

  it('is forgiven what passes', async () => {
    const answers = [json({}, 429), json(info)]
    const { client } = await serving((request, response) => answers.shift()!(request, response))
    expect((await client.info()).burnHeight).toBe(90)
  })

  it('is not asked again where the answer is final', async () => {
    let requests = 0
    const { client } = await serving((request, response) => {
      requests++
      json({}, 400)(request, response)
    })
    expect(await reasonOf(client.info())).toBe('status')
    expect(requests).toBe(1)
  })

  it('is left after the timeout, also in the middle of an answer', async () => {
    const silent = await serving(() => {}, { timeoutMs: 50, attempts: 1 })
    expect(await reasonOf(silent.client.info())).toBe('timeout')
    const stuck = await serving((_, response) => void response.writeHead(200).write('{'), {
      timeoutMs: 50,
      attempts: 1,
    })
    expect(await reasonOf(stuck.client.info())).toBe('timeout')
  })

  it('is named where nobody listens', async () => {
    const { client } = await serving(json(info), { url: 'http://127.0.0.1:1', attempts: 1 })
    expect(await reasonOf(client.info())).toBe('unreachable')
  })

  it('cannot fill the memory', async () => {
    const { client } = await serving((_, response) => void response.end('x'.repeat(5_000)), {
      maxBytes: 1_000,
    })
    expect(await reasonOf(client.info())).toBe('too-large')
  })

  it.each([
    ['not JSON', '<html>'],
    ['another shape', '{"network_id":"1"}'],
    ['a negative height', JSON.stringify({ ...info, burn_block_height: -1 })],
  ])('is not believed: %s', async (_, body) => {
    const { client } = await serving((_, response) => void response.end(body))
    expect(await reasonOf(client.info())).toBe('malformed')
  })
})
