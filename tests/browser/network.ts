import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ContractCall } from '@understudy/chain/calls'
import type { StacksClient, Transaction } from '@understudy/chain/client'
import type { Contracts } from '@understudy/chain/contracts'
import { sampleChain } from '@understudy/chain/sample'
import { type RunningProgram, startProgram } from './program.ts'

/** A local chain whose blocks come when the test asks, a relay, and the registry with the built page. */
export interface Network {
  readonly apiUrl: string
  readonly stacksUrl: string
  readonly chainId: number
  readonly contracts: Contracts
  readonly client: StacksClient
  /** Mines blocks, the first with what is in the mempool. Gives the burn height. */
  mine(burnBlocks?: number): Promise<number>
  /** Signs, sends and mines a call. */
  send(call: ContractCall, privateKey: string): Promise<Transaction>
  stop(): Promise<void>
}

/** A funded account of the devnet: its key is the hash of its name. */
export function devnetKey(name: string): string {
  return `${createHash('sha256').update(`understudy devnet account ${name}`).digest('hex')}01`
}

export async function openNetwork(): Promise<Network> {
  const page = fileURLToPath(new URL('../../web/dist', import.meta.url))
  if (!existsSync(join(page, 'index.html')))
    throw new Error('The page is not built: run npm run build first.')
  const dir = await mkdtemp(join(tmpdir(), 'understudy-browser-'))
  await chmod(dir, 0o700)
  const running: RunningProgram[] = []
  async function stop(): Promise<void> {
    for (const program of running.toReversed()) await program.stop()
    await rm(dir, { recursive: true, force: true })
  }
  async function start(...program: Parameters<typeof startProgram>): Promise<string> {
    const started = await startProgram(...program)
    running.push(started)
    return started.url
  }

  try {
    const common = { HOST: '127.0.0.1', PORT: '0' }
    const [stacksUrl, relayUrl] = await Promise.all([
      start('local/devnet/dist/main.js', ['--port', '0', '--burn-interval', '0'], {}),
      start('node/dist/relay/main.js', [], { ...common, DATA_DIR: join(dir, 'relay') }),
    ])
    const chain = await sampleChain(stacksUrl, devnetKey('deployer'))
    const { client, chainId, contracts, deployer } = chain
    const apiUrl = await start('registry/api/dist/main.js', [], {
      ...common,
      STACKS_API_URL: stacksUrl,
      DEPLOYER: deployer,
      RELAYS: relayUrl,
      DATA_DIR: join(dir, 'api'),
      WEB_DIR: page,
      POLL_INTERVAL_MS: '100',
    })

    return {
      apiUrl,
      stacksUrl,
      chainId,
      contracts,
      client,
      mine: chain.mine,
      send: (call, privateKey) => chain.send(privateKey, call),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}
