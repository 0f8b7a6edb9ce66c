import { deserializeCV, serializeCV, validateStacksAddress } from '@stacks/transactions'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { cors } from 'hono/cors'
import { HTTPException } from 'hono/http-exception'
import { z } from 'zod'
import { ACCOUNTS } from './accounts.ts'
import {
  accountAnswer,
  balancesAnswer,
  blockAnswer,
  burnBlockAnswer,
  contractEventAnswer,
  feeAnswer,
  infoAnswer,
  noncesAnswer,
  statusAnswer,
  transactionAnswer,
} from './answers.ts'
import type { Block, Chain } from './chain.ts'
import type { Faucet } from './faucet.ts'
import { CLARITY_NAME, CONTRACT_NAME, MAX_TRANSACTION_BYTES } from './transaction.ts'

const address = z.string().refine((text) => validateStacksAddress(text), 'not a Stacks address')
const contractId = z.string().refine(isContractId, 'not a contract identifier')
const principal = z.union([address, contractId])
const name = z.string().regex(CLARITY_NAME, 'not a Clarity name')
const height = z.coerce.number().int().nonnegative()
const hash = z.string().regex(/^(0x)?[0-9a-f]{64}$/, 'not 32 bytes in hex')
const hex = z
  .string()
  .regex(/^(0x)?[0-9a-fA-F]+$/, 'not hex')
  .refine((text) => text.length % 2 === 0, 'half a byte of hex')
const contract = z.object({ address, name: z.string().regex(CONTRACT_NAME, 'not a contract name') })

const transactionBody = z.object({ tx: hex, attachment: hex.optional() })
const feeBody = z.object({
  transaction_payload: hex,
  estimated_len: z.number().int().positive().optional(),
})
const callReadBody = z.object({
  sender: principal,
  sponsor: principal.nullish(),
  arguments: z.array(hex).max(64),
})
const mineBody = z.object({ burnBlocks: z.number().int().min(0).max(10_000).default(1) })

/** What a transaction is around its payload, in bytes: for a fee estimate that names no length. */
const ENVELOPE = 180

const KB = 1024

/** The node's RPC and the API's paths over one chain. Every handler: parse, one question, answer. */
export function buildApp(chain: Chain, faucet: Faucet, onFailure: (error: Error) => void): Hono {
  const app = new Hono()
  app.use(cors())
  app.use('/v2/transactions', limit(2 * MAX_TRANSACTION_BYTES + KB))
  app.use('/v2/fees/transaction', limit(2 * MAX_TRANSACTION_BYTES + KB))
  app.use('/v2/contracts/*', limit(512 * KB))
  app.use('/v2/map_entry/*', limit(512 * KB))
  app.use('/extended/*', limit(KB))
  app.use('/devnet/*', limit(KB))

  app.post('/v2/transactions', async (c) => {
    const accepted = await chain.accept(await transactionBytes(c))
    if (accepted.ok) return c.json(accepted.txid.slice(2))
    return c.json({ error: 'transaction rejected', ...accepted.rejection, txid: accepted.txid.slice(2) }, 400)
  })

  app.post('/v2/fees/transaction', async (c) => {
    const { transaction_payload, estimated_len } = parse(feeBody, await json(c))
    return c.json(feeAnswer(estimated_len ?? transaction_payload.length / 2 + ENVELOPE))
  })
  app.get('/v2/fees/transfer', (c) => c.json(1))

  app.get('/v2/info', (c) => c.json(infoAnswer(chain)))
  app.get('/v2/accounts/:principal', (c) =>
    c.json(accountAnswer(chain, parse(principal, c.req.param('principal')))),
  )

  app.get('/v2/contracts/interface/:address/:name', (c) =>
    c.json(found(chain.simnet.abi(contractOf(c)), 'no contract interface data found')),
  )
  app.get('/v2/contracts/source/:address/:name', (c) => {
    const source = found(chain.simnet.source(contractOf(c)), 'no contract source data found')
    return c.json({ source, publish_height: chain.publishHeight(contractOf(c)), proof: '' })
  })
  app.post('/v2/contracts/call-read/:address/:name/:function', async (c) => {
    const body = parse(callReadBody, await json(c))
    const called = parse(name, c.req.param('function'))
    const abi = found(chain.simnet.abi(contractOf(c)), 'no such contract')
    const target = abi.functions.find((candidate) => candidate.name === called)
    if (target === undefined) return c.json({ okay: false, cause: `UndefinedFunction("${called}")` })
    if (target.access !== 'read_only') return c.json({ okay: false, cause: 'NotReadOnly' })
    const args = body.arguments.map((argument) => clarityValue(argument))
    const read = chain.simnet.readOnly(contractOf(c), called, args, body.sender)
    return c.json(
      read.ok ? { okay: true, result: `0x${serializeCV(read.value)}` } : { okay: false, cause: read.cause },
    )
  })
  app.post('/v2/map_entry/:address/:name/:map', async (c) => {
    const map = parse(name, c.req.param('map'))
    const abi = found(chain.simnet.abi(contractOf(c)), 'no such contract')
    if (!abi.maps.some((candidate) => candidate.name === map)) throw notFound('no such map')
    const key = clarityValue(parse(hex, await json(c)))
    const entry = chain.simnet.mapEntry(contractOf(c), map, key)
    if (!entry.ok) throw badRequest(entry.cause)
    return c.json({ data: `0x${entry.value}`, proof: '' })
  })
  app.get('/v2/data_var/:address/:name/:variable', (c) => {
    const variable = parse(name, c.req.param('variable'))
    const abi = found(chain.simnet.abi(contractOf(c)), 'no such contract')
    if (!abi.variables.some((candidate) => candidate.name === variable && candidate.access === 'variable')) {
      throw notFound('no such data variable')
    }
    const value = chain.simnet.dataVar(contractOf(c), variable)
    if (!value.ok) throw badRequest(value.cause)
    return c.json({ data: `0x${value.value}`, proof: '' })
  })

  app.get('/extended', (c) => c.json(statusAnswer(chain)))
  app.get('/extended/v1/status', (c) => c.json(statusAnswer(chain)))
  app.get('/extended/v1/tx/:txid', (c) => {
    const record = chain.transaction(prefixed(parse(hash, c.req.param('txid'))))
    return c.json(transactionAnswer(found(record, 'could not find transaction by ID')))
  })
  app.get('/extended/v1/address/:principal/nonces', (c) =>
    c.json(noncesAnswer(chain, parse(principal, c.req.param('principal')))),
  )
  app.get('/extended/v1/address/:principal/balances', (c) =>
    c.json(balancesAnswer(chain, parse(principal, c.req.param('principal')))),
  )
  app.get('/extended/v1/address/:principal/transactions', (c) => {
    const txids = chain.transactionsOf(parse(principal, c.req.param('principal')))
    return c.json(page(c, 50, txids, (txid) => transactionAnswer(chain.transaction(txid)!)))
  })
  app.get('/extended/v1/contract/:id/events', (c) => {
    const events = chain.eventsOf(parse(contractId, c.req.param('id')))
    const { limit, offset } = paging(c, 50)
    const end = Math.max(0, events.length - offset)
    const newest = events.slice(Math.max(0, end - limit), end).toReversed()
    return c.json({ limit, offset, results: newest.map(contractEventAnswer) })
  })
  app.post('/extended/v1/faucets/stx', async (c) => {
    const recipient = parse(principal, c.req.query('address'))
    const sent = await faucet.give(recipient)
    if (!sent.ok) throw new HTTPException(503, { message: `the faucet is dry: ${sent.reason}` })
    return c.json({ success: true, txId: sent.txid, txRaw: sent.raw })
  })

  app.get('/extended/v2/blocks', (c) => c.json(newestBlocks(c, chain.blocks)))
  app.get('/extended/v2/blocks/:id', (c) =>
    c.json(blockAnswer(found(blockOf(chain, c.req.param('id')), 'block not found'))),
  )
  app.get('/extended/v2/blocks/:id/transactions', (c) => {
    const { txids } = found(blockOf(chain, c.req.param('id')), 'block not found')
    return c.json(page(c, 50, txids, (txid) => transactionAnswer(chain.transaction(txid)!)))
  })
  app.get('/extended/v2/burn-blocks/:id', (c) => c.json(burnBlockAnswer(tenureOf(chain, c.req.param('id')))))
  app.get('/extended/v2/burn-blocks/:id/blocks', (c) =>
    c.json(newestBlocks(c, tenureOf(chain, c.req.param('id')))),
  )

  app.get('/devnet/accounts', (c) =>
    c.json(ACCOUNTS.map((account) => ({ ...account, balance: String(account.balance) }))),
  )
  app.post('/devnet/mine', async (c) => {
    const text = await c.req.text()
    const { burnBlocks } = parse(mineBody, text === '' ? {} : parseJson(text))
    const { stacks, burn } = await chain.mine(burnBlocks)
    return c.json({ stacks_block_height: stacks, burn_block_height: burn })
  })

  app.notFound((c) => c.json({ error: `no such path: ${c.req.method} ${c.req.path}` }, 404))
  app.onError((error, c) => {
    if (error instanceof HTTPException) return c.json({ error: error.message }, error.status)
    onFailure(error)
    return c.json({ error: 'an internal error' }, 500)
  })
  return app
}

/** What is left of a refused body is never read, so the connection cannot be used again. */
const limit = (maxSize: number) =>
  bodyLimit({
    maxSize,
    onError: (c) =>
      c.json({ error: `the body is larger than ${maxSize} bytes` }, 413, { connection: 'close' }),
  })

const badRequest = (message: string) => new HTTPException(400, { message })
const notFound = (message: string) => new HTTPException(404, { message })

function found<T>(value: T | undefined, message: string): T {
  if (value === undefined) throw notFound(message)
  return value
}

function parse<T extends z.ZodType>(schema: T, input: unknown): z.output<T> {
  const parsed = schema.safeParse(input)
  if (!parsed.success) throw badRequest(z.prettifyError(parsed.error))
  return parsed.data
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw badRequest('the body is not JSON')
  }
}

async function json(c: Context): Promise<unknown> {
  return parseJson(await c.req.text())
}

/** stacks.js sends JSON, the node's own clients the bare bytes. */
async function transactionBytes(c: Context): Promise<Uint8Array> {
  if (c.req.header('content-type')?.startsWith('application/octet-stream')) {
    return new Uint8Array(await c.req.arrayBuffer())
  }
  return bytes(parse(transactionBody, await json(c)).tx)
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/^0x/, ''), 'hex'))
}

function clarityValue(text: string) {
  try {
    return deserializeCV(bytes(text))
  } catch {
    throw badRequest('not the consensus encoding of a Clarity value')
  }
}

function isContractId(text: string): boolean {
  const [owner = '', contractName = '', ...rest] = text.split('.')
  return rest.length === 0 && validateStacksAddress(owner) && CONTRACT_NAME.test(contractName)
}

function contractOf(c: Context): string {
  const { address: owner, name: contractName } = parse(contract, c.req.param())
  return `${owner}.${contractName}`
}

function prefixed(text: string): string {
  return text.startsWith('0x') ? text : `0x${text}`
}

function blockOf(chain: Chain, id: string): Block | undefined {
  if (id === 'latest') return chain.tip()
  if (hash.safeParse(id).success) return chain.blockByHash(prefixed(id))
  return chain.blockAt(parse(height, id))
}

function tenureOf(chain: Chain, id: string): readonly Block[] {
  const burnHeight = id === 'latest' ? chain.tip().burn : parse(height, id)
  const blocks = chain.blocksOfBurnBlock(burnHeight)
  if (blocks.length === 0) throw notFound('burn block not found')
  return blocks
}

function paging(c: Context, most: number) {
  return parse(
    z.object({
      limit: z.coerce.number().int().min(1).max(most).default(20),
      offset: z.coerce.number().int().nonnegative().default(0),
    }),
    c.req.query(),
  )
}

function page<T, R>(c: Context, most: number, items: readonly T[], answer: (item: T) => R) {
  const { limit, offset } = paging(c, most)
  return { limit, offset, total: items.length, results: items.slice(offset, offset + limit).map(answer) }
}

function newestBlocks(c: Context, blocks: readonly Block[]) {
  const { limit, offset } = paging(c, 30)
  const end = Math.max(0, blocks.length - offset)
  const results = blocks
    .slice(Math.max(0, end - limit), end)
    .toReversed()
    .map(blockAnswer)
  return { limit, offset, total: blocks.length, results }
}
