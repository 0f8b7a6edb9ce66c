import { type ClarityValue, cvToHex, hexToCV } from '@stacks/transactions'
import { bodyWithin } from '@understudy/protocol/body'
import * as z from 'zod/mini'
import { splitContract } from './contracts.ts'

/** Why the API gave no usable answer. */
export type ChainErrorReason = 'unreachable' | 'timeout' | 'status' | 'too-large' | 'malformed' | 'refused'

/** The API could not be reached, or its answer cannot be used. */
export class ChainError extends Error {
  readonly reason: ChainErrorReason
  /** HTTP status, where there was an answer. */
  readonly status: number | undefined

  constructor(reason: ChainErrorReason, message: string, options?: { status?: number; cause?: unknown }) {
    super(message, { cause: options?.cause })
    this.name = 'ChainError'
    this.reason = reason
    this.status = options?.status
  }
}

export interface StacksClientOptions {
  /** Base URL of a Stacks API, for instance `https://api.hiro.so`. */
  readonly url: string
  readonly fetch?: typeof fetch
  /** For one attempt, body included, ms. Default 10,000. */
  readonly timeoutMs?: number
  /** Attempts of a GET or a read-only call. Default 4. A broadcast is sent once. */
  readonly attempts?: number
  /** Before the second attempt; doubles with every further one, and is jittered, ms. Default 250. */
  readonly backoffMs?: number
  /** Largest answer that is read, bytes. Default 4 MiB. */
  readonly maxBytes?: number
  /** In [0, 1). */
  readonly random?: () => number
  readonly wait?: (ms: number) => Promise<void>
}

export interface ChainInfo {
  readonly chainId: number
  readonly burnHeight: number
  /** Stacks height of the tip. */
  readonly height: number
  readonly serverVersion: string
}

export interface Account {
  /** µSTX that can be spent. */
  readonly balance: bigint
  /** Next nonce as far as blocks tell; `nonce()` counts the mempool as well. */
  readonly nonce: bigint
}

/** A Stacks block that an epoch's state is read at. */
export interface AnchorBlock {
  readonly height: number
  /** index_block_hash, 32 bytes hex without 0x. */
  readonly hash: string
  readonly burnHeight: number
}

export interface Transaction {
  readonly txid: string
  /** `pending`, `success`, `abort_by_response`, `abort_by_post_condition` or `dropped_…`. */
  readonly status: string
  /** Stacks height, once in a block. */
  readonly height: number | null
  readonly burnHeight: number | null
  /** What the contract call returned. */
  readonly result: ClarityValue | null
}

/** One print of a contract, as the API stores it. */
export interface PrintedEntry {
  readonly txid: string
  readonly index: number
  /** Consensus bytes of the printed value, hex with 0x. */
  readonly hex: string
}

export type Broadcast =
  | { readonly ok: true; readonly txid: string }
  | { readonly ok: false; readonly reason: string; readonly message: string }

export interface StacksClient {
  info(): Promise<ChainInfo>
  account(address: string): Promise<Account>
  /** The nonce that the next transaction of this address needs, those in the mempool counted. */
  nonce(address: string): Promise<bigint>
  /** Throws `ChainError` (`refused`) when the function fails at run time. */
  callReadOnly(contract: string, name: string, args: readonly ClarityValue[]): Promise<ClarityValue>
  /** The Clarity source that a contract was deployed with; `undefined` where there is no such contract. */
  contractSource(contract: string): Promise<string | undefined>
  /** What the chain believes that a transaction of so many bytes with this payload (hex) should pay, µSTX; `undefined` where it cannot say. */
  feeEstimate(payload: string, bytes: number): Promise<bigint | undefined>
  /** The map's `(optional value)`: `none` where the key is missing. */
  mapEntry(contract: string, map: string, key: ClarityValue): Promise<ClarityValue>
  /** Prints of a contract, newest first. `limit` up to 50. */
  contractEvents(
    contract: string,
    page?: { readonly limit?: number; readonly offset?: number },
  ): Promise<PrintedEntry[]>
  /** `undefined` where the API does not know the transaction. */
  transaction(txid: string): Promise<Transaction | undefined>
  /** Sends a signed transaction (hex). A refusal by the node is an answer, not an error. */
  broadcast(hex: string): Promise<Broadcast>
  /** The last Stacks block whose burn height is below `burnHeight`. Throws where none is found within 144 burn blocks. */
  anchorBelow(burnHeight: number): Promise<AnchorBlock>
}

/** Burn blocks without a Stacks block that an anchor may lie behind: about a day. */
const anchorReach = 144
/** Answers that a second attempt may improve. */
const passingStatuses = new Set([408, 425, 429, 500, 502, 503, 504])

const height = z.int().check(z.minimum(0))
const hash = z.string().check(z.regex(/^0x[0-9a-f]{64}$/))
const clarityHex = z.string().check(z.regex(/^(0x)?([0-9a-f]{2})+$/))

const infoSchema = z.object({
  network_id: height,
  burn_block_height: height,
  stacks_tip_height: height,
  server_version: z.optional(z.string().check(z.maxLength(500))),
})
const accountSchema = z.object({
  balance: z.string().check(z.regex(/^0x[0-9a-f]{1,32}$/)),
  nonce: height,
})
const noncesSchema = z.object({ possible_next_nonce: height })
const callReadSchema = z.union([
  z.object({ okay: z.literal(true), result: clarityHex }),
  z.object({ okay: z.literal(false), cause: z.string() }),
])
const sourceSchema = z.object({ source: z.string() })
const estimationsSchema = z.object({ estimations: z.array(z.object({ fee: height })).check(z.maxLength(10)) })
const mapEntrySchema = z.object({ data: clarityHex })
const eventsSchema = z.object({
  results: z
    .array(
      z.object({
        event_index: height,
        tx_id: hash,
        contract_log: z.optional(
          z.object({ contract_id: z.string(), topic: z.string(), value: z.object({ hex: clarityHex }) }),
        ),
      }),
    )
    .check(z.maxLength(200)),
})
const transactionSchema = z.object({
  tx_id: hash,
  tx_status: z.string().check(z.maxLength(60)),
  block_height: z.optional(z.nullable(z.int())),
  burn_block_height: z.optional(z.nullable(z.int())),
  tx_result: z.optional(z.nullable(z.object({ hex: clarityHex }))),
})
const refusalSchema = z.object({
  error: z.optional(z.string()),
  reason: z.optional(z.string()),
})
const blocksSchema = z.object({
  results: z
    .array(z.object({ height, index_block_hash: hash, burn_block_height: height }))
    .check(z.maxLength(200)),
})

const withPrefix = (txid: string): string => (txid.startsWith('0x') ? txid : `0x${txid}`)

/**
 * A Stacks API over HTTP: every answer passes a schema and a size limit, every request has a timeout, and what only reads is retried with
 * a jittered backoff.
 */
export function createStacksClient(options: StacksClientOptions): StacksClient {
  const base = options.url.replace(/\/+$/, '')
  const send = options.fetch ?? ((input, init) => fetch(input, init))
  const timeoutMs = options.timeoutMs ?? 10_000
  const attempts = options.attempts ?? 4
  const backoffMs = options.backoffMs ?? 250
  const maxBytes = options.maxBytes ?? 4 * 1024 * 1024
  const random = options.random ?? Math.random
  const wait = options.wait ?? ((ms: number) => new Promise((done) => setTimeout(done, ms)))

  async function once(path: string, body?: unknown): Promise<{ status: number; text: string }> {
    try {
      const response = await send(base + path, {
        signal: AbortSignal.timeout(timeoutMs),
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
        ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
      })
      return { status: response.status, text: await readText(response, maxBytes) }
    } catch (cause) {
      if (cause instanceof ChainError) throw cause
      const timedOut = cause instanceof Error && cause.name === 'TimeoutError'
      throw new ChainError(
        timedOut ? 'timeout' : 'unreachable',
        timedOut ? `${path}: no answer in ${timeoutMs} ms` : `${path}: not reachable`,
        { cause },
      )
    }
  }

  /** Asks until there is an answer that another attempt would not improve. */
  async function ask(path: string, body?: unknown): Promise<{ status: number; text: string }> {
    for (let attempt = 1; ; attempt++) {
      const last = attempt >= attempts
      try {
        const answer = await once(path, body)
        if (last || !passingStatuses.has(answer.status)) return answer
      } catch (error) {
        if (last || !(error instanceof ChainError) || error.reason === 'too-large') throw error
      }
      await wait(backoffMs * 2 ** (attempt - 1) * (0.5 + random()))
    }
  }

  async function read<T>(path: string, schema: z.ZodMiniType<T>, body?: unknown): Promise<T> {
    const { status, text } = await ask(path, body)
    if (status !== 200) throw new ChainError('status', `${path}: HTTP ${status}`, { status })
    return parse(path, text, schema)
  }

  return {
    async info() {
      const info = await read('/v2/info', infoSchema)
      return {
        chainId: info.network_id,
        burnHeight: info.burn_block_height,
        height: info.stacks_tip_height,
        serverVersion: info.server_version ?? '',
      }
    },

    async account(address) {
      const account = await read(`/v2/accounts/${address}?proof=0`, accountSchema)
      return { balance: BigInt(account.balance), nonce: BigInt(account.nonce) }
    },

    async nonce(address) {
      const nonces = await read(`/extended/v1/address/${address}/nonces`, noncesSchema)
      return BigInt(nonces.possible_next_nonce)
    },

    async callReadOnly(contract, name, args) {
      const [address, contractName] = splitContract(contract)
      const path = `/v2/contracts/call-read/${address}/${contractName}/${name}`
      const answer = await read(path, callReadSchema, { sender: address, arguments: args.map(cvToHex) })
      if (!answer.okay) throw new ChainError('refused', `${name}: ${answer.cause.slice(0, 500)}`)
      return decode(path, answer.result)
    },

    async contractSource(contract) {
      const [address, contractName] = splitContract(contract)
      const path = `/v2/contracts/source/${address}/${contractName}?proof=0`
      const { status, text } = await ask(path)
      if (status === 404) return undefined
      if (status !== 200) throw new ChainError('status', `${path}: HTTP ${status}`, { status })
      return parse(path, text, sourceSchema).source
    },

    async feeEstimate(payload, bytes) {
      const path = '/v2/fees/transaction'
      const { status, text } = await ask(path, { transaction_payload: payload, estimated_len: bytes })
      // A node that saw too few transactions answers 400.
      if (status === 400) return undefined
      if (status !== 200) throw new ChainError('status', `${path}: HTTP ${status}`, { status })
      const { estimations } = parse(path, text, estimationsSchema)
      // Low, middle, high: wallets take the middle one.
      const fee = estimations[Math.floor(estimations.length / 2)]?.fee
      return fee === undefined ? undefined : BigInt(fee)
    },

    async mapEntry(contract, map, key) {
      const [address, contractName] = splitContract(contract)
      const path = `/v2/map_entry/${address}/${contractName}/${map}?proof=0`
      return decode(path, (await read(path, mapEntrySchema, cvToHex(key))).data)
    },

    async contractEvents(contract, page = {}) {
      const path = `/extended/v1/contract/${contract}/events?limit=${page.limit ?? 50}&offset=${page.offset ?? 0}`
      const answer = await read(path, eventsSchema)
      return answer.results.map((event) => {
        const log = event.contract_log
        if (log?.contract_id !== contract)
          throw new ChainError('malformed', `${path}: another contract's event`)
        return { txid: event.tx_id, index: event.event_index, hex: log.value.hex }
      })
    },

    async transaction(txid) {
      const path = `/extended/v1/tx/${withPrefix(txid)}`
      const { status, text } = await ask(path)
      if (status === 404) return undefined
      if (status !== 200) throw new ChainError('status', `${path}: HTTP ${status}`, { status })
      const tx = parse(path, text, transactionSchema)
      const inBlock = typeof tx.block_height === 'number' && tx.block_height > 0
      return {
        txid: tx.tx_id,
        status: tx.tx_status,
        height: inBlock ? (tx.block_height ?? null) : null,
        burnHeight: inBlock ? (tx.burn_block_height ?? null) : null,
        result: tx.tx_result ? decode(path, tx.tx_result.hex) : null,
      }
    },

    async broadcast(hex) {
      const path = '/v2/transactions'
      const { status, text } = await once(path, { tx: hex })
      if (status === 200) {
        const txid = parse(path, text, z.string().check(z.regex(/^(0x)?[0-9a-f]{64}$/)))
        return { ok: true, txid: withPrefix(txid) }
      }
      // Above 499 the node did not judge the transaction.
      if (status >= 500 || status === 429)
        throw new ChainError('status', `${path}: HTTP ${status}`, { status })
      const refusal = parse(path, text, refusalSchema)
      return {
        ok: false,
        reason: (refusal.reason ?? 'Unknown').slice(0, 100),
        message: (refusal.error ?? `HTTP ${status}`).slice(0, 500),
      }
    },

    async anchorBelow(burnHeight) {
      for (let at = burnHeight - 1; at >= 0 && at >= burnHeight - anchorReach; at--) {
        const path = `/extended/v2/burn-blocks/${at}/blocks?limit=30`
        const { status, text } = await ask(path)
        // A burn block without a Stacks block is unknown to the API.
        if (status === 404) continue
        if (status !== 200) throw new ChainError('status', `${path}: HTTP ${status}`, { status })
        const blocks = parse(path, text, blocksSchema).results.filter((b) => b.burn_block_height === at)
        const last = blocks.reduce<(typeof blocks)[number] | undefined>(
          (best, block) => (best && best.height > block.height ? best : block),
          undefined,
        )
        if (last) return { height: last.height, hash: last.index_block_hash.slice(2), burnHeight: at }
      }
      throw new ChainError(
        'malformed',
        `no Stacks block in the ${anchorReach} burn blocks below ${burnHeight}`,
      )
    },
  }
}

async function readText(response: Response, maxBytes: number): Promise<string> {
  const body = await bodyWithin(response, maxBytes)
  if (body) return new TextDecoder().decode(body)
  throw new ChainError('too-large', `answer above ${maxBytes} bytes`, { status: response.status })
}

function parse<T>(path: string, text: string, schema: z.ZodMiniType<T>): T {
  try {
    return z.parse(schema, JSON.parse(text))
  } catch (cause) {
    throw new ChainError('malformed', `${path}: not the answer that was asked for`, { cause })
  }
}

function decode(path: string, hex: string): ClarityValue {
  try {
    return hexToCV(hex)
  } catch (cause) {
    throw new ChainError('malformed', `${path}: not a Clarity value`, { cause })
  }
}
