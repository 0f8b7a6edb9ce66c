import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { validateStacksAddress } from '@stacks/transactions'
import { createStacksClient } from '@understudy/chain/client'
import { contractNames, deployedSource } from '@understudy/chain/contracts'
import { type DeploymentOutbox, deployPlanned, planDeployment } from '@understudy/chain/deployment'
import { addressOf } from '@understudy/chain/transactions'
import { formatMoney } from '@understudy/protocol/money'
import { z } from 'zod'
import { parseAmount } from '../amount.ts'
import { command, type Io } from '../command.ts'
import { Failure, UsageFailure } from '../failure.ts'
import { readKey } from '../keys.ts'

const networks = {
  mainnet: { chainId: 1, url: 'https://api.hiro.so' },
  testnet: { chainId: 0x80000000, url: 'https://api.testnet.hiro.so' },
  devnet: { chainId: 0x80000000, url: 'http://127.0.0.1:3999' },
} as const

/** Until a transaction is in a block: mainnet has been slower than an hour. */
const patience = 2 * 60 * 60_000

export const deployContracts = (io: Io) =>
  command(io, {
    name: 'npm run deploy:contracts --',
    description:
      'Deploy the three contracts of this checkout. Without --confirm it only says what it would do',
    args: {
      network: {
        type: 'string',
        description: 'Where to: mainnet, testnet or devnet',
        valueHint: 'network',
        required: true,
      },
      confirm: {
        type: 'string',
        description: 'The network once more: really deploy. What is deployed cannot be changed or removed',
        valueHint: 'network',
      },
      'key-file': {
        type: 'string',
        description: 'The deployer’s Stacks key (DEPLOYER_KEY_FILE; or the key itself in DEPLOYER_KEY)',
        valueHint: 'file',
      },
      deployer: {
        type: 'string',
        description: 'For a dry run without the key: the address that would deploy',
        valueHint: 'address',
      },
      'stacks-url': {
        type: 'string',
        description: 'Stacks API (STACKS_API_URL; default: the network’s public one)',
        valueHint: 'url',
      },
      'max-fee': {
        type: 'string',
        description: 'Most that all transactions together may cost (default 10stx)',
        valueHint: 'amount',
      },
      outbox: {
        type: 'string',
        description:
          'Where sent transactions are written down (default .understudy/deploy-<network>-<address>.jsonl)',
        valueHint: 'file',
      },
    },
    async run(args) {
      const network = args.network as keyof typeof networks
      if (!Object.hasOwn(networks, network))
        throw new UsageFailure(
          `--network: there is no ${network}`,
          `one of ${Object.keys(networks).join(', ')}`,
        )
      if (args.confirm !== undefined && args.confirm !== network)
        throw new UsageFailure(
          `--confirm ${args.confirm} is not --network ${network}`,
          `--confirm ${network}`,
        )
      const maxFee = parseAmount('max-fee', args['max-fee'] ?? '10stx', 'stx')
      const { chainId } = networks[network]
      const url = args['stacks-url'] || io.env['STACKS_API_URL'] || networks[network].url
      const privateKey = keyOf(args['key-file'], io)
      const deployer = privateKey ? addressOf(privateKey, chainId) : args.deployer
      if (deployer !== undefined && !validateStacksAddress(deployer))
        throw new UsageFailure(`--deployer: ${deployer} is not a Stacks address`)

      const client = createStacksClient({ url })
      const info = await client.info().catch((cause: unknown) => {
        throw new Failure('no-chain', `${url} does not answer`, 'is --stacks-url right?', { cause })
      })
      const isDevnet = info.serverVersion.startsWith('understudy-devnet')
      if (info.chainId !== chainId || isDevnet !== (network === 'devnet'))
        throw new Failure(
          'other-network',
          `${url} is not ${network}: chain id 0x${info.chainId.toString(16)}, ${info.serverVersion}`,
          'give the --stacks-url of that network',
        )

      const plan = await planDeployment(client, readSources(chainId), { deployer, chainId })
      const missing = plan.filter(({ state }) => state === 'missing')
      const fees = missing.reduce((sum, { fee }) => sum + fee, 0n)
      const balance = deployer === undefined ? undefined : (await client.account(deployer)).balance
      const contracts = plan.map(({ source: _, ...contract }) => contract)
      const told = [
        `network   ${network}, chain id 0x${chainId.toString(16)}, burn block ${info.burnHeight}, ${url}`,
        `deployer  ${deployer ?? 'not named: give --key-file, or --deployer'}${balance === undefined ? '' : `, ${formatMoney(balance, 'stx')}`}`,
        ...contracts.map(
          ({ name, state, bytes, hash, fee }) =>
            `${name.padEnd(16)}${state.padEnd(11)}${String(bytes).padStart(6)} bytes  fee ${formatMoney(fee, 'stx').padEnd(14)}sha256 ${hash}`,
        ),
        `fees      ${formatMoney(fees, 'stx')}, of at most ${formatMoney(maxFee, 'stx')}`,
      ]
      const data = { network, chainId, deployer, balance, contracts, fees }

      const different = plan.find(({ state }) => state === 'different')
      if (different)
        throw new Failure(
          'different',
          `${deployer}.${different.name} is deployed already, from other source`,
          'what is deployed stays: deploy from another address',
          { data },
        )
      if (missing.length === 0)
        return { lines: [...told, 'all three are deployed'], data: { ...data, sent: {} } }
      if (args.confirm === undefined) {
        const hint = `nothing was sent. To deploy: --confirm ${network}`
        return { lines: [...told, 'The contracts are unaudited.', hint], data: { ...data, dryRun: true } }
      }

      if (!privateKey || !deployer || balance === undefined)
        throw new UsageFailure('no key to deploy with', 'give --key-file, or set DEPLOYER_KEY')
      if (fees > maxFee)
        throw new Failure('fee', `${formatMoney(fees, 'stx')} is more than --max-fee`, `--max-fee ${fees}`, {
          data,
        })
      if (balance < fees)
        throw new Failure(
          'poor',
          `${deployer} has ${formatMoney(balance, 'stx')}`,
          `send it ${formatMoney(fees, 'stx')}`,
          {
            data,
          },
        )
      for (const line of told) io.say(line)
      const file = resolve(io.cwd, args.outbox ?? `.understudy/deploy-${network}-${deployer}.jsonl`)
      const result = await deployPlanned(
        client,
        plan,
        { privateKey, chainId, deployer },
        {
          outbox: openOutbox(file),
          timeoutMs: patience,
          intervalMs: network === 'devnet' ? 250 : 10_000,
          say: (line) => io.say(line),
        },
      )
      if (!result.ok)
        throw new Failure(result.reason, `${result.name}: ${result.message}`, fixes[result.reason], { data })
      return {
        lines: [`deployed. Programs and pages find the contracts by DEPLOYER=${deployer}`],
        data: { ...data, sent: result.txids },
      }
    },
  })

const again = 'run the same command again: it goes on'
const fixes: Readonly<Record<string, string>> = {
  different: 'deploy from another address',
  waiting: 'wait until they are in blocks, then run the same command again',
  dropped: again,
  timeout: again,
}

/** The key in hex, from a file or the environment; it is never printed. */
function keyOf(file: string | undefined, io: Io): string | undefined {
  const named = file || io.env['DEPLOYER_KEY_FILE']
  if (named) return Buffer.from(readKey(resolve(io.cwd, named))).toString('hex')
  const key = io.env['DEPLOYER_KEY']
  if (!key) return undefined
  if (!/^[0-9a-f]{64}(01)?$/i.test(key))
    throw new Failure('bad-key', 'DEPLOYER_KEY holds no key', 'a key is 32 bytes in hex')
  return key.slice(0, 64).toLowerCase()
}

/** What is deployed there of the sources of this checkout: `SBTC` is the network's own. */
function readSources(chainId: number): Parameters<typeof planDeployment>[1] {
  const folder = new URL('../../../contracts/', import.meta.url)
  const [quorum, registry, pool] = contractNames.map((name) =>
    deployedSource(readFileSync(new URL(`${name}.clar`, folder), 'utf8'), chainId),
  )
  return { 'attester-quorum': quorum!, 'mirror-registry': registry!, 'reward-pool': pool! }
}

const sentSchema = z.object({
  name: z.enum(contractNames),
  txid: z.string().regex(/^0x[0-9a-f]{64}$/),
  hex: z.string().regex(/^[0-9a-f]+$/),
  nonce: z.int().min(0),
})

/** A file of one line per transaction, replaced as a whole and on disk before the transaction leaves. */
function openOutbox(file: string): DeploymentOutbox {
  const text = () => (existsSync(file) ? readFileSync(file, 'utf8') : '')
  return {
    read: () =>
      text()
        .split('\n')
        .filter(Boolean)
        .map((line) => sentSchema.parse(JSON.parse(line))),
    add(sent) {
      mkdirSync(dirname(file), { recursive: true })
      const next = openSync(`${file}.next`, 'w', 0o600)
      try {
        writeSync(next, `${text()}${JSON.stringify(sent)}\n`)
        fsyncSync(next)
      } finally {
        closeSync(next)
      }
      renameSync(`${file}.next`, file)
    },
  }
}
