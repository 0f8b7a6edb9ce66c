import { validateStacksAddress } from '@stacks/transactions'
import { type ChainInfo, createStacksClient, type StacksClient } from '@understudy/chain/client'
import { type Contracts, contractsOf } from '@understudy/chain/contracts'
import type { ChainEvent } from '@understudy/chain/log'
import { createLogReader, readComplete } from '@understudy/chain/logReader'
import { type ChainApp, projectChain } from '@understudy/chain/state'
import { appId, parseCoordinate } from '@understudy/protocol/app'
import { createComparisons } from '@understudy/relays/comparison'
import { openRelays, type Relays, relayUrl } from '@understudy/relays/relays'
import { loadVerify } from '@understudy/relays/verify'
import { parseList } from './amount.ts'
import type { Io } from './command.ts'
import { Failure, UsageFailure } from './failure.ts'
import { defaultKeyFolder, type KeyName, keyFile, readKey } from './keys.ts'

export const appArgs = {
  app: { type: 'string', description: 'App: coordinate or id (APP)', valueHint: 'app' },
} as const

/** Where the chain is. Each has an environment variable of the same meaning. */
export const chainArgs = {
  'stacks-url': { type: 'string', description: 'Stacks API (STACKS_API_URL)', valueHint: 'url' },
  deployer: { type: 'string', description: 'Who deployed the contracts (DEPLOYER)', valueHint: 'address' },
} as const

export const relayArgs = {
  relays: { type: 'string', description: 'Relays, comma-separated (RELAYS)', valueHint: 'urls' },
} as const

export const keyArgs = {
  keys: { type: 'string', description: 'Folder of your keys (UNDERSTUDY_KEYS)', valueHint: 'folder' },
  'key-file': {
    type: 'string',
    description: 'Stacks key (KEY_FILE; default <keys>/stacks.key)',
    valueHint: 'file',
  },
  'nostr-key-file': {
    type: 'string',
    description: 'Nostr key (NOSTR_KEY_FILE; default <keys>/nostr.key)',
    valueHint: 'file',
  },
} as const

export const feeArgs = {
  'tx-fee': {
    type: 'string',
    description: 'Network fee of the transaction, in STX whatever the app’s asset (default 0.02stx)',
    valueHint: 'amount',
  },
  'dry-run': { type: 'boolean', description: 'Say what would move, and send nothing' },
} as const

type Options<T> = { readonly [Name in keyof T]?: string | undefined }

/** The value of an option, or of its environment variable. */
export function setting(io: Io, value: string | undefined, variable: string): string | undefined {
  return value || io.env[variable] || undefined
}

export interface Chain {
  readonly client: StacksClient
  readonly contracts: Contracts
  readonly info: ChainInfo
  /** The contracts' log of this app, proved complete. */
  log(id: string): Promise<readonly ChainEvent[]>
  /** What that log says. */
  app(id: string): Promise<ChainApp | undefined>
}

export async function openChain(options: Options<typeof chainArgs>, io: Io): Promise<Chain> {
  const url = setting(io, options['stacks-url'], 'STACKS_API_URL')
  if (!url) throw new UsageFailure('no Stacks API is named', 'give --stacks-url, or set STACKS_API_URL')
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new UsageFailure(`--stacks-url: ${url} is not an http(s) URL`)
  }
  const deployer = setting(io, options.deployer, 'DEPLOYER')
  if (!deployer) throw new UsageFailure('no deployer is named', 'give --deployer, or set DEPLOYER')
  if (!validateStacksAddress(deployer))
    throw new UsageFailure(`--deployer: ${deployer} is not a Stacks address`)
  const client = createStacksClient({ url })
  const contracts = contractsOf(deployer)
  const reader = createLogReader(client, contracts)
  const log = (id: string) => readComplete(client, contracts, reader, id)
  const info = await client.info().catch((cause: unknown) => {
    throw new Failure('no-chain', `${url} does not answer`, 'is --stacks-url right?', { cause })
  })
  return {
    client,
    contracts,
    info,
    log,
    async app(id) {
      return projectChain(await log(id)).apps.get(id)
    },
  }
}

/** Id of the app that an argument or the environment names, by coordinate or id. */
export function appOf({ app }: { readonly app?: string | undefined }, io: Io): string {
  const text = setting(io, app, 'APP')
  if (!text) throw new UsageFailure('no app is named', 'give --app, or set APP')
  return parseApp(text)
}

export function parseApp(text: string): string {
  if (/^[0-9a-f]{64}$/.test(text)) return text
  if (parseCoordinate(text).ok) return appId(text)
  throw new UsageFailure(
    `${text} is not an app`,
    'write 30617:<pubkey>:<identifier>, or the app id of 64 hex digits',
  )
}

export async function findApp(chain: Chain, id: string): Promise<ChainApp> {
  const app = await chain.app(id)
  if (app) return app
  throw new Failure('unknown-app', `no app ${id} is registered`, 'register it with: understudy app register')
}

export function relayUrls(options: Options<typeof relayArgs>, io: Io): string[] {
  const named = parseList(setting(io, options.relays, 'RELAYS') ?? '')
  if (named.length === 0) throw new UsageFailure('no relay is named', 'give --relays, or set RELAYS')
  for (const url of named) {
    if (!relayUrl(url).ok) throw new UsageFailure(`--relays: ${url} is not a ws(s) URL`)
  }
  return named
}

export async function openTheirRelays(options: Options<typeof relayArgs>, io: Io): Promise<Relays> {
  return openRelays(relayUrls(options, io), {
    verify: await loadVerify(),
    comparisons: createComparisons,
    onIncomplete: ({ url, second }) =>
      io.say(`${url} has more events of one second (${second}) than it hands out: name other relays as well`),
  })
}

export function secretOf(options: Options<typeof keyArgs>, io: Io, name: KeyName): Uint8Array {
  const folder = setting(io, options.keys, 'UNDERSTUDY_KEYS') ?? defaultKeyFolder()
  const file =
    name === 'stacks'
      ? setting(io, options['key-file'], 'KEY_FILE')
      : setting(io, options['nostr-key-file'], 'NOSTR_KEY_FILE')
  return readKey(file ?? keyFile(folder, name))
}
