import { registerMirror, setEndpoint } from '@understudy/chain/calls'
import { bondAt } from '@understudy/chain/state'
import { epochAt, epochStart } from '@understudy/protocol/epoch'
import { parseAmount } from '../../amount.ts'
import { command, type Io } from '../../command.ts'
import { Failure, UsageFailure } from '../../failure.ts'
import { chainArgs, feeArgs, findApp, keyArgs, openChain, parseApp, secretOf } from '../../network.ts'
import { createSender } from '../../transaction.ts'

export const mirrorRegister = (io: Io) =>
  command(io, {
    name: 'register',
    description: 'Register a mirror of an app and lay down its bond; or say where it has moved to',
    args: {
      app: { type: 'string', description: 'App: coordinate or id', valueHint: 'app', required: true },
      'node-key': {
        type: 'string',
        description: 'Public key of the node, 64 hex digits',
        valueHint: 'key',
        required: true,
      },
      endpoint: { type: 'string', description: 'URL of the node', valueHint: 'url', required: true },
      bond: {
        type: 'string',
        description: 'Bond (default: the least that the rules ask)',
        valueHint: 'amount',
      },
      ...chainArgs,
      'key-file': keyArgs['key-file'],
      keys: keyArgs.keys,
      ...feeArgs,
    },
    async run(args) {
      parseApp(args.app)
      const nodeKey = args['node-key']
      if (!/^[0-9a-f]{64}$/.test(nodeKey)) {
        throw new UsageFailure(
          `--node-key: ${nodeKey} is not a public key`,
          'the node prints it when it starts',
        )
      }
      const { endpoint } = args
      if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol) || endpoint.length > 200) {
        throw new UsageFailure(`--endpoint: ${endpoint} is not an http(s) URL of at most 200 characters`)
      }
      const bondWish = args.bond === undefined ? undefined : parseAmount('bond', args.bond)
      const secret = secretOf(args, io, 'stacks')
      const chain = await openChain(args, io)
      const app = await findApp(chain, args.app)
      const { minBond } = app.rules.at(-1)!
      const bond = bondWish ?? minBond
      if (bond < minBond) {
        throw new Failure('bond-too-low', `--bond: the rules ask for ${minBond} µSTX at least, not ${bond}`)
      }
      const sender = createSender(chain, secret, args['tx-fee'], io)
      const mine = (at: typeof app) =>
        [...at.mirrors.values()].find(
          (mirror) => mirror.owner === sender.address && mirror.nodeKey === nodeKey && !mirror.withdrawn,
        )
      const before = mine(app)
      const transaction = !before
        ? await sender.send(
            registerMirror(chain.contracts, sender.address, { app: app.id, nodeKey, endpoint, bond }),
          )
        : before.endpoint !== endpoint
          ? await sender.send(setEndpoint(chain.contracts, { app: app.id, mirror: before.id, endpoint }))
          : undefined
      const mirror = before ?? mine(await findApp(chain, app.id))
      if (!mirror)
        throw new Failure('not-found', 'the chain does not show the mirror yet', 'run the command again')
      const next = Math.max(0, epochAt(app.schedule, mirror.since) + 1)
      const counts = bondAt(mirror, epochStart(app.schedule, next)) > 0n
      return {
        lines: [
          `mirror       ${mirror.id}`,
          `owner        ${mirror.owner}, which is paid`,
          `bond         ${mirror.bond} µSTX`,
          counts ? `counts from  epoch ${next}` : 'does not count: its bond is being taken back',
          `transaction  ${transaction?.txid ?? 'none: it was registered before'}`,
        ],
        data: {
          app: app.id,
          mirror: mirror.id,
          owner: mirror.owner,
          nodeKey,
          endpoint,
          bond: mirror.bond,
          since: mirror.since,
          txid: transaction?.txid ?? null,
          registered: before === undefined,
        },
      }
    },
  })
