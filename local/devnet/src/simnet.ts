import { readFileSync } from 'node:fs'
import {
  type ClarityValue,
  deserializeCV,
  noneCV,
  serializeCV,
  serializeCVBytes,
  trueCV,
} from '@stacks/transactions'
import { ACCOUNTS } from './accounts.ts'
import { type Checkpoint, loadMachine } from './machine.ts'

/** What a transaction does, apart from paying its fee. */
export type Payload =
  | { readonly type: 'transfer'; readonly recipient: string; readonly amount: bigint }
  | {
      readonly type: 'call'
      readonly contractId: string
      readonly functionName: string
      readonly args: readonly ClarityValue[]
    }
  | {
      readonly type: 'deploy'
      readonly name: string
      readonly source: string
      readonly clarityVersion?: number
    }
  /** The fee alone: what is left of a transaction whose post-conditions failed. */
  | { readonly type: 'nothing' }

export interface Operation {
  readonly sender: string
  /** µSTX */
  readonly fee: bigint
  readonly miner: string
  readonly payload: Payload
}

/** An event as simnet reports it: `stx_transfer_event`, `print_event`, … */
export interface SimnetEvent {
  readonly event: string
  readonly data: Readonly<Record<string, unknown>>
}

/** `failed` is a runtime or analysis error: everything but the fee was rolled back by simnet itself. */
export type Execution =
  | { readonly ok: true; readonly result: ClarityValue; readonly events: readonly SimnetEvent[] }
  | { readonly ok: false; readonly failed: string }

export interface Abi {
  readonly functions: readonly {
    readonly name: string
    readonly access: 'public' | 'private' | 'read_only'
    readonly args: readonly { readonly name: string; readonly type: unknown }[]
    readonly outputs: { readonly type: unknown }
  }[]
  readonly variables: readonly { readonly name: string; readonly access: string }[]
  readonly maps: readonly { readonly name: string }[]
}

export type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly cause: string }

/** Clarity's virtual machine and its state: everything of a chain but transactions' envelopes. */
export interface Simnet {
  heights(): Heights
  /** One burn block, which carries one Stacks block without transactions. */
  mineBurnBlock(): void
  /** One Stacks block with one transaction; the fee moves first, as in a node since Stacks 2.1. */
  execute(operation: Operation): Execution
  /** Takes the last `execute` back and executes `instead` at the same heights. */
  replaceLast(instead: Operation): Execution
  /** µSTX */
  balance(principal: string): bigint
  abi(contractId: string): Abi | undefined
  source(contractId: string): string | undefined
  readOnly(
    contractId: string,
    functionName: string,
    args: readonly ClarityValue[],
    sender: string,
  ): Read<ClarityValue>
  mapEntry(contractId: string, map: string, key: ClarityValue): Read<string>
  dataVar(contractId: string, name: string): Read<string>
}

export interface Heights {
  readonly stacks: number
  readonly burn: number
  /** Clarity's clock in seconds: burn blocks are 600 apart, further Stacks blocks within one 10. */
  readonly time: number
}

/** As it leaves the WebAssembly module: the value's encoding in hex, and a JSON array of JSON events. */
interface RawOutcome {
  readonly result: string
  readonly events: string
}

/** What the SDK throws for a key without an entry. */
const MISSING = 'value not found'

/** The sBTC contract's address on testnet, whose chain id this chain has: what is deployed there calls it. */
const SBTC = 'ST1F7QA2MDF17S807EPA36TSS8AMEFY4KA9TVGWXT'
/** Satoshis of every funded account at genesis. */
const SBTC_BALANCE = 100n * 100_000_000n

/** The stand-in for sBTC, which mints while it is deployed. */
const sbtcSource = () =>
  [
    readFileSync(new URL('../contracts/sbtc-token.clar', import.meta.url), 'utf8'),
    ...ACCOUNTS.filter(({ balance }) => balance > 0n).map(
      ({ address }) => `(ft-mint? sbtc-token u${SBTC_BALANCE} '${address})`,
    ),
  ].join('\n')

/** Re-executing more than this (ms) after a rollback would be slower than a checkpoint more often. */
const CHECKPOINT_AFTER = 250
const MAX_STEPS = 10_000

/**
 * Opens a chain at its genesis: epoch 4.0 (Clarity 6), the boot contracts and a stand-in for sBTC, `ACCOUNTS` funded.
 *
 * @param genesisTime ms since 1970; simnet's clock starts there
 * @param print receives what contracts print
 */
export async function openSimnet(genesisTime: number, print: (line: string) => void): Promise<Simnet> {
  const machine = await loadMachine(genesisTime, print)
  await machine.sdk.initEmptySession({ enabled: false })
  const call = machine.call
  call((sdk) => sdk.setEpoch('4.0'))
  for (const { address, balance } of ACCOUNTS) {
    if (balance > 0n) call((sdk) => sdk.mintSTX(address, balance))
  }
  call((sdk) => sdk.deployContract('sbtc-token', sbtcSource(), null, SBTC))

  let checkpoint: Checkpoint = machine.save()
  /** What happened since the checkpoint. A panic left no operation behind, but the fee that it cost. */
  let since: Step[] = []
  let sinceMs = 0
  const abis = new Map<string, Abi>()
  let balances: Map<string, bigint> | undefined

  function save() {
    checkpoint = machine.save(checkpoint)
    since = []
    sinceMs = 0
  }

  function apply(step: Step): Execution {
    balances = undefined
    const started = performance.now()
    const execution = call((sdk) => run(sdk, step))
    since.push(step)
    sinceMs += performance.now() - started
    return execution
  }

  function rollback(steps: readonly Step[]) {
    machine.restore(checkpoint)
    since = []
    abis.clear()
    for (const step of steps) apply(step)
    save()
  }

  /** A panic of the virtual machine leaves its memory half-way: only a rollback makes it usable again. */
  function survive<T>(use: () => T, onPanic: (cause: string) => T): T {
    try {
      return use()
    } catch (error) {
      rollback(since)
      return onPanic(String(error))
    }
  }

  function execute(operation: Operation): Execution {
    return survive(
      () => apply(operation),
      (failed) => {
        apply({ ...operation, payload: { type: 'nothing' } })
        return { ok: false, failed }
      },
    )
  }

  /** The SDK throws strings; anything else is a panic. */
  function attempt<T>(read: (sdk: Sdk) => T): Read<T> {
    return survive<Read<T>>(
      () => {
        try {
          return { ok: true, value: call(read) }
        } catch (error) {
          if (typeof error === 'string') return { ok: false, cause: error }
          throw error
        }
      },
      (cause) => ({ ok: false, cause }),
    )
  }

  return {
    heights: () => ({
      stacks: machine.sdk.stacksBlockHeight,
      burn: machine.sdk.burnBlockHeight,
      time: Number(machine.sdk.getBlockTime()),
    }),
    mineBurnBlock() {
      apply('burn block')
    },
    execute(operation) {
      if (sinceMs > CHECKPOINT_AFTER || since.length > MAX_STEPS) save()
      return execute(operation)
    },
    replaceLast(instead) {
      rollback(since.slice(0, -1))
      return execute(instead)
    },
    balance(principal) {
      balances ??= call((sdk) => sdk.getAssetsMap()).get('STX') ?? new Map()
      return balances.get(principal) ?? 0n
    },
    abi(contractId) {
      const known = abis.get(contractId)
      if (known !== undefined) return known
      if (call((sdk) => sdk.getContractSource(contractId)) === undefined) return undefined
      for (const [id, abi] of call((sdk) => sdk.getContractsInterfaces())) abis.set(id, abi as unknown as Abi)
      return abis.get(contractId)
    },
    source: (contractId) => call((sdk) => sdk.getContractSource(contractId)),
    readOnly: (contractId, functionName, args, sender) =>
      attempt((sdk) => sdk.callReadOnlyFn(contractId, functionName, [...args], sender).result),
    mapEntry(contractId, map, key) {
      const entry = attempt((sdk) => serializeCV(sdk.getMapEntry(contractId, map, key)))
      return !entry.ok && entry.cause === MISSING ? { ok: true, value: serializeCV(noneCV()) } : entry
    },
    dataVar: (contractId, name) => attempt((sdk) => serializeCV(sdk.getDataVar(contractId, name))),
  }
}

type Sdk = Awaited<ReturnType<typeof loadMachine>>['sdk']
type Step = Operation | 'burn block'

const DONE: Execution = { ok: true, result: trueCV(), events: [] }

/** @throws when simnet panics, or mines another number of blocks than one */
function run(sdk: Sdk, step: Step): Execution {
  const height = sdk.stacksBlockHeight
  const execution = step === 'burn block' ? mineBurnBlock(sdk) : mineOperation(sdk, step)
  if (sdk.stacksBlockHeight !== height + 1)
    throw new Error(`simnet did not mine one block: ${failure(execution)}`)
  return execution
}

function failure(execution: Execution): string {
  return execution.ok ? 'it mined more' : execution.failed
}

function mineBurnBlock(sdk: Sdk): Execution {
  sdk.mineEmptyBurnBlock()
  return DONE
}

function mineOperation(sdk: Sdk, { sender, fee, miner, payload }: Operation): Execution {
  const feeTransfer = { transferSTX: { amount: Number(fee), recipient: miner, sender } }
  const transactions = [...(fee > 0n ? [feeTransfer] : []), ...payloadTransactions(payload, sender)]
  try {
    const { result, events } = mineBlock(sdk, transactions).at(-1)!
    const parsed = (JSON.parse(events) as string[]).map((event) => JSON.parse(event) as SimnetEvent)
    return payload.type === 'nothing' ? DONE : { ok: true, result: deserializeCV(result), events: parsed }
  } catch (error) {
    if (typeof error === 'string') return { ok: false, failed: error }
    throw error
  }
}

/**
 * The SDK's own method below its wrapper, which would decode every event's value and turn every argument into JSON
 * twice: a quarter of the time of a block.
 */
function mineBlock(sdk: Sdk, transactions: readonly unknown[]): RawOutcome[] {
  return Object.getPrototypeOf(sdk).mineBlock.call(sdk, transactions)
}

function payloadTransactions(payload: Payload, sender: string): unknown[] {
  switch (payload.type) {
    case 'nothing':
      return []
    case 'transfer':
      return [{ transferSTX: { amount: Number(payload.amount), recipient: payload.recipient, sender } }]
    case 'call': {
      const { contractId: contract, functionName: method } = payload
      const args_maps = payload.args.map((value) => serializeCVBytes(value))
      return [{ callPublicFn: { contract, method, args_maps, sender } }]
    }
    case 'deploy': {
      const { name, source: content, clarityVersion } = payload
      const options = clarityVersion === undefined ? null : { clarityVersion }
      return [{ deployContract: { name, content, options, sender } }]
    }
  }
}
