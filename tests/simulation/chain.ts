import { ClarityType, type ClarityValue, createAddress, deserializeTransaction } from '@stacks/transactions'
import type { Basis, ChainSight, ChainView } from '@understudy/attester/chain-view'
import type { AnchorBlock, Broadcast, StacksClient, Transaction } from '@understudy/chain/client'
import { type Contracts, contractsOf } from '@understudy/chain/contracts'
import type { ChainEvent } from '@understudy/chain/log'
import {
  bondedMirrors,
  type ChainApp,
  projectChain,
  rulesAt,
  settledBefore,
  stateBelow,
} from '@understudy/chain/state'
import { barredKeys } from '@understudy/chain/verify'
import { commitmentHash } from '@understudy/protocol/commitment'
import { epochAt, epochEnd, settleBefore } from '@understudy/protocol/epoch'
import { threshold } from '@understudy/protocol/rules'
import { settlementHash } from '@understudy/protocol/settlement'
import { recoverKey } from '@understudy/protocol/sip018'
import type { ChainFacts } from '@understudy/protocol/verify'
import type { Dice } from './dice.ts'
import type { Time } from './time.ts'
import type { Trace } from './trace.ts'

export const chainId = 2_147_483_648
export const contracts: Contracts = contractsOf('ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM')
/** Length of a burn block, ms. */
export const blockMs = 600_000

/**
 * The three contracts as far as settling goes, written a second time: the same guards in the same order as `reward-pool`. Burn blocks come
 * every ten minutes, most with a Stacks block.
 */
export interface ModelChain {
  readonly app: string
  burnHeight(): number
  /** Ends a burn block every `blockMs`, for ever. */
  start(): void
  /** Prints an event in this block, as a call of the setting's own. */
  print(source: ChainEvent['source'], event: Record<string, unknown> & { readonly topic: string }): void
  state(): ChainApp
  /** What a verifier reads of a settled epoch; undefined where it is not settled. */
  factsOf(epoch: number): ChainFacts | undefined
  /** The API as one client sees it; unreachable while `online` says so. */
  client(online: () => boolean): StacksClient
  view(online: () => boolean): ChainView
}

export function createChain(app: string, time: Time, dice: Dice, trace: Trace): ModelChain {
  let burn = 1_000
  let height = 5_000
  let events: readonly ChainEvent[] = []
  let projected: { readonly of: readonly ChainEvent[]; readonly app: ChainApp } | undefined
  const blocks: AnchorBlock[] = []
  const mempool: { readonly txid: string; readonly hex: string; readonly sender: string }[] = []
  const transactions = new Map<string, Transaction>()
  const nonces = new Map<string, bigint>()

  const hashOf = (at: number) => at.toString(16).padStart(64, '0')
  const state = (): ChainApp => {
    if (projected?.of !== events) projected = { of: events, app: projectChain(events).apps.get(app)! }
    return projected!.app
  }

  function print(source: ChainEvent['source'], event: Record<string, unknown>, txid = '0x'): void {
    const seq = events.filter((e) => e.source === source).length + 1
    const printed = { ...event, app, seq, head: hashOf(seq), burn, height, source, txid }
    events = [...events, printed as unknown as ChainEvent]
    trace('chain', `${burn} ${String(event.topic)}`)
  }

  function mine(): void {
    burn++
    // Now and then a burn block brings no Stacks block.
    if (dice.chance(0.06)) return
    height++
    blocks.push({ height, hash: hashOf(height), burnHeight: burn })
    for (const { txid, hex } of mempool.splice(0)) {
      const refused = execute(hex, txid)
      if (refused) trace('chain', `${burn} refused ${refused}`)
      const status = refused ? 'abort_by_response' : 'success'
      transactions.set(txid, { txid, status, height, burnHeight: burn, result: null })
    }
  }

  /** Undefined when it went through, else the contract's error. */
  function execute(hex: string, txid: string): string | undefined {
    const { payload } = deserializeTransaction(hex) as unknown as {
      payload: {
        functionName: { content: string }
        functionArgs: ClarityValue[]
        contractName: { content: string }
      }
    }
    const args = payload.functionArgs.map(plain)
    switch (payload.functionName.content) {
      case 'settle':
        return settle(args, txid)
      case 'report-commitments':
        return reportCommitments(args, txid)
      case 'report-settlements':
        return reportSettlements(args, txid)
      case 'strike':
        return strike(Number(args[1]), txid)
      case 'add-signatures':
        return addSignatures(args, txid)
      default:
        return `no function ${payload.functionName.content}`
    }
  }

  const signersOf = (hash: Uint8Array, keys: readonly string[], signatures: readonly (string | null)[]) =>
    keys.map((key, at) => {
      const rsv = signatures[at]
      return rsv ? recoverKey(hash, rsv) === key : false
    })
  const standing = (keys: readonly string[], signers: readonly boolean[]) =>
    signers.map((signed, at) => signed && !state().banned.has(keys[at]!))
  const isPayable = (settled: { burn: number; height: number; challenge: number }) =>
    burn >= settled.burn + settled.challenge && height >= settled.height + settled.challenge

  function settle(args: readonly Plain[], txid: string): string | undefined {
    const [id, n, k, inputs, root, sum, leaves, list] = args as [
      string,
      bigint,
      bigint,
      string,
      string,
      bigint,
      bigint,
      (string | null)[],
    ]
    const epoch = Number(n)
    const round = Number(k)
    const current = state()
    const rules = rulesAt(current, epoch)
    if (id !== app || !rules) return 'unknown epoch'
    if (current.settlements.has(epoch)) return 'settled'
    if (round !== (current.rounds.get(epoch) ?? 0)) return 'round'
    if (burn < epochEnd(current.schedule, epoch)) return 'too early'
    if (burn >= settleBefore(current.schedule, rules, epoch, round)) return 'too late'
    if (sum > rules.budget) return 'over budget'
    if (sum > current.pool.free) return 'over free'
    const message = {
      pool: contracts.pool,
      app,
      epoch,
      round,
      inputs,
      root,
      allocated: sum,
      count: Number(leaves),
    }
    const signed = signersOf(settlementHash(message, chainId), rules.keys, list)
    if (list.filter((s) => s !== null).length !== signed.filter(Boolean).length) return 'signatures'
    const signers = standing(rules.keys, signed)
    if (signers.filter(Boolean).length < threshold(rules.keys)) return 'quorum'
    const { common } = current.pool
    const { version, challenge } = rules
    const outcome = {
      epoch,
      round,
      version,
      inputs,
      root,
      allocated: sum,
      count: Number(leaves),
      signers,
      challenge,
    }
    print('pool', { topic: 'settled', ...outcome, common: sum < common ? sum : common }, txid)
    return undefined
  }

  function ban(key: string, epoch: number, txid: string): void {
    const held = state().attesters.get(key)?.amount ?? 0n
    print('pool', { topic: 'banned', key, epoch, reporter: '', bond: held, reward: held / 10n }, txid)
  }

  function reportCommitments(args: readonly Plain[], txid: string): string | undefined {
    const [, n, , key, first, second] = args as [string, bigint, bigint, string, Said, Said]
    if (state().banned.has(key)) return 'banned'
    if (first.root === second.root && first.count === second.count) return 'no contradiction'
    const said = [first, second].every(({ root, count, signature }) => {
      const message = { pool: contracts.pool, app, epoch: Number(n), root, count: Number(count) }
      return recoverKey(commitmentHash(message, chainId), signature) === key
    })
    if (!said) return 'evidence'
    ban(key, Number(n), txid)
    return undefined
  }

  function reportSettlements(args: readonly Plain[], txid: string): string | undefined {
    const [, n, , key, k, inputs, first, second] = args as [
      string,
      bigint,
      bigint,
      string,
      bigint,
      string,
      Said,
      Said,
    ]
    if (state().banned.has(key)) return 'banned'
    const hashes = [first, second].map(({ root, allocated, count }) =>
      settlementHash(
        {
          pool: contracts.pool,
          app,
          epoch: Number(n),
          round: Number(k),
          inputs,
          root,
          allocated: allocated!,
          count: Number(count),
        },
        chainId,
      ),
    )
    if (String(hashes[0]) === String(hashes[1])) return 'no contradiction'
    if (![first, second].every(({ signature }, at) => recoverKey(hashes[at]!, signature) === key))
      return 'evidence'
    ban(key, Number(n), txid)
    return undefined
  }

  function strike(epoch: number, txid: string): string | undefined {
    const settled = state().settlements.get(epoch)
    const rules = rulesAt(state(), epoch)
    if (!settled || !rules) return 'not settled'
    if (isPayable(settled)) return 'payable'
    if (standing(rules.keys, settled.signers).filter(Boolean).length >= threshold(rules.keys)) return 'stands'
    print('pool', { topic: 'voided', epoch, round: settled.round }, txid)
    return undefined
  }

  function addSignatures(args: readonly Plain[], txid: string): string | undefined {
    const [, n, list] = args as [string, bigint, (string | null)[]]
    const settled = state().settlements.get(Number(n))
    const rules = rulesAt(state(), Number(n))
    if (!settled || !rules) return 'not settled'
    if (isPayable(settled)) return 'payable'
    const hash = settlementHash({ ...settled, pool: contracts.pool, app }, chainId)
    const signed = signersOf(hash, rules.keys, list)
    const signers = settled.signers.map((before, at) => before || signed[at]!)
    print(
      'pool',
      { topic: 'signatures-added', epoch: Number(n), signers: standing(rules.keys, signers) },
      txid,
    )
    return undefined
  }

  function anchorBelow(below: number): AnchorBlock {
    const anchor = blocks.findLast((block) => block.burnHeight < below)
    if (!anchor) throw new Error(`no Stacks block below burn height ${below}`)
    return anchor
  }

  return {
    app,
    burnHeight: () => burn,
    start() {
      blocks.push({ height, hash: hashOf(height), burnHeight: burn })
      const next = () => {
        mine()
        time.after(blockMs, next)
      }
      time.after(blockMs, next)
    },
    print,
    state,
    factsOf(epoch) {
      const settlement = state().settlements.get(epoch)
      if (!settlement) return undefined
      const end = epochEnd(state().schedule, epoch)
      const below = stateBelow(events, end).apps.get(app)!
      const rules = rulesAt(below, epoch)!
      const { height, hash } = anchorBelow(end)
      return {
        ...{ chainId, pool: contracts.pool, app, epoch, schedule: below.schedule, rules },
        ...{ anchor: { height, hash }, free: below.pool.free, mirrors: bondedMirrors(below, epoch) },
        asset: below.asset,
        barred: barredKeys(events, settlement, end),
        settledBefore: settledBefore(below, epoch),
        settlement,
        claims: [...settlement.claims.values()],
      }
    },
    client(online) {
      const reached = async <T>(answer: () => T): Promise<T> => {
        if (!online()) throw new Error('the Stacks API does not answer')
        return answer()
      }
      const unused = () => Promise.reject(new Error('the model chain does not answer this'))
      return {
        info: () => reached(() => ({ chainId, burnHeight: burn, height, serverVersion: 'model' })),
        account: () => reached(() => ({ balance: 10_000_000_000n, nonce: 0n })),
        nonce: (address) => reached(() => nonces.get(createAddress(address).hash160) ?? 0n),
        callReadOnly: unused,
        contractSource: unused,
        feeEstimate: unused,
        mapEntry: unused,
        contractEvents: unused,
        transaction: (txid) => reached(() => transactions.get(txid)),
        broadcast: (hex) =>
          reached((): Broadcast => {
            const transaction = deserializeTransaction(hex)
            const txid = `0x${transaction.txid()}`
            const { spendingCondition } = transaction.auth
            const sender = spendingCondition.signer
            if (transactions.has(txid)) return { ok: true, txid }
            const next = nonces.get(sender) ?? 0n
            if (spendingCondition.nonce < next)
              return { ok: false, reason: 'BadNonce', message: String(next) }
            nonces.set(sender, spendingCondition.nonce + 1n)
            transactions.set(txid, { txid, status: 'pending', height: null, burnHeight: null, result: null })
            mempool.push({ txid, hex, sender })
            trace('chain', `${burn} sent ${txid}`)
            return { ok: true, txid }
          }),
        anchorBelow: (below) => reached(() => anchorBelow(below)),
      }
    },
    view(online) {
      let sight: ChainSight | undefined
      return {
        sight: () => sight,
        async refresh() {
          if (!online()) throw new Error('the Stacks API does not answer')
          sight = { burnHeight: burn, height, apps: new Map([[app, state()]]) }
          return sight
        },
        async basisBelow(id, below): Promise<Basis> {
          if (!online()) throw new Error('the Stacks API does not answer')
          const { height, hash } = anchorBelow(below)
          return { anchor: { height, hash }, app: stateBelow(events, below).apps.get(id)! }
        },
      }
    },
  }
}

/** Whether an epoch's last moment to settle has passed. */
export function isOver(chain: ModelChain, epoch: number): boolean {
  const state = chain.state()
  const rules = rulesAt(state, epoch)!
  return chain.burnHeight() >= settleBefore(state.schedule, rules, epoch, 1) + rules.challenge
}

export const runningEpoch = (chain: ModelChain): number => epochAt(chain.state().schedule, chain.burnHeight())

interface Said {
  readonly root: string
  readonly count: bigint
  readonly allocated?: bigint
  readonly signature: string
}
type Plain = string | bigint | null | readonly Plain[] | { readonly [name: string]: Plain }

function plain(value: ClarityValue): Plain {
  switch (value.type) {
    case ClarityType.UInt:
    case ClarityType.Int:
      return BigInt(value.value)
    case ClarityType.OptionalNone:
      return null
    case ClarityType.OptionalSome:
      return plain(value.value)
    case ClarityType.List:
      return value.value.map(plain)
    case ClarityType.Tuple:
      return Object.fromEntries(Object.entries(value.value).map(([name, of]) => [name, plain(of)]))
    case ClarityType.Buffer:
    case ClarityType.StringASCII:
      return value.value
    default:
      throw new Error(`no call holds a ${value.type}`)
  }
}
