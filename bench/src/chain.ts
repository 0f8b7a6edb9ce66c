import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { getSDK } from '@stacks/clarinet-sdk'
import {
  cvToString,
  getAddressFromPrivateKey,
  makeContractCall,
  makeContractDeploy,
  makeSTXTokenTransfer,
} from '@stacks/transactions'
import { type ContractCall, registerApp } from '@understudy/chain/calls'
import { contractsOf } from '@understudy/chain/contracts'
import type { BenchResult } from './result.ts'

/** Started as a program, never imported: it is under another licence. */
const program = fileURLToPath(new URL('../../local/devnet/dist/main.js', import.meta.url))
const contractName = 'attester-quorum'

const senders = 100
/** Below the 25 that a node queues for one sender. */
const perSender = 8
const connections = 32
const fee = 5_000n
const burnInterval = 100

const identityOf = (key: string) => ({ key, address: getAddressFromPrivateKey(key, 'testnet') })
const keyOf = (name: string) => `${createHash('sha256').update(`bench ${name}`).digest('hex')}01`
const deployer = identityOf(keyOf('deployer'))
const keys = Array.from({ length: senders }, (_, i) => keyOf(`sender ${i}`))

/** What a maintainer really sends: the project's own contract registers an app of its own each time. */
function registration(index: number): ContractCall {
  return registerApp(contractsOf(deployer.address), {
    coordinate: `30617:${'ab'.repeat(32)}:bench-${index}`,
    schedule: { start: 50_000, length: 144, notice: 3, cap: 1_000_000_000n },
    terms: {
      budget: 100_000_000n,
      keys: ['02', '03', '04'].map((first) => `02${first.repeat(32)}`),
      places: 3,
      levels: ['network'],
      floor: 500_000,
      domainBond: 100_000_000n,
      fee: 3_000_000n,
      grace: 5,
      minBond: 10_000_000n,
      faults: 1,
      window: 72,
      challenge: 6,
      claimPeriod: 4_320,
      releaseKey: '11'.repeat(32),
      minSeq: 0,
    },
  })
}

interface Devnet {
  readonly child: ChildProcess
  get(path: string): Promise<unknown>
  submit(hex: string): Promise<void>
}

async function startDevnet(data: string): Promise<Devnet> {
  const args = [program, '--port', '0', '--data', data, '--burn-interval', String(burnInterval)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout! })) {
    const { url } = JSON.parse(line) as { url: string }
    child.stdout!.resume()
    return { child, ...clientOf(url) }
  }
  throw new Error('devnet ended before it was ready')
}

function clientOf(url: string): Omit<Devnet, 'child'> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  function ask(method: string, path: string, body?: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json' }
      const asked = request(`${url}${path}`, { method, agent, headers, timeout: 60_000 }, async (answer) => {
        let text = ''
        for await (const chunk of answer) text += chunk
        resolve({ status: answer.statusCode!, text })
      })
      asked.on('error', reject)
      asked.on('timeout', () => asked.destroy(new Error('no answer within a minute')))
      asked.end(body)
    })
  }
  return {
    async get(path) {
      return JSON.parse((await ask('GET', path)).text)
    },
    async submit(hex) {
      const { status, text } = await ask('POST', '/v2/transactions', JSON.stringify({ tx: hex }))
      if (status !== 200) throw new Error(`refused: ${text}`)
    },
  }
}

/** Milliseconds that the calls themselves take, one after the other, in a new simnet of this process. */
async function directly(source: string, calls: readonly ContractCall[]): Promise<number> {
  const simnet = await getSDK()
  await simnet.initEmptySession({ enabled: false })
  simnet.setEpoch('4.0')
  simnet.deployContract(contractName, source, null, deployer.address)
  const started = performance.now()
  for (const { contract, functionName, functionArgs } of calls) {
    const { result } = simnet.callPublicFn(contract, functionName, functionArgs, deployer.address)
    if (result.type !== 'ok') throw new Error(`the direct call answered ${cvToString(result)}`)
  }
  return performance.now() - started
}

/** Polls until the chain has mined this many transactions since its beginning. */
async function untilMined(devnet: Devnet, count: number): Promise<void> {
  for (;;) {
    const { chain_tip } = (await devnet.get('/extended/v1/status')) as { chain_tip: { tx_count: number } }
    if (chain_tip.tx_count >= count) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Funds the senders and deploys the contract; returns how many transactions that took. */
async function prepare(devnet: Devnet, source: string): Promise<number> {
  const funders = ((await devnet.get('/devnet/accounts')) as { name: string; privateKey: string }[]).slice(
    0,
    10,
  )
  const deployment = await makeContractDeploy({
    contractName,
    codeBody: source,
    senderKey: deployer.key,
    fee: 100_000n,
    nonce: 0n,
    network: 'testnet',
  })
  const transfers = [deployer, ...keys.map(identityOf)].map(async ({ address }, i) =>
    makeSTXTokenTransfer({
      recipient: address,
      amount: 1_000_000n,
      senderKey: funders[i % funders.length]!.privateKey,
      fee,
      nonce: BigInt(Math.floor(i / funders.length)),
      network: 'testnet',
    }),
  )
  for (const transfer of await Promise.all(transfers)) await devnet.submit(transfer.serialize())
  await untilMined(devnet, transfers.length)
  await devnet.submit(deployment.serialize())
  await untilMined(devnet, transfers.length + 1)
  return transfers.length + 1
}

/**
 * Signed transactions per second from the first request to the last one mined, through devnet's RPC: decoding, signature, nonce,
 * fee, balance, journal on disk, post-conditions, block. Signing is the clients' work and done before. Floor: the same calls, made
 * directly on a simnet of this process, which checks none of that.
 */
export async function bench(): Promise<BenchResult> {
  const goal = 0.3
  const source = await readFile(new URL(`../../contracts/${contractName}.clar`, import.meta.url), 'utf8')
  const calls = Array.from({ length: senders * perSender }, (_, i) => registration(i))
  console.error(`chain: signing ${calls.length} transactions`)
  const signed: string[] = []
  for (const [i, { functionName, functionArgs, postConditions, postConditionMode }] of calls.entries()) {
    const transaction = await makeContractCall({
      contractAddress: deployer.address,
      contractName,
      functionName,
      functionArgs,
      postConditions,
      postConditionMode,
      senderKey: keys[i % senders]!,
      fee,
      nonce: BigInt(Math.floor(i / senders)),
      network: 'testnet',
    })
    signed.push(transaction.serialize())
  }

  // Half of the floor before and half after, so that a machine that grows busier weighs on both sides.
  const half = calls.length / 2
  console.error('chain: the same calls directly')
  const first = await directly(source, calls.slice(0, half))

  const data = await mkdtemp(join(tmpdir(), 'bench-chain-'))
  const devnet = await startDevnet(data)
  let value: number
  try {
    const before = await prepare(devnet, source)
    console.error(`chain: sending ${signed.length} transactions over ${connections} connections`)
    const started = performance.now()
    await Promise.all(signed.map((hex) => devnet.submit(hex)))
    await untilMined(devnet, before + signed.length)
    value = (signed.length / (performance.now() - started)) * 1000
    await allSucceeded(devnet)
  } finally {
    const exited = once(devnet.child, 'exit')
    devnet.child.kill('SIGTERM')
    await exited
    await rm(data, { recursive: true })
  }

  const floor = (calls.length / (first + (await directly(source, calls.slice(half))))) * 1000
  const ratio = value / floor
  return {
    bench: 'chain',
    value: Math.round(value),
    unit: 'tx/s',
    floor: Math.round(floor),
    ratio: Number(ratio.toFixed(3)),
    goal,
    met: ratio >= goal,
    function: `${contractName}.register-app`,
    transactions: signed.length,
    signing: 'not counted',
  }
}

/** Each sender's newest transactions, as the API reports them. */
async function allSucceeded(devnet: Devnet): Promise<void> {
  for (const { address } of keys.map(identityOf)) {
    const path = `/extended/v1/address/${address}/transactions?limit=${perSender}`
    const { results } = (await devnet.get(path)) as { results: { tx_status: string; tx_type: string }[] }
    const good = results.filter(
      ({ tx_status, tx_type }) => tx_status === 'success' && tx_type === 'contract_call',
    )
    if (good.length !== perSender) throw new Error(`only ${good.length} transactions of ${address} succeeded`)
  }
}
